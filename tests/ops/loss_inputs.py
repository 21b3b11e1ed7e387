"""Sixteen tokens of five responses in float64, for the losses: one response is empty, one masked away."""

from __future__ import annotations

from typing import Any

import torch

LENGTHS = [3, 0, 1, 7, 5]


CU = torch.tensor([0, 3, 3, 4, 11, 16])


RUNS = torch.tensor([0, 1, 3, 4, 5, 8, 8, 10, 11, 15, 16])
"""Within the responses, one of them empty."""


TOKENS = 16


MASK = torch.tensor([i % 5 != 2 and i != 3 for i in range(TOKENS)])  # the response of a single token is masked away


AGGREGATIONS = ("token_mean", "sequence_mean", "dr_grpo")


def make(seed: int = 0, scale: float = 0.3) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    logp = -torch.rand(TOKENS, generator=g, dtype=torch.float64) * 4
    old, ref = (logp + scale * torch.randn(TOKENS, generator=g, dtype=torch.float64) for _ in range(2))
    adv = torch.randn(TOKENS, generator=g, dtype=torch.float64)
    adv[5] = 0.0
    entropy = torch.rand(TOKENS, generator=g, dtype=torch.float64)
    return {
        "logp": logp.requires_grad_(),
        "old": old,
        "ref": ref,
        "adv": adv,
        "entropy": entropy.requires_grad_(),
    }


def linear_inputs() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    g = torch.Generator().manual_seed(3)
    t = make(3)
    hidden = torch.randn(TOKENS, 4, generator=g, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(9, 4, generator=g, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(0, 9, (TOKENS,), generator=g)
    inputs = {"hidden": hidden, "weight": weight, "targets": targets, **{k: t[k] for k in ("old", "ref", "adv")}}
    return inputs, {"beta": 0.04, "entropy_coef": 0.1, "cu_seqlens": CU, "mask": MASK, "aggregation": "sequence_mean"}
