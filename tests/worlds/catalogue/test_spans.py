"""Spans of numbers that hold an item's."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rerec_engine.graph.numbers import ItemNumbers
from rerec_engine.worlds.catalogue.spans import MOST, draw_span

NUMBERS = st.lists(
    st.one_of(st.just(np.nan), st.floats(0.01, 1e9), st.integers(1, 12).map(float), st.integers(-5, 0).map(float)),
    min_size=1, max_size=30,
)  # fmt: skip


@given(NUMBERS, st.sampled_from([0.0, 0.0, 1.0, 3.5]), st.integers(0, 2**32 - 1), st.data())
def test_a_span_holds_the_items_number_and_not_nearly_all(
    low: list[float], wide: float, seed: int, data: st.DataObject
) -> None:
    own = ItemNumbers(np.array(low), np.array(low) + wide)
    item = data.draw(st.integers(0, len(low) - 1))
    span = draw_span(np.random.default_rng(seed), "price", own, item)
    if span is None:
        return
    assert not np.isnan(low[item])
    held = own.between(*span.bounds)
    assert held[item]
    assert held.sum() <= MOST * own.known.sum()
    if wide:
        assert (span.how, span.first, span.last) == ("exactly", round(span.first), span.first)


@given(st.lists(st.integers(1900, 2025).map(float), min_size=20, max_size=40), st.integers(0, 2**32 - 1))
def test_years_are_whole_and_decades_begin_with_a_nought(years: list[float], seed: int) -> None:
    own = ItemNumbers(np.array(years), np.array(years))
    span = draw_span(np.random.default_rng(seed), "year", own, 0)
    assume(span is not None)
    assert span is not None
    assert own.between(*span.bounds)[0]
    assert (span.first, span.last) == (round(span.first), round(span.last))
    if span.how == "decade":
        assert (span.first % 10, span.last - span.first) == (0, 9)
        assert span.first <= years[0] <= span.last


@pytest.mark.parametrize(
    ("name", "low", "hows"),
    [
        ("year", np.arange(1950.0, 2010), {"decade", "after", "before", "between", "exactly"}),
        ("price", np.geomspace(3, 900, 40), {"under", "over", "between"}),
        ("players", np.tile([1.0, 2, 3, 4, 5, 6], 9), {"under", "over", "between", "exactly"}),
    ],
)
def test_every_way_occurs(name: str, low: np.ndarray, hows: set[str]) -> None:
    rng, own = np.random.default_rng(0), ItemNumbers(low, low)
    drawn = Counter(span.how for i in range(300) if (span := draw_span(rng, name, own, i % len(low))))
    assert set(drawn) == hows
    assert min(drawn.values()) > 10


@pytest.mark.parametrize("number", [0.37, 7.0, 24.95, 1380.0, 2.5e8])
def test_limits_are_round_and_near(number: float) -> None:
    low = number * np.geomspace(0.05, 20, 30)
    own = ItemNumbers(np.append(low, number), np.append(low, number))
    rng = np.random.default_rng(0)
    for _ in range(50):
        span = draw_span(rng, "price", own, 30)
        assert span is not None
        for limit in (span.first, span.last):
            digits = f"{limit:.12g}".replace(".", "").replace("e+", "").strip("0")
            assert len(digits) <= 2
            assert limit == 0 or number / 30 < limit < number * 30


def test_nothing_is_asked_of_what_is_not_known_or_tells_nothing_apart() -> None:
    rng = np.random.default_rng(0)
    assert draw_span(rng, "price", ItemNumbers(np.array([np.nan, 3.0]), np.array([np.nan, 3.0])), 0) is None
    same = np.full(9, 1990.0)
    assert draw_span(rng, "year", ItemNumbers(same, same), 0) is None
