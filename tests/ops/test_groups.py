"""Statistics within groups against Python's own: weights, scattered ids, constant and single members."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rerec_engine.ops.groups import entry_advantage, group_advantage, standardise

VALUES = st.sampled_from([-3.0, -0.1, 0.0, 0.1, 0.125, 1.1, 1e6])


def by_hand(rewards: list[float], group: list[int], estimator: str) -> list[float]:
    out = []
    for i, (reward, own) in enumerate(zip(rewards, group, strict=True)):
        peers = [r for r, g in zip(rewards, group, strict=True) if g == own]
        others = [r for j, (r, g) in enumerate(zip(rewards, group, strict=True)) if g == own and j != i]
        if len(set(peers)) == 1:
            out.append(0.0)
        elif estimator == "grpo":
            out.append((reward - statistics.fmean(peers)) / (statistics.stdev(peers) + 1e-6))
        elif estimator == "rloo":
            out.append(reward - statistics.fmean(others))
        else:
            out.append(reward - statistics.fmean(peers))
    return out


@settings(max_examples=60)
@given(st.lists(st.tuples(VALUES, st.integers(0, 4)), max_size=9), st.sampled_from(["grpo", "rloo", "dr_grpo"]))
def test_advantages_equal_pythons_statistics(members: list[tuple[float, int]], estimator: Any) -> None:
    rewards, group = [r for r, _ in members], [g for _, g in members]
    found = group_advantage(
        torch.tensor(rewards, dtype=torch.float64), torch.tensor(group, dtype=torch.int64), estimator
    )
    assert found.dtype == torch.float32
    assert found.tolist() == pytest.approx(by_hand(rewards, group, estimator), rel=2e-7, abs=1e-8)


@pytest.mark.parametrize("estimator", ["grpo", "rloo", "dr_grpo"])
@pytest.mark.parametrize("reward", [0.1, 1e-30, 123456.789])
def test_a_constant_group_and_a_single_member_get_exactly_zero(estimator: Any, reward: float) -> None:
    """Not the rounding of a mean: three times 0.1 over 3 is not 0.1."""
    rewards, group = torch.tensor([reward] * 7 + [5.0]), torch.tensor([2] * 7 + [0])
    assert not group_advantage(rewards, group, estimator).any()


@pytest.mark.parametrize("estimator", ["raae", "mean"])
def test_unknown_estimators_are_refused(estimator: Any) -> None:
    with pytest.raises(ValueError) as raised:
        group_advantage(torch.zeros(2), torch.zeros(2).long(), estimator)
    assert str(raised.value) == f"estimator must be grpo, dr_grpo or rloo, got {estimator!r}"


@settings(max_examples=60)
@given(st.lists(st.tuples(VALUES, st.integers(0, 4), st.integers(0, 2)), max_size=9))
def test_a_weight_is_so_many_copies(members: list[tuple[float, int, int]]) -> None:
    values, weights, group = (torch.tensor([m[i] for m in members], dtype=torch.float64) for i in range(3))
    found = standardise(values, weights, group.long())
    assert found.dtype == torch.float64
    for value, weight, own, ours in zip(values.tolist(), weights.tolist(), group.tolist(), found.tolist(), strict=True):
        peers = [v for v, w, g in members if g == own for _ in range(w)]
        if len(set(peers)) < 2:
            assert ours == 0.0
        elif weight:
            mean, std = statistics.fmean(peers), statistics.pstdev(peers)
            assert ours == pytest.approx((value - mean) / std, rel=1e-9, abs=1e-9)


def test_values_whose_squares_vanish_stay_zero_and_not_nan() -> None:
    found = standardise(torch.tensor([0.0, 1e-200], dtype=torch.float64), torch.ones(2), torch.zeros(2).long())
    assert found.tolist() == [0.0, 0.0]


def test_members_without_weight_do_not_make_a_group_vary() -> None:
    found = standardise(torch.tensor([1.0, 1.0, 9.0]), torch.tensor([2.0, 1.0, 0.0]), torch.zeros(3).long())
    assert found.tolist() == [0.0, 0.0, 0.0]


def test_ids_of_any_integer_type_and_no_member() -> None:
    assert standardise(torch.tensor([1.0, 3.0]), torch.ones(2), torch.tensor([7, 7], dtype=torch.int32)).tolist() == [
        -1,
        1,
    ]
    assert group_advantage(torch.zeros(0), torch.zeros(0).long(), "grpo").shape == (0,)


lists = st.lists(st.lists(st.sampled_from([-0.1, 0.0, 0.25, 1 / 3, 1.0]), max_size=5), min_size=1, max_size=5)


@given(groups=st.lists(lists, min_size=1, max_size=4))
def test_entries_against_a_table_of_each_group(groups: list[list[list[float]]]) -> None:
    """The table has a row a response and a column a place; a shorter list is filled up with 0."""
    rewards, place, group, wanted = [], [], [], []
    for g, responses in enumerate(groups):
        table = np.zeros((len(responses), 5))
        for i, row in enumerate(responses):
            table[i, : len(row)] = row
        for row in responses:
            for j, reward in enumerate(row):
                column = table[:, j]
                varied = len(set(column)) > 1
                wanted.append((reward - column.mean()) / (column.std(ddof=1) + 1e-6) if varied else 0.0)
            rewards += row
            place += range(len(row))
            group += [g] * len(row)
    sizes = torch.tensor([len(responses) for responses in groups])
    numbers = (torch.tensor(x, dtype=torch.long) for x in (place, group))
    found = entry_advantage(torch.tensor(rewards, dtype=torch.float64), *numbers, sizes)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, wanted, atol=1e-6)
