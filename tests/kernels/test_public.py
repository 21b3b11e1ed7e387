"""`REREC_IMPL=gpu` takes the public functions to the kernels, with their names, types and errors."""

from __future__ import annotations

import pytest
import torch

from rerec_engine import ops
from rerec_engine.ops import reference

pytest.importorskip("triton", reason="no Triton: pip install .[triton]")


@pytest.fixture(autouse=True)
def kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REREC_IMPL", "gpu")


@pytest.fixture
def batch(device: torch.device) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    numbers = {name: torch.randn(13, generator=g) for name in ("old", "ref", "adv")}
    made = {
        "hidden": torch.randn(13, 24, generator=g).requires_grad_(),
        "weight": (torch.randn(101, 24, generator=g) / 5).requires_grad_(),
        "targets": torch.randint(0, 101, (13,), generator=g),
        **{**numbers, "old": numbers["old"] / 10 - 4.6, "ref": numbers["ref"] / 10 - 4.6},
    }
    return {name: x.detach().to(device).requires_grad_(x.requires_grad) for name, x in made.items()}


def test_token_logprob(batch: dict[str, torch.Tensor]) -> None:
    inputs = [batch[name] for name in ("hidden", "weight", "targets")]
    ours, expected = ops.token_logprob(*inputs), reference.token_logprob(*inputs)
    assert isinstance(ours, ops.TokenLogprob)
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("ratio", ["token", "entry", "sequence"])
def test_linear_grpo_loss(batch: dict[str, torch.Tensor], ratio: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = {"cu_seqlens": torch.tensor([0, 6, 13]), "cu_runs": torch.tensor([0, 2, 3, 6, 11, 13])}
    options = {"beta": 0.1, "ratio": ratio, **{name: x.to(batch["old"].device) for name, x in bounds.items()}}
    ours = ops.linear_grpo_loss(**batch, **options)
    monkeypatch.setenv("REREC_IMPL", "reference")
    found = [ours, ops.linear_grpo_loss(**batch, **options)]
    torch.testing.assert_close(found[0][0], found[1][0])
    assert set(found[0][1]) == set(found[1][1])
    for name, x in found[0][1].items():
        torch.testing.assert_close(x.float(), found[1][1][name].float(), atol=1e-5, rtol=1e-5, msg=name)
    leaves = [batch["hidden"], batch["weight"]]
    ours, expected = (torch.autograd.grad(loss, leaves) for loss, _ in found)
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-4)


def test_segments(device: torch.device) -> None:
    inputs = [
        torch.tensor([3, 1, 4, 1, 5], device=device),
        torch.tensor([True, False, False, True, False], device=device),
        torch.tensor([0, 2, 4, 5], device=device),
        torch.tensor([1.1, -0.5, 0.1], device=device),
        torch.tensor([0, 0, 0], device=device),
    ]
    ours, expected = ops.segment_advantage(*inputs), reference.segment_advantage(*inputs)
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-5)
    tokens = ops.expand_segments(ours, inputs[0], total=14)
    assert torch.equal(tokens, ours.repeat_interleave(inputs[0]))


def test_unsupported_dtypes_are_named(batch: dict[str, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="takes float32, bfloat16 and float16, got torch.float64"):
        ops.token_logprob(batch["hidden"].double(), batch["weight"].double(), batch["targets"])
    with pytest.raises(ValueError, match="of one dtype"):
        ops.token_logprob(batch["hidden"].bfloat16(), batch["weight"], batch["targets"])
    with pytest.raises(ValueError, match="workspace_mb must hold a row"):
        ops.linear_grpo_loss(**batch, workspace_mb=1e-5)
