"""Kernels in tests: on a CUDA device where there is one, else in Triton's interpreter, in this process."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable

import pytest
import torch

KERNELS = ("logprob", "grpo", "linear_grpo", "segments")


def interpret() -> None:
    """Import Triton and the kernels with the interpreter on.

    Triton decides at import, for its own functions too, and other tests' libraries may have imported it before: it is
    then imported again. Its C++ part cannot be, and need not.
    """
    triton = sys.modules.get("triton.language")
    if triton is None or type(triton.cdiv).__name__ != "InterpretedFunction":
        for name in list(sys.modules):
            again = name.split(".")[0] == "triton" and not name.startswith("triton._C")
            if again or name.startswith("rerec_engine.kernels"):
                del sys.modules[name]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        for name in KERNELS:
            importlib.import_module(f"rerec_engine.kernels.{name}")


if importlib.util.find_spec("triton") and not torch.cuda.is_available():
    interpret()


@pytest.fixture(autouse=True)
def interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable again: Triton looks at it where it imports a part of itself late."""
    if not torch.cuda.is_available():
        monkeypatch.setenv("TRITON_INTERPRET", "1")


@pytest.fixture(scope="session")
def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that torch hands out uninitialised holds NaN: what a kernel does not write shows."""

    def poisoned(make: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def empty(*args: object, **options: object) -> torch.Tensor:
            x = make(*args, **options)
            return x.fill_(torch.nan if x.is_floating_point() else 99)

        return empty

    monkeypatch.setattr(torch, "empty", poisoned(torch.empty))
    monkeypatch.setattr(torch, "empty_like", poisoned(torch.empty_like))
