"""Conditions and their keys."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.worlds.catalogue.conditions import Condition, Span

HOLDS = {
    "under": lambda x, first, last: x < first,
    "before": lambda x, first, last: x < first,
    "over": lambda x, first, last: x > first,
    "after": lambda x, first, last: x > first,
    "between": lambda x, first, last: first <= x <= last,
    "exactly": lambda x, first, last: first <= x <= last,
    "decade": lambda x, first, last: first <= x <= last,
}


@given(
    st.sampled_from(sorted(HOLDS)),
    st.floats(-1e6, 1e6, allow_nan=False),
    st.floats(0, 1e3, allow_nan=False),
    st.floats(-1e6, 1e6, allow_nan=False),
)
def test_bounds_hold_what_the_word_says(how: str, first: float, gap: float, number: float) -> None:
    last = first + (0 if how == "exactly" else gap)
    low, high = Span(how, first, last).bounds
    for x in (number, first, last, np.nextafter(first, np.inf), np.nextafter(first, -np.inf)):
        assert (low <= x <= high) == HOLDS[how](x, first, last)


@pytest.mark.parametrize(("how", "best"), [("most", True), ("least", True), ("under", False), ("decade", False)])
def test_superlatives(how: str, best: bool) -> None:
    assert Span(how).best is best


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Condition("genre", (2,)), "genre=c"),
        (Condition("genre", (2, 0)), "genre=a|c"),
        (Condition("genre", (1,), excluded=True), "not genre=b"),
        (Condition("price", span=Span("under", 24.95)), "price<24.95"),
        (Condition("year", span=Span("after", 1990)), "year>1990"),
        (Condition("year", span=Span("decade", 1990, 1999)), "year=1990..1999"),
        (Condition("players", span=Span("exactly", 4, 4)), "players=4..4"),
        (Condition("price", span=Span("least")), "price:least"),
    ],
)
def test_keys(condition: Condition, expected: str) -> None:
    assert condition.key(["a", "b", "c"]) == expected


IDS = st.frozensets(st.integers(0, 5), min_size=1, max_size=4)


@given(IDS, IDS, st.booleans(), st.booleans(), st.randoms(use_true_random=False))
def test_two_conditions_have_one_key_where_they_ask_the_same(
    ids: frozenset[int], others: frozenset[int], out: bool, other_out: bool, random: Random
) -> None:
    values = [f"value {i}" for i in range(6)]
    shuffled = random.sample(sorted(others), len(others))
    own, other = Condition("tag", tuple(ids), out), Condition("tag", tuple(shuffled), other_out)
    assert (own.key(values) == other.key(values)) == ((ids, out) == (others, other_out))
    assert own.key(values) != Condition("theme", tuple(ids), out).key(values)
