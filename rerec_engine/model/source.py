"""Where a model comes from, and how it is read: a directory, a run, or a name on the Hugging Face Hub."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from rerec_engine.errors import file_error

HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


@dataclass(frozen=True)
class Loading:
    """How a model is read, beside its place: the settings of the same names."""

    chat_template: str | None = None
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Any) -> Loading:
        """As the `ModelConfig`, or a command's arguments, say."""
        return cls(**{name: getattr(settings, name) for name in cls.__dataclass_fields__})


def model_directory(path: str) -> Path:
    """The directory that holds the model: the path, or `final/` in it where it is a run directory.

    A name on the Hub, ORG/NAME, is handed back as it is where there is no directory ORG here.
    """
    directory = Path(path).expanduser()
    if not directory.is_dir():
        if HUB_NAME.fullmatch(path) and not directory.parent.exists():
            return directory
        raise file_error(path, "no such model directory, and no name on the Hub (ORG/NAME)")
    for place in (directory, directory / "final"):
        if (place / "config.json").is_file():
            return place
    raise file_error(path, "no model here: neither config.json nor final/config.json")


def model_source(path: str) -> str:
    """What `from_pretrained` takes: a directory that holds a model, a run's `final/`, or a name on the Hub.

    Raises UserError.
    """
    directory = Path(path).expanduser()
    if not path.startswith((".", "/", "~")) and not directory.exists():
        return path
    for place in (directory, directory / "final"):
        if (place / "config.json").is_file():
            return str(place)
    adapter = (directory / "adapter_config.json").is_file()
    kind = "a LoRA adapter alone (the run's final/ holds it merged)" if adapter else "no model"
    raise file_error(path, f"{kind} here (config.json is missing)")


def check_source(path: str) -> None:
    """Raises UserError where there is no such model; of one on the Hub this loads the configuration alone."""
    source = model_source(path)
    if not Path(source).is_dir():
        try:
            AutoConfig.from_pretrained(source)
        except Exception as error:  # as in `load_policy`
            told = str(error).strip().splitlines()[0]
            raise file_error(path, f"no such directory here, and the Hub gives no such model: {told}") from error


def revision(name: str) -> str:
    """The commit of a model on the Hub that its name stands for at present; "" where the Hub cannot be asked."""
    try:
        return str(AutoConfig.from_pretrained(name)._commit_hash or "")
    except Exception:  # as in `check_source`
        return ""
