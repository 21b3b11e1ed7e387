"""What depends on the order in which candidates are shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from rich.table import Table

from rerec_engine.metrics.orders import THIRDS, evaluate_orders
from rerec_engine.metrics.ranking.popularity import Popularity
from rerec_engine.types import Query


def query(i: int, candidates: Sequence[int] = range(6)) -> Query:
    return Query(id=f"q{i}", messages=(), ground_truth=(i % 6,), candidates=tuple(candidates))


def shuffled(query: Query, seed: int) -> Query:
    order = np.random.default_rng(seed).permutation(len(query.candidates))
    return replace(query, candidates=tuple(query.candidates[i] for i in order))


def model(answer: Callable[[Query], int | None]) -> Callable[[Sequence[Query]], Any]:
    """An evaluation of a model that answers so."""

    def evaluate(queries: Sequence[Query]) -> Any:
        items = [answer(query) for query in queries]
        rows = [
            {"items": [item], "answered": item is not None, "hit": item in query.ground_truth}
            for query, item in zip(queries, items, strict=True)
        ]
        return SimpleNamespace(rows=rows)

    return evaluate


def test_one_who_reads_answers_alike_in_every_order() -> None:
    queries = [query(i) for i in range(12)]
    _, found = evaluate_orders(model(lambda q: q.ground_truth[0]), queries, shuffled, 4)
    assert (found.orders, found.queries, found.accuracy.mean, found.depends.mean) == (4, 12, 1.0, 0.0)
    assert found.accuracy_by_order == [1.0] * 4
    assert found.accuracy_by_place == dict.fromkeys(THIRDS, 1.0)


def test_one_who_takes_the_first_depends_on_the_order_and_on_the_place() -> None:
    queries = [query(i) for i in range(300)]
    stored, found = evaluate_orders(model(lambda q: q.candidates[0]), queries, shuffled, 3, seed=2)
    assert [row["items"] for row in stored.rows] == [[0]] * 300  # in the order in which they are stored
    assert found.accuracy_by_order[0] == 1 / 6
    assert found.accuracy.mean == pytest.approx(1 / 6, abs=0.05)
    assert found.depends.mean == pytest.approx(1 - 1 / 36, abs=0.03)
    assert found.accuracy_by_place["first third"] == pytest.approx(1 / 2, abs=0.1)
    assert found.accuracy_by_place["last third"] == 0
    assert evaluate_orders(model(lambda q: q.candidates[0]), queries, shuffled, 3, seed=2)[1] == found
    assert evaluate_orders(model(lambda q: q.candidates[0]), queries, shuffled, 3, seed=3)[1] != found


def test_no_answer_is_an_answer_of_its_own() -> None:
    _, found = evaluate_orders(model(lambda q: 0 if q.candidates[0] == 0 else None), [query(0)], shuffled, 9)
    assert found.depends.mean == 1
    _, found = evaluate_orders(model(lambda q: None), [query(0)], shuffled, 9)
    assert (found.depends.mean, found.accuracy.mean) == (0, 0)


def test_open_queries_are_asked_once() -> None:
    asked: list[int] = []
    whole = model(lambda q: q.ground_truth[0])

    def evaluate(queries: Sequence[Query]) -> Any:
        asked.append(len(queries))
        return whole(queries)

    stored, found = evaluate_orders(evaluate, [query(0), query(1, ()), query(2)], shuffled, 3)
    assert (asked, len(stored.rows), found.queries) == ([3, 2, 2], 3, 2)
    for queries, orders in (([query(1, ())], 3), ([query(0)], 1)):
        with pytest.raises(ValueError, match="expected 2 orders and a query with 2 candidates"):
            evaluate_orders(evaluate, queries, shuffled, orders)


def test_accuracy_by_place_and_which_places_are_answered() -> None:
    queries = [query(i) for i in range(300)]
    _, found = evaluate_orders(model(lambda q: q.candidates[1]), queries, shuffled, 3)
    assert {place: group.accuracy.mean for place, group in found.by_place.items()} == {
        str(place): float(place == 2) for place in range(1, 7)
    }
    assert {place: group.chosen for place, group in found.by_place.items()} == {
        str(place): float(place == 2) for place in range(1, 7)
    }
    assert sum(group.answers for group in found.by_place.values()) == 900
    assert sum(group.answers for group in found.by_third.values()) == 900
    first = found.by_third["first third"]
    assert first.accuracy.mean == found.accuracy_by_place["first third"]
    assert first.accuracy.low < first.accuracy.mean < first.accuracy.high
    assert (found.by_popularity, found.lean) == ({}, None)


def test_accuracy_by_popularity_and_the_lean_to_what_is_popular() -> None:
    log = Popularity.of(sp.csr_matrix(np.arange(8)[:, None] < np.array([8, 3, 3, 1, 1, 0])))
    queries = [query(i) for i in range(60)]

    def popular(q: Query) -> int:
        return max(q.candidates, key=lambda item: log.taken[item])

    _, found = evaluate_orders(model(popular), queries, shuffled, 2, popularity=log)
    assert {name: (group.answers, group.accuracy.mean) for name, group in found.by_popularity.items()} == {
        "head items": (20, 1),
        "middle items": (40, 0),
        "tail items": (60, 0),
    }
    assert found.lean is not None
    assert (found.lean.mean, found.lean_of_right) == (1, 0.5)
    _, found = evaluate_orders(model(lambda q: None), queries, shuffled, 2, popularity=log)
    assert found.lean is None


def test_table_and_json(printed: Callable[[Table], list[str]], cells: Callable[[list[str]], list[list[str]]]) -> None:
    _, found = evaluate_orders(model(lambda q: q.ground_truth[0]), [query(0), query(5)], shuffled, 2)
    lines = printed(found.table())
    assert lines[0] == "the same 2 queries in 2 orders of their candidates"
    assert ["as stored", "2", "1.000"] in cells(lines)
    assert ["order 1", "2", "1.000"] in cells(lines)
    assert ["all", "4", "1.000 [1.000, 1.000]"] in cells(lines)
    assert [row[-2:] for row in cells(printed(found.places()))[1:]] == [
        ["█" * 24, f"{group.chosen:.3f}"] for group in found.by_place.values()
    ]
    assert lines[-1] == "the answer depends on the order: 0.000 [0.000, 0.000]"
    assert json.loads(json.dumps(found.to_json()))["depends"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
