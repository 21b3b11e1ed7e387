"""Chooses the implementation of every op: by the environment variable `REREC_IMPL`, else by device and dtype.

| `REREC_IMPL` | module | takes |
|---|---|---|
| `reference` (or `torch`) | `ops.reference`, the specification | everything |
| `native` (or `cpp`) | `ops.native`, over the C++ module | CPU tensors: float32, bfloat16, float16 |
| `gpu` (or `triton`) | `ops.gpu`, over `kernels/` | CUDA tensors (with `TRITON_INTERPRET=1` also CPU ones): the same |
| unset | `gpu` on CUDA where Triton is installed, `native` on the CPU, `reference` for float64 and all else | |

An implementation is a module that holds one function per op, under the op's public name. The public functions check
their arguments once and then call `implementation(name, *tensors)`; the losses' take their options as records
(`Objective`, `LossTokens`, `Savings`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch

MODULES = {name: f"rerec_engine.ops.{name}" for name in ("reference", "native", "gpu")}
OTHER_NAMES = {"torch": "reference", "cpp": "native", "triton": "gpu"}
FAST_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def implementation(op: str, *tensors: torch.Tensor) -> Callable[..., Any]:
    """The function that computes `op` on `tensors`, those whose device and dtype decide.

    Raises ValueError where `REREC_IMPL` names no implementation, or one that does not take these tensors.
    """
    asked = os.environ.get("REREC_IMPL")
    asked = OTHER_NAMES.get(asked or "", asked)
    if asked and asked not in MODULES:
        raise ValueError(f"REREC_IMPL must be one of {', '.join(MODULES)}, got {asked!r}")
    name = asked or _default(tensors)
    if asked in ("native", "gpu"):
        _check(asked, tensors)
    function: Callable[..., Any] = getattr(import_module(MODULES[name]), op)
    return function


def _default(tensors: tuple[torch.Tensor, ...]) -> str:
    devices = {x.device.type for x in tensors}
    if not all(x.dtype in FAST_DTYPES for x in tensors) or len(devices) != 1:
        return "reference"
    device = devices.pop()
    if device == "cpu":
        return "native"
    return "gpu" if device == "cuda" and _has_triton() and len({x.dtype for x in tensors}) == 1 else "reference"


def _check(name: str, tensors: tuple[torch.Tensor, ...]) -> None:
    dtypes, devices = {x.dtype for x in tensors}, {x.device.type for x in tensors}
    if not dtypes <= set(FAST_DTYPES):
        raise ValueError(
            f"REREC_IMPL={name} takes float32, bfloat16 and float16, got {_list(dtypes)}; reference takes all"
        )
    if name == "native":
        if devices != {"cpu"}:
            raise ValueError(f"REREC_IMPL=native takes CPU tensors, got {_list(devices)}")
        return
    if not _has_triton():
        raise ValueError("REREC_IMPL=gpu needs Triton: pip install 'rerec-engine[triton]'")
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    if devices != {"cuda"} and not (interpreted and devices == {"cpu"}):
        raise ValueError(f"REREC_IMPL=gpu takes CUDA tensors (CPU: TRITON_INTERPRET=1), got {_list(devices)}")
    if len(dtypes) != 1:
        raise ValueError(f"REREC_IMPL=gpu takes hidden and weight of one dtype, got {_list(dtypes)}")


def _list(values: set[Any]) -> str:
    return " and ".join(sorted(map(str, values)))


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None
