"""Where a model comes from, and how it is read: a directory, a run's `final/`, or a name on the Hugging Face Hub."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rerec_engine.errors import UserError, file_error, first_line, hub_miss

HUB_NAME = re.compile(r"([\w-][\w.-]*/)?[\w-][\w.-]*")
BESIDE = re.compile(r"[^/]+\.(json|jinja|model|txt|tiktoken|py)|additional_chat_templates/[^/]+")
"""Files of a repository that are read beside the weights."""
USUAL = (
    *(
        "generation_config.json",
        "tokenizer_config.json",
        "tokenizer.json",
        "tokenizer.model",
        "special_tokens_map.json",
    ),
    *("added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja", "model.safetensors.index.json"),
)
"""Files that are asked for where none are listed."""
SECONDS = 20.0
"""That the Hub has to answer."""
WEIGHTS = (r"model[^/]*\.safetensors", r"[^/]+\.safetensors", r"pytorch_model[^/]*\.bin")
"""Of which the first kind that is there is fetched; a repository may hold the same weights in several."""


@dataclass(frozen=True)
class Loading:
    """How a model is read, beside its place: the settings of the same names."""

    revision: str | None = None
    trust_remote_code: bool = False
    chat_template: str | None = None
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    dtype: str = "fp32"

    @classmethod
    def of(cls, settings: Any) -> Loading:
        """As the `ModelConfig`, or a command's arguments, say."""
        return cls(**{name: getattr(settings, name) for name in cls.__dataclass_fields__})


def is_directory(path: str) -> bool:
    """Whether a model's name is a place on this machine; else it is a name on the Hub."""
    return path.startswith((".", "/", "~")) or Path(path).exists() or not HUB_NAME.fullmatch(path)


def find_model(path: str, revision: str | None = None) -> Path:
    """The directory that holds the model: `path`, `final/` in it where it is a run directory, or, for a name on the
    Hub, where its files lie in the Hub's cache, once they have been fetched.

    Raises UserError where there is no such model, or the Hub does not give it.
    """
    return _directory(path, revision) if is_directory(path) else _fetched(path, revision)


def check_model(path: str, revision: str | None = None) -> str:
    """The commit of a model on the Hub, "" for a directory; of its files the configuration alone is fetched.

    Raises UserError as `find_model` does.
    """
    if is_directory(path):
        _directory(path, revision)
        return ""
    return _configuration(path, revision).parent.name


def find_config(path: str, revision: str | None = None) -> Path:
    """The directory that holds a model's config.json; of a model on the Hub nothing else is fetched."""
    return _directory(path, revision) if is_directory(path) else _configuration(path, revision).parent


def _directory(path: str, revision: str | None) -> Path:
    directory = Path(path).expanduser()
    if not directory.is_dir():
        raise file_error(path, "no such model directory, and no name on the Hub (ORG/NAME)")
    if revision is not None:
        raise file_error(path, f"a directory has no revision {revision!r}: that is for a name on the Hub")
    for place in (directory, directory / "final"):
        if (place / "config.json").is_file():
            return place
    adapter = (directory / "adapter_config.json").is_file()
    kind = "a LoRA adapter alone (the run's final/ holds it merged)" if adapter else "no model"
    raise file_error(path, f"{kind} here: neither config.json nor final/config.json")


@functools.cache
def _configuration(name: str, revision: str | None) -> Path:
    """config.json in the Hub's cache; asked for once a process, which so sees one commit of a branch."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(name, "config.json", revision=revision, local_files_only=not _answers()))
    except Exception as error:  # of the client and of its HTTP library: which it is changes with their versions
        raise file_error(name, f"no such directory here, and {_why(error, name, revision)}") from None


def _answers() -> bool:
    """Whether there is a Hub to be asked; where there is none, its client would try for half a minute."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=SECONDS)
    except Exception:  # as in `_configuration`
        return False
    return True


@functools.cache
def _fetched(name: str, revision: str | None) -> Path:
    """All that is read of a model, in the Hub's cache. Where the Hub is not asked or silent: what is there already."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars, enable_progress_bars

    place = _configuration(name, revision).parent
    if not _answers():
        return place
    enable_progress_bars() if os.environ.get("RANK", "0") == "0" else disable_progress_bars()
    try:
        files = _listed(name, place.name)
        if files is None:
            _fetch_usual(name, place)
        elif not all((place / file).is_file() for file in files):
            snapshot_download(name, revision=place.name, allow_patterns=files)
    except Exception as error:  # as in `_configuration`
        raise file_error(name, _why(error, name, revision)) from None
    return place


def _listed(name: str, commit: str) -> list[str] | None:
    """The files of a model that are read; None where the Hub lists none, as a plain mirror of files does."""
    from huggingface_hub import HfApi

    try:
        return wanted(list(HfApi().list_repo_files(name, revision=commit)))
    except Exception:  # as in `_configuration`; what it refuses it refuses for the files, too
        return None


def _fetch_usual(name: str, place: Path) -> None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    index = place / "model.safetensors.index.json"
    for file in USUAL:
        with contextlib.suppress(EntryNotFoundError):
            hf_hub_download(name, file, revision=place.name)
    shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values() if index.is_file() else ()
    for file in [*sorted(set(shards)), *(() if index.is_file() else ("model.safetensors",))]:
        hf_hub_download(name, file, revision=place.name)


def wanted(files: list[str]) -> list[str]:
    """The files of a repository that a model and its tokenizer are read from.

    >>> wanted(["config.json", "model.safetensors", "pytorch_model.bin", "onnx/model.onnx", "README.md"])
    ['config.json', 'model.safetensors']
    """
    weights = ([file for file in files if re.fullmatch(kind, file)] for kind in WEIGHTS)
    return [*(file for file in files if BESIDE.fullmatch(file)), *next(filter(None, weights), [])]


def _why(error: Exception, name: str, revision: str | None) -> str:
    """What the Hub, or the lack of one, said."""
    from huggingface_hub import constants, errors

    if isinstance(error, errors.GatedRepoError):
        return f"the Hub gives it to those who took its terms: {constants.ENDPOINT}/{name}, then `hf auth login`"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "the Hub has no such model, or one that your token (`hf auth login`) may not see"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"the Hub has no revision {revision!r} of it"
    if isinstance(error, errors.LocalEntryNotFoundError):
        of = f"revision {revision!r} of it" if revision else "it"
        return f"{hub_miss(of, 'model')}, or name a directory"
    if isinstance(error, errors.EntryNotFoundError):
        return "what the Hub has under that name is no transformers model (config.json is missing)"
    return f"the Hub does not give it: {first_line(error)}"


def no_model(path: str, error: Exception) -> UserError:
    """What `from_pretrained` raised, in one line."""
    if "trust_remote_code" in str(error):
        switch = "set model.trust_remote_code (--trust-remote-code) to run it"
        return file_error(path, f"the model brings code of its own: read it, then {switch}")
    return file_error(path, f"cannot load a causal LM: {first_line(error)}")
