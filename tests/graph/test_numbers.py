from __future__ import annotations

import numpy as np
import pytest

from rerec_engine.graph.numbers import ItemNumbers

PLAYERS = ItemNumbers(np.array([2, 3, np.nan, 1]), np.array([4, 3, np.nan, 8]))


@pytest.mark.parametrize(
    ("low", "high", "items"),
    [(4, 4, [0, 3]), (3, 3, [0, 1, 3]), (5, np.inf, [3]), (-np.inf, 1, [3]), (-np.inf, np.inf, [0, 1, 3]), (9, 9, [])],
)
def test_an_item_is_between_where_its_range_meets_the_asked_one(low: float, high: float, items: list[int]) -> None:
    assert np.flatnonzero(PLAYERS.between(low, high)).tolist() == items


def test_what_is_known_and_whether_there_are_ranges() -> None:
    assert PLAYERS.known.tolist() == [True, True, False, True]
    assert PLAYERS.ranges
    assert not ItemNumbers(np.array([1.5, np.nan]), np.array([1.5, np.nan])).ranges


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        ([1.0], [1.0, 2.0], "one length"),
        ([2.0], [1.0], "exceed"),
        ([np.nan], [1.0], "both"),
        ([-np.inf], [1.0], "finite"),
    ],
)
def test_ends_that_disagree_are_refused(low: list[float], high: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ItemNumbers(np.array(low), np.array(high))
