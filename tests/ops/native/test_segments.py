"""Advantages of segments on a CPU against a loop over tokens: types that are widened, estimators, nothing at all."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rerec_engine.ops.native.segments import expand_segments, segment_advantage

RESPONSES = st.lists(
    st.tuples(
        st.sampled_from([-0.5, 0.125, 0.75, 2.0]),  # reward
        st.integers(0, 2),  # group
        st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=3),  # tokens and penalty of each segment
    ),
    min_size=1,
    max_size=6,
)


def by_token(responses: list[Any], w: float) -> list[float]:
    """ReRec's advantage of every token, each standardised among all tokens of its group."""
    tokens = [
        (group, reward - w * abs(reward) * bad)
        for reward, group, parts in responses
        for n, bad in parts
        for _ in range(n)
    ]
    out = []
    for group, value in tokens:
        peers = [v for g, v in tokens if g == group]
        spread = statistics.pstdev(peers)
        out.append((value - statistics.fmean(peers)) / spread if len(set(peers)) > 1 else 0.0)
    return out


def packed(responses: list[Any]) -> list[torch.Tensor]:
    parts = [part for _, _, own in responses for part in own]
    return [
        torch.tensor([n for n, _ in parts], dtype=torch.int64),
        torch.tensor([bad for _, bad in parts], dtype=torch.bool),
        torch.tensor(np.cumsum([0] + [len(own) for _, _, own in responses])),
        torch.tensor([reward for reward, _, _ in responses]),
        torch.tensor([group for _, group, _ in responses]),
    ]


@settings(max_examples=50)
@given(RESPONSES, st.sampled_from([0.0, 0.25, 1.0]))
def test_raae_equals_a_loop_over_tokens(responses: list[Any], w: float) -> None:
    inputs = packed(responses)
    found = expand_segments(segment_advantage(*inputs, w_penalty=w), inputs[0])
    assert found.tolist() == pytest.approx(by_token(responses, w), abs=2e-6)


EXAMPLE = [(1.0, 0, [(2, False), (3, True)]), (0.5, 0, [(1, False)]), (0.0, 0, []), (4.0, 1, [(2, False)])]


@pytest.mark.parametrize(
    "estimator, expected",
    [("dr_grpo", [0.5, 0.5, 0.0, 0.0]), ("rloo", [0.75, 0.75, 0.0, 0.0]), ("grpo", [0.999998, 0.999998, 0.0, 0.0])],
)
def test_the_other_estimators_look_at_responses_alone(estimator: Any, expected: list[float]) -> None:
    """Rewards 1, 0.5, 0: mean 0.5, sample deviation 0.5; a response without segments counts, one alone has none."""
    found = segment_advantage(*packed(EXAMPLE), w_penalty=0.9, estimator=estimator)
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-7, rtol=0)


def test_narrow_and_strided_inputs_are_the_same_numbers() -> None:
    lengths, bad, cu, rewards, group = packed(EXAMPLE)
    expected = segment_advantage(lengths, bad, cu, rewards, group)
    double = torch.stack([rewards, rewards], 1).double().requires_grad_()[:, 0]
    found = segment_advantage(lengths.int(), bad.byte(), cu.int(), double, group.short())
    assert not found.requires_grad
    assert torch.equal(found, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("total", [None, 6])
def test_expanded_tokens_keep_the_dtype(dtype: torch.dtype, total: int | None) -> None:
    found = expand_segments(torch.tensor([1.5, -2.0, 3.0, 0.25], dtype=dtype), torch.tensor([0, 2, 1, 3]), total)
    assert found.dtype == dtype
    assert found.tolist() == [-2.0, -2.0, 3.0, 0.25, 0.25, 0.25]


def test_no_token() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    assert expand_segments(torch.zeros(0), none).shape == (0,)
    assert expand_segments(torch.ones(2), torch.zeros(2, dtype=torch.int64)).shape == (0,)
    assert segment_advantage(none, none.bool(), torch.zeros(1).long(), torch.zeros(0), none).shape == (0,)
