"""Lists out of scores, answers, votes and searches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.metrics.ranking.sources import DEPTH, best, by_answers, by_rankers, by_search, by_votes, ranked
from rerec_engine.types import Query


def query(name: str, candidates: tuple[int, ...] = ()) -> Query:
    return Query(name, (), (3,), candidates)


def test_what_is_ranked() -> None:
    assert ranked(query("a", (3, 4)), 9, "candidates") == (3, 4)
    assert ranked(query("a", (3, 4)), 9, "catalogue") == ranked(query("a"), 9, "candidates") == range(9)


def test_scores_rank_and_minus_infinity_rules_out() -> None:
    scores = np.array([1.0, 3.0, -np.inf, 2.0])
    assert best(np.array([10, 11, 12, 13]), scores, seed=0) == [11, 13, 10]
    assert best(np.array([10, 11, 12, 13]), scores, seed=0, depth=1) == [11]
    assert len(best(np.arange(100), np.arange(100.0), seed=0)) == DEPTH


def test_equal_scores_are_drawn() -> None:
    """An order by id would favour what stands first in a catalogue, popular items as a rule."""
    firsts = [best(np.arange(4), np.array([1, 1, 0, 1 + 1e-12]), seed)[0] for seed in range(600)]
    assert np.bincount(firsts, minlength=4) == pytest.approx([200, 200, 0, 200], abs=50)
    assert best(np.arange(50), np.zeros(50), 7) == best(np.arange(50), np.zeros(50), 7)


@given(st.lists(st.floats(-9, 9, allow_nan=False), min_size=1, max_size=40), st.integers(0, 99))
def test_every_list_is_in_order(scores: list[float], seed: int) -> None:
    array = np.round(scores, 3)
    found = best(np.arange(len(scores)), array, seed)
    assert len(set(found)) == len(found) == min(len(scores), DEPTH)
    assert array[found].tolist() == sorted(array, reverse=True)[: len(found)]


def test_rankers_give_lists_where_they_know_something() -> None:
    def odd(of: Query, shown: np.ndarray) -> np.ndarray | None:
        return None if of.id == "a" else np.where(shown % 2, shown.astype(float), -np.inf)

    queries = [query("a"), query("b"), query("c", (1, 2, 3))]
    found = by_rankers({"odd": odd, "size": lambda _, shown: -shown}, queries, 6)
    assert found == {"odd": {"b": [5, 3, 1], "c": [3, 1]}, "size": {"a": [*range(6)], "b": [*range(6)], "c": [1, 2, 3]}}
    assert by_rankers({"odd": odd}, queries, 6, over="catalogue")["odd"]["c"] == [5, 3, 1]


def test_answers_give_their_items() -> None:
    rows: list[dict[str, Any]] = [
        {"id": "a", "items": [4, -1, 4, -1, 2], "answered": True},
        {"id": "b", "items": [4], "answered": False},
    ]
    assert by_answers(rows) == {"a": [4, -1, -1, 2], "b": []}


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([], []),
        ([[], []], []),
        ([[5], [6], [6]], [6, 5]),
        ([[5], [6]], [5, 6]),
        ([[6], [5]], [6, 5]),
        ([[5, 5, 5], [6], [6]], [6, 5]),  # an answer has one vote for an item
        ([[-1, 8], [-1], [9, 8]], [8, 9]),
    ],
)
def test_votes(answers: list[list[int]], expected: list[int]) -> None:
    assert by_votes(answers) == expected


def test_a_search_is_given_prompts_and_what_they_may_name() -> None:
    asked: list[tuple[list[Any], list[Any]]] = []

    def search(prompts: Sequence[Sequence[int]], items: Sequence[Sequence[int]]) -> list[list[tuple[int, float]]]:
        asked.append(([list(p) for p in prompts], [list(i) for i in items]))
        return [[(item, -float(n)) for n, item in enumerate(reversed(own))] for own in items]

    queries = [query("a", (1, 2)), query("b"), query("c", (3,))]
    found = by_search(search, lambda q: [len(q.candidates)], queries, 4, at_once=2)
    assert found == {"a": [2, 1], "b": [3, 2, 1, 0], "c": [3]}
    assert asked == [([[2], [0]], [[1, 2], [0, 1, 2, 3]]), ([[1]], [[3]])]
