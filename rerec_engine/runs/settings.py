"""From command line and YAML to `Config`: CLI over file over default; an unknown setting is an error."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro
import yaml

from rerec_engine.cli import parse_cli
from rerec_engine.config import Config
from rerec_engine.errors import UserError, file_error

T = TypeVar("T")
DEMO = Path(__file__).parents[1] / "configs" / "demo.yaml"
RESUMABLE = ("train.steps", "threads", "device")
"""Settings that may differ when a run is continued; any other would make it another run."""


@dataclasses.dataclass(frozen=True)
class Command:
    """Reinforcement fine-tuning of a recommendation assistant (ReRec). With no argument: the demo on this machine."""

    settings: Annotated[Config, tyro.conf.arg(name="")]
    config: Path | None = None
    """YAML file with settings; what the command line says goes first."""
    resume: Path | None = None
    """Run directory to continue exactly where its last checkpoint was written."""


def as_words(settings: Mapping[str, Any]) -> list[str]:
    """Settings by dotted name as a command line."""
    return [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def with_settings(base: Config, settings: Mapping[str, Any], prog: str = "settings") -> Config:
    """`base` with some settings changed, by dotted name. Raises UserError for a bad one."""
    return parse_cli(Config, as_words(settings), prog=prog, default=base)


def replaced(config: Any, values: Mapping[str, Any]) -> Any:
    """`config` with some values, of their right types, by dotted name. Raises ValueError for one out of range."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        first, _, rest = name.partition(".")
        if rest:
            nested.setdefault(first, {})[rest] = value
        else:
            nested[first] = value
    parts = {
        name: replaced(getattr(config, name), value) if isinstance(value, dict) else value
        for name, value in nested.items()
    }
    return dataclasses.replace(config, **parts)


def changed(config: Config) -> dict[str, Any]:
    """Settings, by dotted name, that differ from their defaults."""
    default = flatten(Config())
    return {name: value for name, value in flatten(config).items() if value != default[name]}


def flatten(config: Config) -> dict[str, Any]:
    """Settings by dotted name, e.g. `reward.qas`."""
    return dict(_flatten(dataclasses.asdict(config)))


def _flatten(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in tree.items():
        name = f"{prefix}{key}"
        pairs += _flatten(value, f"{name}.") if isinstance(value, dict) else [(name, value)]
    return pairs


def read_yaml(path: Path, base: Config | None = None) -> Config:
    """`base` with the settings of a YAML file. Raises UserError, naming the file, for anything that is no setting."""
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise file_error(path, "no such settings file") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise file_error(path, f"not readable as YAML: {' '.join(str(error).split())}") from None
    if tree is None:
        tree = {}
    if not isinstance(tree, dict):
        raise file_error(path, f"expected settings by name, got {type(tree).__name__}")
    known = flatten(base or Config())
    chosen = dict(_flatten(tree))
    for name, value in chosen.items():
        if name.replace("-", "_") not in known:
            raise file_error(path, f"unknown setting {name!r}{_meant(name, known)}")
        if isinstance(value, list):
            raise file_error(path, f"{name} must be one value, got a list")
    try:
        return with_settings(base or Config(), chosen)
    except UserError as error:
        raise file_error(path, str(error)) from None


def _meant(name: str, known: dict[str, Any]) -> str:
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def write_yaml(config: Config, path: Path) -> None:
    """The resolved settings, as `read_yaml` takes them."""
    path.write_text(yaml.safe_dump(dataclasses.asdict(config), sort_keys=False), encoding="utf-8")


def load_settings(args: Sequence[str] | None = None) -> tuple[Config, Path | None]:
    """The settings of a training run, and the run directory to continue, if any.

    Where no dataset is named, the demo's settings stand in for the defaults.
    """
    words = list(sys.argv[1:] if args is None else args)
    prog = "python -m rerec_engine.train"
    first = parse_cli(Command, words, prog=prog, default=Command(settings=Config()))
    if first.resume is not None:
        return _resumed(first, words, prog), first.resume
    base = read_yaml(first.config) if first.config else Config()
    chosen = parse_cli(Command, words, prog=prog, default=Command(settings=base)).settings
    if chosen.data.path is None:
        base = read_yaml(DEMO)
        base = read_yaml(first.config, base) if first.config else base
        chosen = parse_cli(Command, words, prog=prog, default=Command(settings=base)).settings
    try:
        chosen.check()
    except ValueError as error:
        raise UserError(str(error)) from None
    return chosen, None


def _resumed(command: Command, words: list[str], prog: str) -> Config:
    assert command.resume is not None
    saved = read_yaml(command.resume / "config.yaml")
    chosen = parse_cli(Command, words, prog=prog, default=Command(settings=saved)).settings
    if command.config is not None:
        raise UserError("--resume takes the run's own settings; leave --config out")
    before, after = flatten(saved), flatten(chosen)
    others = [name for name in before if before[name] != after[name] and name not in RESUMABLE]
    if others:
        raise UserError(f"--resume cannot change {', '.join(others)} (only {', '.join(RESUMABLE)})")
    return chosen
