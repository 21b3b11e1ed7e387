"""Every made dataset under the name that `prepare` has for it, from options by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from rerec_engine.errors import UserError
from rerec_engine.worlds.demo import write_demo
from rerec_engine.worlds.movielens import write_film_requests, write_next_item
from rerec_engine.worlds.options import DemoOptions, FilmOptions, NextItemOptions

_DOORS: dict[str, tuple[type[Any], Callable[[Path, Any], None]]] = {
    "demo": (DemoOptions, write_demo),
    "world": (FilmOptions, write_film_requests),
    "next-item": (NextItemOptions, write_next_item),
}


def write_made(output: Path, options: Mapping[str, Any]) -> None:
    """Write a dataset directory. options: those of a `prepare` command, which `prepare` names (default: demo).

    Raises UserError for a command or an option unknown, or one that is missing.
    """
    name = options.get("prepare", "demo")
    if name not in _DOORS:
        raise UserError(f"prepare: one of {', '.join(_DOORS)}, got {name!r}")
    kind, write = _DOORS[name]
    chosen = {key: Path(value) if key == "movielens" else value for key, value in options.items() if key != "prepare"}
    if unknown := set(chosen) - {field.name for field in fields(kind)}:
        raise UserError(f"`prepare {name}` has no option {sorted(unknown)[0]!r}")
    if name != "demo" and "movielens" not in chosen:
        raise UserError(f"`prepare {name}` needs movielens")
    write(output, kind(**chosen))
