"""Rankers beside a model's answers."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.table import Table

from rerec_engine.metrics.comparison import compare, expected
from rerec_engine.metrics.report import CategoryReport, Estimate
from rerec_engine.types import Query

QUERIES = [
    Query(f"q{i}", (), ground_truth=(i % 5,), candidates=tuple(range(5)), category=("explicit", "implicit")[i % 2])
    for i in range(40)
]


def ndcg(right: list[bool], truths: int, k: int) -> float:
    """The definition, of a ranking best first."""
    gain = sum(1 / np.log2(rank + 2) for rank, hit in enumerate(right[:k]) if hit)
    return gain / sum(1 / np.log2(rank + 2) for rank in range(min(truths, k)))


def test_equal_scores_count_as_the_mean_over_their_orders() -> None:
    scores = np.array([2.0, 1.0, 2.0, -np.inf, 1.0, 2.0])
    right = np.array([False, True, True, True, False, False])
    orders = [[*first, *then] for first in itertools.permutations([0, 2, 5]) for then in itertools.permutations([1, 4])]
    for k in (1, 2, 4, 10):
        hit, gain = expected(scores, right, 3, k)
        assert hit == pytest.approx(1 / 3)
        assert gain == pytest.approx(np.mean([ndcg(right[order].tolist(), 3, k) for order in orders]))


def test_who_names_nothing_is_never_right() -> None:
    assert expected(np.full(3, -np.inf), np.array([True, False, False]), 1, 1) == (0, 0)


def test_a_query_that_a_ranker_knows_nothing_of_is_left_out_of_its_figures() -> None:
    def known(query: Query, shown: np.ndarray) -> np.ndarray | None:
        return np.isin(shown, query.ground_truth).astype(float) if query.category == "implicit" else None

    found = compare({"half": known, "nobody": lambda *_: None}, QUERIES, 5)
    assert found.figures["half"]["all"].queries == 20
    assert found.figures["half"]["all"].accuracy == Estimate(1, 1, 1)
    assert list(found.figures["half"]) == ["implicit", "all"]
    assert found.hits["half"][:2] == [None, 1.0]
    assert "nobody" not in found.figures
    assert found.notes == ("nobody: left out, no query has a history, or the log gives its answer away",)
    chance = found.figures["chance"]["all"]
    assert (chance.queries, chance.accuracy.mean) == (40, pytest.approx(0.2))
    assert chance.lead is None


def model(hits: list[bool]) -> Any:
    """As much of a report as is read."""
    part = CategoryReport(20, Estimate(0.5, 0.4, 0.6), Estimate(0.5, 0.4, 0.6), 0.2)
    rows = [{"id": query.id, "hit": hit} for query, hit in zip(QUERIES, hits, strict=True)]
    return SimpleNamespace(
        rows=rows, queries=40, accuracy=part.accuracy, by_category={"explicit": part, "implicit": part}
    )


def test_the_lead_is_paired() -> None:
    hits = [i % 3 > 0 for i in range(40)]

    def same(query: Query, shown: np.ndarray) -> np.ndarray:
        right = np.isin(shown, query.ground_truth)
        return np.where(right if hits[int(query.id[1:])] else ~right, 1.0, 0.0)

    found = compare({"the same": same}, QUERIES, 5, report=model(hits))
    lead = found.figures["the same"]["all"].lead
    assert lead == Estimate(0, 0, 0)  # each right and wrong where the model is
    chance = found.figures["chance"]["all"].lead
    assert chance is not None
    assert chance.mean == pytest.approx(26 / 40 - 0.2)


def test_a_report_of_other_queries_and_no_query_are_refused() -> None:
    with pytest.raises(ValueError, match="rows of these queries"):
        compare({}, QUERIES[:3], 5, report=model([True] * 40))
    with pytest.raises(ValueError, match="no query"):
        compare({}, [], 5)


def test_open_queries_rank_the_whole_catalogue() -> None:
    queries = [replace(query, candidates=()) for query in QUERIES]
    found = compare({"last": lambda _, shown: shown.astype(float)}, queries, 10)
    assert found.figures["chance"]["all"].accuracy.mean == pytest.approx(0.1)
    assert found.figures["last"]["all"].accuracy.mean == 0


def test_the_table_has_the_model_first_and_says_what_is_not_there(
    printed: Callable[[Table], list[str]], cells: Callable[[list[str]], list[list[str]]]
) -> None:
    some = {"some": lambda query, shown: None if query.category == "implicit" else np.zeros(len(shown))}
    found = compare(some, QUERIES, 5, split="test", notes=["other: left out, it is missing"])
    rows = cells(printed(found.table()))
    assert rows[0] == ["", "n", "accuracy", "NDCG@1"]
    assert [row[:2] for row in rows[1:]] == [
        ["explicit", ""],
        ["chance", "20"],
        ["some", "20"],
        ["implicit", ""],
        ["chance", "20"],
        ["all", ""],
        ["chance", "40"],
        ["some", "20"],
    ]
    beside = compare(some, QUERIES, 5, report=model([True] * 40), notes=["other: left out, it is missing"])
    lines = printed(beside.table(model([True] * 40)))
    rows = cells(lines)
    assert rows[0][3] == "the model's lead"
    assert rows[2] == ["the model", "20", "0.500 [0.400, 0.600]", ""]
    assert rows[3] == ["chance", "20", "0.200 [0.200, 0.200]", "+0.800 [+0.800, +0.800]"]
    assert "some: over n of the 40 queries; of the others no history" in " ".join(lines)
    assert "other: left out, it is missing" in " ".join(lines)


def test_one_category_alone_is_not_told_twice() -> None:
    assert list(compare({}, QUERIES[::2], 5).figures["chance"]) == ["all"]
