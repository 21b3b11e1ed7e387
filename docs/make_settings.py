"""Makes docs/settings.md from rerec_engine/config.py: python docs/make_settings.py"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rerec_engine.cli.options import Option, about, groups, own_options
from rerec_engine.config import Config
from rerec_engine.runs.settings import DEMO, flatten, read_yaml

HEAD = """# Settings

Every setting of `python -m rerec_engine.train`, as `--section.name value` on the command line or in a YAML file
(`--config FILE`); the command line goes first. Defaults are those published with ReRec where it names them. Without
`--data.path` or `--model.path` the demo's data or a small model is made on the spot, and the demo's values hold,
which stand beside the defaults where they differ (with a dataset of one's own `rollout.max_new_tokens` is 320). A
value out of range, or a name that is not here, is an error of one line.

This file is made by `python docs/make_settings.py` from [rerec_engine/config.py](../rerec_engine/config.py).
"""


def type_name(hint: Any) -> str:
    """As the command line takes it."""
    if typing.get_origin(hint) is typing.Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(hint))
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(type_name(part) for part in typing.get_args(hint))
    if hint is type(None):
        return "`None`"
    if typing.get_origin(hint) is dict:
        return "JSON object"
    return {bool: "`True`, `False`", int: "integer", float: "number", str: "text"}[hint]


def row(option: Option, demo: dict[str, Any]) -> str:
    """One setting as a table's row."""
    preset = f"`{demo[option.name]}`" if demo[option.name] != option.default else ""
    cells = (f"`{option.name}`", type_name(option.hint), f"`{option.default}`", preset, option.about)
    return f"| {' | '.join(cell.replace('<', '&lt;').replace('|', chr(92) + '|') for cell in cells)} |"


def section(prefix: str, of: type, demo: dict[str, Any]) -> Iterator[str]:
    """A dataclass's own settings under a heading."""
    yield from (f"## {prefix.rstrip('.') or 'general'}", "")
    if prefix and about(of):
        yield from (about(of), "")
    yield "| setting | takes | default | demo | |"
    yield "|---|---|---|---|---|"
    for option in own_options(of, prefix):
        yield row(option, demo)
    yield ""


def reference() -> str:
    """The whole file."""
    demo = flatten(read_yaml(DEMO))
    lines = [line for prefix, of in groups(Config) for line in section(prefix, of, demo)]
    return "\n".join([HEAD, *lines]).rstrip() + "\n"


if __name__ == "__main__":
    (Path(__file__).parent / "settings.md").write_text(reference(), encoding="utf-8")
