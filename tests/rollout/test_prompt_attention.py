"""Packed prompts against whole attention of each, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rerec_engine.rollout.cache import Heads
from rerec_engine.rollout.prompt_attention import PromptAttention

HEADS = Heads(2, 6, 2, 16)


def whole(qkv: Tensor) -> Tensor:
    """qkv [T, heads, D] of one prompt -> [T, query heads * D], float64."""
    q, k, v = qkv.double().split([HEADS.queries, HEADS.keys, HEADS.keys], 1)
    k, v = (x.repeat_interleave(HEADS.queries // HEADS.keys, 1) for x in (k, v))
    scores = torch.einsum("qhd,khd->hqk", q, k) * HEADS.dim**-0.5
    ahead = torch.ones(len(q), len(q), dtype=torch.bool).triu(1)
    weights = scores.masked_fill(ahead, float("-inf")).softmax(-1)
    return torch.einsum("hqk,khd->qhd", weights, v).flatten(1)


@pytest.mark.parametrize("common", [0, 32])
@pytest.mark.parametrize("lengths", [[7, 7, 3, 7], [1], [5, 1, 1]], ids=str)
def test_each_prompt_sees_its_own_past_and_the_common_beginning(common, lengths):
    torch.manual_seed(0)
    attention = PromptAttention(HEADS)
    for layer in range(HEADS.layers):
        first = torch.randn(common, HEADS.all, HEADS.dim)
        if common:
            assert torch.allclose(attention.attend(layer, first, [common]).double(), whole(first), atol=1e-5)
            attention.keep(layer, first)
        parts = [torch.randn(length, HEADS.all, HEADS.dim) for length in lengths]
        expected = torch.cat([whole(torch.cat([first, part]))[common:] for part in parts])
        found = attention.attend(layer, torch.cat(parts), lengths)
        assert torch.allclose(found.double(), expected, atol=1e-5)
    assert attention.length == common
