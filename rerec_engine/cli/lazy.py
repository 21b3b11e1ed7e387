"""A package's names, looked up when they are first used, so that a command in it helps without loading torch."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def on_demand(package: str, **places: str) -> Callable[[str], Any]:
    """The `__getattr__` of a package: names, each with the module that holds it."""

    def find(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(places[name]), name)

    return find
