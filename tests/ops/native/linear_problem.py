"""A small problem of the linear loss, the options under which it is tested, and its solution in float64."""

from __future__ import annotations

from typing import Any

import torch

from rerec_engine import ops
from rerec_engine.ops import reference

OPTIONS: list[dict[str, Any]] = [
    {},
    {"beta": 0.1, "entropy_coef": 0.1, "aggregation": "sequence_mean"},
    {"ratio": "sequence", "beta": 0.1, "aggregation": "sequence_mean"},
    {"ratio": "sequence", "entropy_coef": 0.3},
    {"ratio": "entry", "beta": 0.1, "entropy_coef": 0.1, "aggregation": "sequence_mean"},
    {"ratio": "entry"},
    {"skip_zero_advantage": True},
    {"aggregation": "dr_grpo", "kl": "k2", "beta": 0.1, "temperature": 0.7, "softcap": 3.0},
    {"kl": "k1", "beta": 0.1, "clip_high": 0.28, "denominator": 77.0},
]


def problem(shape: tuple[int, int, int], dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    tokens, width, vocabulary = shape
    g = torch.Generator().manual_seed(tokens)
    weight = torch.randn(vocabulary, width, generator=g) * 3 * width**-0.5
    inputs: dict[str, Any] = {
        "hidden": torch.randn(tokens, width, generator=g).to(dtype).requires_grad_(),
        "weight": weight.to(dtype).requires_grad_(),
        "targets": torch.randint(0, vocabulary, (tokens,), generator=g),
    }
    with torch.no_grad():
        logp = reference.token_logprob(*(x.double() if x.is_floating_point() else x for x in inputs.values())).logp
    for name in ("old", "ref"):
        inputs[name] = (logp + 0.2 * torch.randn(tokens, generator=g)).float()
    inputs["adv"] = torch.randn(tokens, generator=g)
    inputs["adv"][::3] = 0.0
    inputs["mask"] = torch.rand(tokens, generator=g) > 0.2
    inputs["cu_seqlens"] = torch.tensor([0, tokens // 3, tokens // 3, tokens // 2, tokens])
    inputs["cu_runs"] = runs(tokens)
    return inputs


def runs(tokens: int) -> torch.Tensor:
    """Bounds of runs of one token to five, and of an empty one."""
    bounds = torch.tensor([1, 2, 0, 5, 1, 3]).repeat(tokens // 12 + 1).cumsum(0)
    return torch.tensor([0, *bounds[bounds < tokens].tolist(), tokens])


def in_float64(
    inputs: dict[str, Any], **options: Any
) -> tuple[torch.Tensor, dict[str, torch.Tensor], list[torch.Tensor]]:
    doubled = {k: x.detach().double() if x.is_floating_point() else x for k, x in inputs.items()}
    leaves = [doubled[name].requires_grad_() for name in ("hidden", "weight")]
    loss, metrics = ops.linear_grpo_loss(**doubled, **options)
    return loss, metrics, list(torch.autograd.grad(loss, leaves))


def assert_relative(found: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    error = (found.double() - expected).norm() / expected.norm().clamp(min=1e-9)
    assert error <= tolerance, f"relative error {error:.1e}"
