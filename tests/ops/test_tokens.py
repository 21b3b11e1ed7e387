"""Weights of tokens and means of responses against a loop: empty responses, masked ones, no token at all."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rerec_engine.ops.tokens import owners, sequence_mean, token_weights

RESPONSES = st.lists(st.lists(st.booleans(), max_size=5), min_size=1, max_size=5)  # each token: whether it is kept


def packed(responses: list[list[bool]]) -> tuple[torch.Tensor, torch.Tensor]:
    bounds = [0]
    for response in responses:
        bounds.append(bounds[-1] + len(response))
    return torch.tensor([k for r in responses for k in r], dtype=torch.bool), torch.tensor(bounds)


@settings(max_examples=60)
@given(RESPONSES)
def test_weights_and_denominators_equal_a_loop(responses: list[list[bool]]) -> None:
    kept, cu = packed(responses)
    tokens = [float(k) for r in responses for k in r]
    shares = [k / sum(r) if k else 0.0 for r in responses for k in r]
    expected = {
        "token_mean": (tokens, sum(tokens)),
        "sequence_mean": (shares, sum(any(r) for r in responses)),
        "dr_grpo": (tokens, len(responses) * max(map(len, responses))),
    }
    for aggregation, (weights, denominator) in expected.items():
        found, count = token_weights(kept, cu, aggregation, torch.float64)
        assert found.dtype == torch.float64
        assert found.tolist() == pytest.approx(weights)
        assert int(count) == max(denominator, 1)


@pytest.mark.parametrize("aggregation", ["token_mean", "dr_grpo", "sequence_mean"])
def test_without_bounds_every_kept_token_weighs_one(aggregation: Any) -> None:
    found, count = token_weights(torch.tensor([True, False, True]), None, aggregation, torch.float32)
    assert found.tolist() == [1.0, 0.0, 1.0]
    assert int(count) == 2


@pytest.mark.parametrize("aggregation", ["token_mean", "dr_grpo", "sequence_mean"])
@pytest.mark.parametrize("bounds", [[0], [0, 0, 0]], ids=["no response", "empty responses"])
def test_nothing_at_all_is_divided_by_one(aggregation: Any, bounds: list[int]) -> None:
    found, count = token_weights(torch.zeros(0).bool(), torch.tensor(bounds), aggregation, torch.float32)
    assert found.shape == (0,)
    assert int(count) == 1


@settings(max_examples=60)
@given(RESPONSES)
def test_means_of_responses_equal_a_loop(responses: list[list[bool]]) -> None:
    kept, cu = packed(responses)
    values = torch.linspace(-1, 2, kept.numel(), dtype=torch.float64)
    expected = []
    for start, stop in pairwise(cu.tolist()):
        live = [v for v, k in zip(values[start:stop].tolist(), kept[start:stop].tolist(), strict=True) if k]
        expected += [sum(live) / max(len(live), 1)] * (stop - start)
    found = sequence_mean(values.masked_fill(~kept, torch.nan), kept, cu)  # what is masked is not looked at
    assert found.dtype == torch.float64
    assert found.tolist() == pytest.approx(expected)


def test_a_live_nan_stays_within_its_response() -> None:
    values = torch.tensor([1.0, torch.nan, 3.0])
    found = sequence_mean(values, torch.ones(3).bool(), torch.tensor([0, 2, 3], dtype=torch.int32))
    assert found.isnan().tolist() == [True, True, False]
    assert found[2] == 3.0


def test_owners_skip_empty_responses() -> None:
    assert owners(torch.tensor([0, 0, 2, 2, 3, 3]), 3).tolist() == [1, 1, 3]
    assert owners(torch.tensor([0]), 0).tolist() == []
