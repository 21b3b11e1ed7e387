"""Chooses the implementation of every op: the environment variable `REREC_IMPL`, by default `torch`.

An implementation is a module that holds one function per op, under the op's public name and with its signature. The
public functions check their arguments once and then call `implementation(name)`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

MODULES = {"torch": "rerec_engine.ops.reference"}


def implementation(op: str) -> Callable[..., Any]:
    """The function that computes `op`, from the module that `REREC_IMPL` names.

    Raises ValueError where `REREC_IMPL` names no implementation.
    """
    name = os.environ.get("REREC_IMPL") or "torch"
    if name not in MODULES:
        raise ValueError(
            f"REREC_IMPL must be one of {', '.join(MODULES)} (the implementations there are), got {name!r}"
        )
    function: Callable[..., Any] = getattr(import_module(MODULES[name]), op)
    return function
