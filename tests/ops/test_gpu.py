"""What the kernels are called as: each op is the one of its file, and log-probs come back as the record."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import pytest
import torch

from rerec_engine import ops

pytest.importorskip("triton", reason="no Triton: pip install .[triton]")


@pytest.fixture
def gpu() -> ModuleType:
    """Imported late: the kernels' own tests first import them with the interpreter on."""
    return importlib.import_module("rerec_engine.ops.gpu")


@pytest.mark.parametrize(
    "op, file",
    [
        ("grpo_loss", "grpo"),
        ("linear_grpo_loss", "linear_grpo"),
        ("segment_advantage", "segments"),
        ("expand_segments", "segments"),
    ],
)
def test_an_op_is_the_kernel_of_its_file(gpu: ModuleType, op: str, file: str) -> None:
    function = getattr(gpu, op)
    assert (function.__name__, function.__module__) == (op, f"rerec_engine.kernels.{file}")


@pytest.mark.parametrize("entropy", [torch.tensor([2.0]), None])
def test_log_probs_come_back_by_name(
    gpu: ModuleType, entropy: torch.Tensor | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def kernel(*tensors: torch.Tensor, **options: Any) -> tuple[torch.Tensor | None, ...]:
        given.append((tensors, options))
        return torch.tensor([1.0]), entropy, torch.tensor([3.0])

    monkeypatch.setattr(gpu, "_token_logprob", kernel)
    tensors = torch.zeros(1, 2), torch.zeros(3, 2), torch.zeros(1, dtype=torch.int64)
    found = gpu.token_logprob(*tensors, temperature=0.5, rows=None)
    assert isinstance(found, ops.TokenLogprob)
    assert (found.logp.item(), found.entropy, found.lse.item()) == (1.0, entropy, 3.0)
    assert given == [(tensors, {"temperature": 0.5, "rows": None})]
