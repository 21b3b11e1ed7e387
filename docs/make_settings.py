"""Makes docs/settings.md from rerec_engine/config.py: python docs/make_settings.py"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rerec_engine import config
from rerec_engine.runs.settings import DEMO, flatten, read_yaml

HEAD = """# Settings

Every setting of `python -m rerec_engine.train`, as `--section.name value` on the command line or in a YAML file
(`--config FILE`); the command line goes first. Defaults are those published with ReRec where it names them. Without
`--data.path`, `--config` or `--resume` the demo's preset holds, whose values stand beside the defaults where they
differ. A value out of range, or a name that is not here, is an error of one line.

This file is made by `python docs/make_settings.py` from [rerec_engine/config.py](../rerec_engine/config.py).
"""


def comments(of: type) -> dict[str, str]:
    """The strings under a dataclass's fields, by field."""
    body = ast.parse(inspect.getsource(of)).body[0]
    assert isinstance(body, ast.ClassDef)
    found, field = {}, None
    for node in body.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            field = node.target.id
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and field:
            found[field], field = " ".join(str(node.value.value).split()), None
        else:
            field = None
    return found


def type_name(hint: Any) -> str:
    """As the command line takes it."""
    if typing.get_origin(hint) is typing.Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(hint))
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(type_name(part) for part in typing.get_args(hint))
    if hint is type(None):
        return "`None`"
    return {bool: "`True`, `False`", int: "integer", float: "number", str: "text"}[hint]


def row(name: str, hint: Any, default: Any, demo: dict[str, Any], told: str) -> str:
    """One setting as a table's row."""
    preset = f"`{demo[name]}`" if demo[name] != default else ""
    cells = (f"`{name}`", type_name(hint), f"`{default}`", preset, told.replace("<", "&lt;"))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def section(of: type, name: str, demo: dict[str, Any]) -> Iterator[str]:
    """A dataclass's own settings under a heading, then those of the dataclasses in it."""
    hints, told = typing.get_type_hints(of), comments(of)
    about = " ".join((of.__doc__ or "").split())
    yield f"## {name or 'general'}"
    yield ""
    if name and not about.startswith(f"{of.__name__}("):  # which dataclass writes where there is no docstring
        yield from (about, "")
    yield "| setting | takes | default | demo | |"
    yield "|---|---|---|---|---|"
    prefix = f"{name}." if name else ""
    fields = dataclasses.fields(of)
    inner = [field for field in fields if dataclasses.is_dataclass(hints[field.name])]
    for field in fields:
        if field not in inner:
            full = f"{prefix}{field.name}"
            yield row(full, hints[field.name], field.default, demo, told.get(field.name, ""))
    yield ""
    for field in inner:
        yield from section(hints[field.name], f"{prefix}{field.name}", demo)


def reference() -> str:
    """The whole file."""
    return "\n".join([HEAD, *section(config.Config, "", flatten(read_yaml(DEMO)))]).rstrip() + "\n"


if __name__ == "__main__":
    (Path(__file__).parent / "settings.md").write_text(reference(), encoding="utf-8")
