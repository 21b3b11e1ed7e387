"""Figures of ranked lists, against ranx, RecTools and the plain formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.metrics.ranking.measures import CUTOFFS, MEASURES, distinct, measure, shown

ITEMS = 30
LISTS = st.lists(st.integers(-1, ITEMS - 1), max_size=25).map(distinct)
TRUTHS = st.lists(st.integers(0, ITEMS - 1), min_size=1, max_size=6, unique=True)
QUERIES = st.lists(st.tuples(LISTS, TRUTHS), min_size=1, max_size=8)


def plain(items: list[int], truth: list[int], k: int) -> list[float]:
    """HR, Recall, NDCG and MRR as their definitions read."""
    ranks = [rank for rank, item in enumerate(items[:k], 1) if item in truth]
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(truth)) + 1))
    gain = sum(1 / math.log2(rank + 1) for rank in ranks)
    return [float(bool(ranks)), len(ranks) / len(truth), gain / ideal, 1 / ranks[0] if ranks else 0.0]


def test_by_hand() -> None:
    found = measure([[7, -1, 3, 5]], [[3, 9]], (1, 3, 5))
    ideal = 1 + 1 / math.log2(3)
    assert found[0].T.tolist() == [[0, 0, 0, 0], *[pytest.approx([1, 0.5, 0.5 / ideal, 1 / 3])] * 2]


def test_an_empty_list_finds_nothing() -> None:
    assert not measure([[], [-1, -1]], [[0], [1]]).any()


@given(QUERIES)
def test_equal_to_the_definitions(queries: list[tuple[list[int], list[int]]]) -> None:
    lists, truths = zip(*queries, strict=True)
    found = measure(lists, truths)
    assert found.shape == (len(queries), len(MEASURES), len(CUTOFFS))
    for row, (items, truth) in enumerate(queries):
        for column, k in enumerate(CUTOFFS):
            assert found[row, :, column] == pytest.approx(plain(items, truth, k), abs=1e-12)


@pytest.mark.slow
def test_equal_to_ranx() -> None:
    ranx = pytest.importorskip("ranx", reason="ranx is missing: pip install .[test]")
    rng = np.random.default_rng(0)
    lists = [rng.permutation(ITEMS)[: rng.integers(1, 25)].tolist() for _ in range(200)]
    truths = [rng.permutation(ITEMS)[: rng.integers(1, 6)].tolist() for _ in range(200)]
    qrels = ranx.Qrels({f"{q:03}": {str(i): 1 for i in truth} for q, truth in enumerate(truths)})  # sorted by id
    run = ranx.Run({f"{q:03}": {str(i): -float(n) for n, i in enumerate(items)} for q, items in enumerate(lists)})
    names = [f"{name}@{k}" for name in ("hit_rate", "recall", "ndcg", "mrr") for k in CUTOFFS]
    theirs = ranx.evaluate(qrels, run, names, return_mean=False)
    ours = measure(lists, truths)
    for name, column in zip(names, ours.reshape(len(lists), -1).T, strict=True):
        assert column == pytest.approx(theirs[name], abs=1e-12), name


def test_equal_to_rectools() -> None:
    metrics = pytest.importorskip("rectools.metrics", reason="RecTools is missing: make test-rectools")
    import pandas as pd

    rng = np.random.default_rng(1)
    lists = [rng.permutation(ITEMS)[:12].tolist() for _ in range(60)]
    truths = [rng.permutation(ITEMS)[: rng.integers(1, 4)].tolist() for _ in range(60)]
    log = rng.random((40, ITEMS)) < 0.15
    log[0], log[1:, 5] = False, False
    reco = pd.DataFrame([(q, i, n) for q, own in enumerate(lists) for n, i in enumerate(own, 1)])
    reco.columns = ["user_id", "item_id", "rank"]
    truth = pd.DataFrame([(q, i) for q, own in enumerate(truths) for i in own], columns=["user_id", "item_id"])
    past = pd.DataFrame(np.argwhere(log), columns=["user_id", "item_id"])
    ours = measure(lists, truths).mean(axis=0)
    for column, k in enumerate(CUTOFFS):
        theirs = {"HR": metrics.HitRate(k=k), "Recall": metrics.Recall(k=k)}
        for name, metric in theirs.items():
            assert ours[MEASURES.index(name), column] == pytest.approx(metric.calc(reco, truth)), (name, k)
        beyond = shown(lists, k, log.sum(0), int(log.any(1).sum()))
        catalogue = np.arange(ITEMS)
        assert beyond.coverage == pytest.approx(metrics.CatalogCoverage(k=k, normalize=True).calc(reco, catalogue))
        assert beyond.novelty == pytest.approx(metrics.MeanInvUserFreq(k=k).calc_per_user(reco, past))
        assert beyond.popularity == pytest.approx(metrics.AvgRecPopularity(k=k).calc_per_user(reco, past))
    one = [own[:1] for own in truths]  # RecTools' MRR, and its NDCG whose ideal is a full list, of one right item
    truth = pd.DataFrame([(q, i) for q, own in enumerate(one) for i in own], columns=["user_id", "item_id"])
    ours = measure(lists, one).mean(axis=0)
    for column, k in enumerate(CUTOFFS):
        assert ours[MEASURES.index("MRR"), column] == pytest.approx(metrics.MRR(k=k).calc(reco, truth))


def test_what_is_shown_by_hand() -> None:
    found = shown([[0, 1, 3], [1, -1], [-1], []], 2, np.array([4, 1, 0, 2]), 4)
    assert found.coverage == 0.5
    assert found.novelty == pytest.approx([1.0, 2.0, np.nan, np.nan], nan_ok=True)
    assert found.popularity == pytest.approx([2.5, 1.0, np.nan, np.nan], nan_ok=True)
    assert shown([[2]], 1, np.array([4, 1, 0, 2]), 4).novelty[0] == 2  # as if one had taken it


def test_deeper_is_never_less() -> None:
    rng = np.random.default_rng(2)
    found = measure([rng.permutation(ITEMS)[:25].tolist() for _ in range(50)], [[3, 4]] * 50)
    for name in ("HR", "Recall", "MRR"):
        assert (np.diff(found[:, MEASURES.index(name)], axis=1) >= 0).all()


@pytest.mark.parametrize(
    ("lists", "truths", "cutoffs"),
    [([[1]], [[]], (1,)), ([[1]], [[1], [2]], (1,)), ([[1, 1]], [[1]], (1, 3)), ([[1]], [[1]], (0,))],
)
def test_what_is_no_ranking_is_refused(lists: list[list[int]], truths: list[list[int]], cutoffs: tuple[int]) -> None:
    with pytest.raises(ValueError, match=r"expected a list|holds an item twice|cut-offs"):
        measure(lists, truths, cutoffs)
    with pytest.raises(ValueError, match="k must be"):
        shown(lists, 0, np.zeros(3), 1)
