"""NDCG@10 of 100,000 queries with 20 ranked items each, against scikit-learn, ranx and numpy, one thread each.

The data are generated: every query ranks its 20 candidates, of which one to three are right, so that all libraries'
ideal rankings are the same. Equality to 1e-6 is asserted before anything is timed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from sklearn.metrics import ndcg_score

from bench.common.timing import against, benchmarked
from rerec_engine.reward import ndcg

QUERIES, ITEMS, K = 100_000, 20, 10
TARGET_SKLEARN, TARGET_RANX = 20, 100
GROUP = "NDCG@10 of 100,000 queries x 20, 1 thread"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Rankings:
    items: np.ndarray  # [QUERIES, ITEMS] int64, best first
    truth: np.ndarray  # [QUERIES, 3] int64, -1 pads
    relevant: np.ndarray  # [QUERIES, ITEMS] float64, 1 where items is a truth
    scores: np.ndarray  # [QUERIES, ITEMS] float64, descending: what scikit-learn ranks by
    expected: np.ndarray  # [QUERIES] float64


@pytest.fixture(scope="module")
def rankings() -> Rankings:
    rng = np.random.default_rng(0)
    items = rng.permuted(np.tile(np.arange(200), (QUERIES, 1)), axis=1)[:, :ITEMS] * 19  # distinct within a query
    count = rng.integers(1, 4, QUERIES)
    places = rng.permuted(np.tile(np.arange(ITEMS), (QUERIES, 1)), axis=1)[:, :3]
    truth = np.where(np.arange(3) < count[:, None], np.take_along_axis(items, places, axis=1), -1)
    relevant = (items[:, :, None] == truth[:, None, :]).any(axis=2).astype(float)
    scores = np.tile(np.arange(ITEMS, 0, -1.0), (QUERIES, 1))
    expected = numpy_ndcg(items, truth)
    known = [ndcg_score(relevant[i : i + 1], scores[i : i + 1], k=K) for i in range(0, QUERIES, 50)]
    np.testing.assert_allclose(expected[::50], known, rtol=0, atol=1e-6)
    return Rankings(items, truth, relevant, scores, expected)


def numpy_ndcg(items: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """[QUERIES] float64, from the definition."""
    discount = 1 / np.log2(np.arange(K) + 2)
    hits = (items[:, :K, None] == truth[:, None, :]).any(axis=2)
    ideal = np.cumsum(discount)[np.minimum((truth >= 0).sum(axis=1), K) - 1]
    return hits @ discount / ideal


def ours(rankings: Rankings, threads: int = 1) -> np.ndarray:
    return ndcg(rankings.items, rankings.truth, K, threads=threads)


def compare(
    benchmark: BenchmarkFixture,
    say: Say,
    rankings: Rankings,
    name: str,
    run: Callable[[], object],
    rounds: int,
    target: int | None = None,
) -> None:
    """Time a library, and ours between its rounds; store and print how many times faster ours is."""
    ratio = against(benchmark, run, {"ours": lambda: ours(rankings)}, rounds)["ours"]
    each = benchmarked(benchmark) / QUERIES * 1e6
    benchmark.extra_info |= {"us per query": each, "times ours": ratio, "target": target}
    say(f"NDCG@10, {name}: {each:.4f} us a query, {ratio:.0f} times ours" + (f" (target {target})" if target else ""))


@pytest.mark.benchmark(group=GROUP)
def test_ours(benchmark: BenchmarkFixture, rankings: Rankings, say: Say) -> None:
    np.testing.assert_allclose(ours(rankings), rankings.expected, rtol=0, atol=1e-6)
    benchmark.pedantic(ours, (rankings,), rounds=51, warmup_rounds=2)
    each = benchmarked(benchmark) / QUERIES * 1e6
    benchmark.extra_info |= {"us per query": each}
    say(f"NDCG@10, ours: {each:.4f} us a query")


@pytest.mark.benchmark(group=GROUP)
def test_numpy(benchmark: BenchmarkFixture, rankings: Rankings, say: Say) -> None:
    compare(benchmark, say, rankings, "numpy", lambda: numpy_ndcg(rankings.items, rankings.truth), rounds=9)


@pytest.mark.parametrize("ignore_ties", [True, False])
@pytest.mark.benchmark(group=GROUP)
def test_scikit_learn(benchmark: BenchmarkFixture, rankings: Rankings, say: Say, ignore_ties: bool) -> None:
    """Its mean over all queries from matrices of relevance and score, whose making is not timed."""

    def run() -> float:
        return ndcg_score(rankings.relevant, rankings.scores, k=K, ignore_ties=ignore_ties)

    assert run() == pytest.approx(rankings.expected.mean(), abs=1e-6)
    name = "scikit-learn" + ("" if ignore_ties else ", ties averaged (its default)")
    compare(benchmark, say, rankings, name, run, 5 if ignore_ties else 3, TARGET_SKLEARN)


@pytest.fixture(scope="module")
def ranx() -> Iterator[Any]:
    """The library, with one thread."""
    module = pytest.importorskip("ranx", reason="ranx is not installed: pip install -e .[bench]")
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    yield module
    numba.set_num_threads(threads)


def build_ranx(ranx: Any, rankings: Rankings) -> tuple[Any, Any]:
    """Its Qrels and Run, from dictionaries of dictionaries as it asks for."""
    names = [f"{query:06d}" for query in range(QUERIES)]  # it answers in the order of the names
    wanted = [[str(item) for item in row if item >= 0] for row in rankings.truth.tolist()]
    qrels = {name: dict.fromkeys(items, 1) for name, items in zip(names, wanted, strict=True)}
    scores = list(range(ITEMS, 0, -1))
    run = {
        name: dict(zip(map(str, row), scores, strict=True))
        for name, row in zip(names, rankings.items.tolist(), strict=True)
    }
    return ranx.Qrels(qrels), ranx.Run(run)


@pytest.mark.benchmark(group=GROUP)
def test_ranx(benchmark: BenchmarkFixture, rankings: Rankings, say: Say, ranx: Any) -> None:
    """Scoring alone; its own objects are made beforehand."""
    built = build_ranx(ranx, rankings)

    def run() -> np.ndarray:
        return ranx.evaluate(*built, f"ndcg@{K}", return_mean=False)

    np.testing.assert_allclose(run(), rankings.expected, rtol=0, atol=1e-6)
    compare(benchmark, say, rankings, "ranx, scoring", run, 5, TARGET_RANX)


@pytest.mark.benchmark(group=GROUP)
def test_ranx_building(benchmark: BenchmarkFixture, rankings: Rankings, say: Say, ranx: Any) -> None:
    """Making its Qrels and Run from the same arrays."""
    compare(benchmark, say, rankings, "ranx, building Qrels and Run", lambda: build_ranx(ranx, rankings), rounds=3)
