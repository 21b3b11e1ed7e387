"""The specification of advantages by segment against a loop over tokens, and its owners of empty responses."""

from __future__ import annotations

import statistics
from typing import Any

import pytest
import torch

from rerec_engine.ops.reference.segments import expand_segments, segment_advantage

LENGTHS = torch.tensor([2, 3, 1, 4, 0])
PENALISED = torch.tensor([False, True, False, False, True])
CU = torch.tensor([0, 2, 2, 3, 5])  # the second response has no segment
REWARDS = torch.tensor([1.0, 7.0, -0.5, 4.0])
GROUP = torch.tensor([3, 3, 3, 0])


@pytest.mark.parametrize("w", [0.0, 0.3, 1.0])
def test_raae_equals_a_loop_over_tokens(w: float) -> None:
    tokens = [1.0] * 2 + [1.0 - w] * 3 + [-0.5]  # of group 3; a response without tokens does not count
    mean, std = statistics.fmean(tokens), statistics.pstdev(tokens)
    expected = [(1 - mean) / std, (1 - w - mean) / std, (-0.5 - mean) / std, 0.0, 0.0]
    found = segment_advantage(LENGTHS, PENALISED, CU, REWARDS, GROUP, w_penalty=w)
    assert found.dtype == torch.float32
    assert found.tolist() == pytest.approx(expected, rel=1e-6)


def test_a_negative_reward_is_made_worse_by_a_penalty() -> None:
    lengths, cu, group = torch.tensor([1, 1]), torch.tensor([0, 2]), torch.tensor([0])
    found = segment_advantage(lengths, torch.tensor([True, False]), cu, torch.tensor([-2.0]), group)
    assert found.tolist() == pytest.approx([-1.0, 1.0])


@pytest.mark.parametrize(
    "estimator, expected",
    [
        ("dr_grpo", [-1.5, -1.5, -3.0, 0.0, 0.0]),
        ("rloo", [-2.25, -2.25, -4.5, 0.0, 0.0]),
        ("grpo", [-1.5 / 3.968627, -1.5 / 3.968627, -3.0 / 3.968627, 0.0, 0.0]),
    ],
)
def test_the_other_estimators_count_responses_and_no_penalty(estimator: Any, expected: list[float]) -> None:
    """Rewards 1, 7, -0.5: mean 2.5, sample deviation 3.968627."""
    found = segment_advantage(LENGTHS, PENALISED, CU, REWARDS, GROUP, w_penalty=0.9, estimator=estimator)
    assert found.tolist() == pytest.approx(expected, rel=1e-5)


def test_statistics_are_float64() -> None:
    """Rewards that float32 tells apart by one bit alone, among a thousand tokens."""
    rewards = torch.tensor([1.0, 1.0 + 2**-23])
    found = segment_advantage(
        torch.tensor([999, 1]), torch.zeros(2).bool(), torch.tensor([0, 1, 2]), rewards, torch.zeros(2).long()
    )
    assert found.tolist() == pytest.approx([-(999**-0.5), 999**0.5], rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.int64], ids=str)
@pytest.mark.parametrize("total", [None, 10])
def test_expanded_tokens_keep_the_dtype(dtype: torch.dtype, total: int | None) -> None:
    found = expand_segments(torch.tensor([1, 2, 3, 4, 5], dtype=dtype), LENGTHS, total)
    assert found.dtype == dtype
    assert found.tolist() == [1, 1, 2, 2, 2, 3, 4, 4, 4, 4]


def test_the_gradient_of_an_expanded_segment_is_its_tokens() -> None:
    leaf = torch.zeros(5, requires_grad=True)
    (found,) = torch.autograd.grad(expand_segments(leaf, LENGTHS).sum(), leaf)
    assert found.tolist() == LENGTHS.tolist()


def test_no_response_at_all() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    assert segment_advantage(none, none.bool(), torch.zeros(1).long(), torch.zeros(0), none).shape == (0,)
    assert expand_segments(torch.zeros(0), none).shape == (0,)
