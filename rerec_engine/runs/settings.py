"""From command line and YAML to `Config`: CLI over file over default; an unknown setting is an error."""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rerec_engine.cli import Parser
from rerec_engine.cli.options import Option, about, add_option, groups, own_options, value_of, word_of
from rerec_engine.config import Config
from rerec_engine.errors import UserError, file_error
from rerec_engine.files import write_text

CONFIGS = Path(__file__).parents[1] / "configs"
DEMO, SMALL = CONFIGS / "demo.yaml", CONFIGS / "small.yaml"
SOURCES = ("data.path", "model.path", "model.chat_template", "warm_start.path")
"""Settings that name what a run is made from. They may differ when it is continued, since what they name may have been
moved; `runs.sources` sees to it that it is the same."""
PLACES = (*SOURCES, "output_dir", "rollout.vllm.python")
"""Settings that name places on this machine, or a model on the Hub."""
RESUMABLE = ("train.steps", "threads", "device", *SOURCES)
"""Settings that may differ when a run is continued; any other would make it another run."""

SHORT = {
    "data.path": ("DIR", "--data"),
    "model.path": ("DIR|NAME", "--model"),
    "model.revision": ("NAME", "--revision"),
    "model.trust_remote_code": ("true|false", "--trust-remote-code"),
    "model.chat_template": ("F|NAME", "--chat-template"),
    "model.chat_template_kwargs": ("JSON", "--chat-template-kwargs"),
    "model.dtype": ("auto|fp32|bf16", "--dtype"),
    "output_dir": ("DIR", "--output"),
    "device": ("NAME",),
    "rollout.max_new_tokens": ("N", "--max-new-tokens"),
    "rollout.temperature": ("X", "--temperature"),
}
"""By setting: what stands for its value in the help, and the flag that other commands have for the same thing."""


def settings() -> dict[str, Option]:
    """Every setting, by dotted name."""
    return {option.name: option for prefix, kind in groups(Config) for option in own_options(kind, prefix)}


def as_words(settings: Mapping[str, Any]) -> list[str]:
    """Settings by dotted name as a command line."""
    words = {name: word_of(value) if isinstance(value, dict) else str(value) for name, value in settings.items()}
    return [word for name, text in words.items() for word in (f"--{name.replace('_', '-')}", text)]


def with_settings(base: Config, values: Mapping[str, Any]) -> Config:
    """`base` with some settings changed, by dotted name, as text or as values. Raises UserError for a bad one."""
    known = settings()
    chosen = {}
    for name, value in values.items():
        option = known.get(name.replace("-", "_"))
        if option is None:
            raise UserError(f"unknown setting {name!r}{_meant(name, known)}")
        if isinstance(value, list):
            raise UserError(f"{name} must be one value, got a list")
        chosen[option.name] = value_of(option, value)
    try:
        config: Config = replaced(base, chosen)
    except ValueError as error:
        raise UserError(str(error)) from None
    return config


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
        name: replaced(part, value) if dataclasses.is_dataclass(part := getattr(config, name, None)) else value
        for name, value in nested.items()
    }
    return dataclasses.replace(config, **parts)


def changed(config: Config, default: Config | None = None) -> dict[str, Any]:
    """Settings, by dotted name, that differ from `default`; none: from the published ones."""
    before = flatten(default or Config())
    return {name: value for name, value in flatten(config).items() if value != before[name]}


def taken_by_default(config: Config) -> Config:
    """What `train` starts from for a run of this dataset and model: the command line need not name it."""
    if config.data.path is None:
        return read_yaml(DEMO)
    if config.model.path is not None:
        return Config()
    small = read_yaml(SMALL, read_yaml(DEMO))
    traces = config.warm_start.path or Path(config.data.path) / "warm_start.parquet"
    without: Config = replaced(small, {"warm_start.epochs": 0})
    return small if Path(traces).is_file() else without


def flatten(config: Config) -> dict[str, Any]:
    """Settings by dotted name, e.g. `reward.qas`."""
    return dict(_flatten(dataclasses.asdict(config), settings()))


def with_absolute_paths(config: Config) -> Config:
    """For a run that may be continued from another working directory. What is not there, such as the name of a model on
    the Hub, stays."""
    values = {name: value for name, value in flatten(config).items() if name in PLACES and value}
    there = {name: path for name, value in values.items() if (path := Path(value).expanduser()).exists()}
    moved: Config = replaced(config, {name: os.path.abspath(path) for name, path in there.items()})
    return moved


def _flatten(tree: dict[str, Any], known: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """known: the settings, of which some hold values by name themselves."""
    pairs: list[tuple[str, Any]] = []
    for key, value in tree.items():
        name = f"{prefix}{key}"
        inner = isinstance(value, dict) and name not in known
        pairs += _flatten(value, known, f"{name}.") if inner else [(name, value)]
    return pairs


def read_yaml(path: Path, base: Config | None = None) -> Config:
    """`base` with the settings of a YAML file. Raises UserError, naming the file, for anything that is no setting."""
    import yaml

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
    try:
        return with_settings(base or Config(), dict(_flatten(tree, settings())))
    except UserError as error:
        raise file_error(path, str(error)) from None


def _meant(name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def write_yaml(config: Config, path: Path) -> None:
    """The resolved settings, as `read_yaml` takes them."""
    import yaml

    write_text(path, yaml.safe_dump(dataclasses.asdict(config), sort_keys=False))


def train_parser() -> Parser:
    """The flags of `train`: every setting, in groups as in `Config`. What is given stands in the namespace by name."""
    demo = flatten(read_yaml(DEMO))
    parser = Parser(
        prog="train",
        usage="[--data DIR] [--model DIR|NAME] [options]",
        description="Reinforcement fine-tuning of a recommendation assistant (ReRec). Without --model a "
        "model of 0.8 M parameters is made on the spot, by the demo's settings; without --data too it learns the demo, "
        "an invented world, on this machine.",
        examples=(
            "--output runs/demo",
            "--data data/games --output runs/games --train.steps 20",
            "--data data/movies --model Qwen/Qwen3-0.6B",
            "--config run.yaml --train.steps 200",
            "--resume runs/demo --train.steps 100",
        ),
    )
    run = parser.add_argument_group("the run")
    run.add_argument("--config", metavar="F.yaml", type=Path, help="settings from a file; the command line goes first")
    run.add_argument("--resume", metavar="DIR", type=Path, help="run to continue exactly after its last checkpoint")
    for prefix, kind in groups(Config):
        group = parser.group(prefix.rstrip("."), about(kind)) if prefix else run
        for option in own_options(kind, prefix):
            metavar, *short = SHORT.get(option.name, (None,))
            add_option(group, option, *short, demo=demo, metavar=metavar)
    return parser


def load_settings(args: Sequence[str] | None = None) -> tuple[Config, Path | None]:
    """The settings of a training run, and the run directory to continue, if any.

    Where no dataset or no model is named, the demo's settings stand in for the defaults. Without traces in a dataset of
    one's own there is no warm start.
    """
    chosen = vars(train_parser().parse_args(args))
    file, resume = chosen.pop("config"), chosen.pop("resume")
    try:
        if resume is not None:
            return _resumed(resume, file, chosen), resume
        base = read_yaml(file) if file else Config()
        base = taken_by_default(replaced(base, chosen))
        base = read_yaml(file, base) if file else base
        config: Config = replaced(base, chosen)
        config.check()
    except ValueError as error:
        raise UserError(str(error)) from None
    return config, None


def _resumed(run: Path, file: Path | None, chosen: dict[str, Any]) -> Config:
    if file is not None:
        raise UserError("--resume takes the run's own settings; leave --config out")
    if not (run / "config.yaml").is_file():
        raise file_error(run, "no run to resume there (no config.yaml)")
    saved = read_yaml(run / "config.yaml")
    config: Config = replaced(saved, chosen)
    before, after = flatten(saved), flatten(config)
    others = [name for name in before if before[name] != after[name] and name not in RESUMABLE]
    if others:
        raise UserError(f"--resume cannot change {', '.join(others)} (only {', '.join(RESUMABLE)})")
    return config
