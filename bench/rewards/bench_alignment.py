"""QAS and PAS of 1,000,000 random (item, truth) pairs of the MovieLens-1M graph, one thread, ns per pair.

QAS against numba (a merge over the sorted rows) and SciPy (row-wise product); PAS against numba (fastmath) and numpy
(einsum). Equality is asserted before anything is timed. What memory allows is measured beside it: the same rows read
and added up without any other work, and the sequential bandwidth of an array far beyond the caches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numba
import numpy as np
import pytest
import scipy.sparse as sp
from pytest_benchmark.fixture import BenchmarkFixture

from bench.common.data import missing_data
from bench.common.timing import against, benchmarked
from bench.rewards.workload import WIDTH, ml1m
from rerec_engine.reward import RewardEngine

PAIRS = 1_000_000
TARGET = 2
ROUNDS = 11
Say = Callable[[str], None]


@dataclass(frozen=True)
class Pairs:
    engine: RewardEngine
    ptr: np.ndarray  # [N + 1] int64
    attributes: np.ndarray  # [nnz] int32, sorted within a row
    matrix: sp.csr_matrix  # [N, A] float32
    embeddings: np.ndarray  # [N, WIDTH] float32
    items: np.ndarray  # [PAIRS] int32
    truth: np.ndarray  # [PAIRS] int32
    expected_qas: np.ndarray  # [PAIRS] float64
    expected_pas: np.ndarray  # [PAIRS] float64


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    reason = missing_data("ml-1m", "ml-1m-dbpedia")
    if reason:
        pytest.skip(reason)
    tables = ml1m()
    matrix = sp.csr_matrix(tables.attributes, dtype=np.float32)
    rng = np.random.default_rng(0)
    items, truth = rng.integers(0, len(tables.titles), (2, PAIRS), dtype=np.int32)
    sets = [set(matrix.indices[begin:end].tolist()) for begin, end in pairwise(matrix.indptr)]
    shared = np.array([len(sets[a] & sets[b]) for a, b in zip(items.tolist(), truth.tolist(), strict=True)])
    wanted = np.array([len(row) for row in sets])[truth]
    assert wanted.min() > 0
    assert 0.1 < (shared > 0).mean() < 0.9
    wide = tables.embeddings.astype(np.float64)
    return Pairs(
        tables.engine(1),
        matrix.indptr.astype(np.int64),
        matrix.indices.astype(np.int32),
        matrix,
        tables.embeddings,
        items,
        truth,
        shared / wanted,
        np.concatenate([np.einsum("pd,pd->p", wide[a], wide[b]) for a, b in _parts(items, truth)]),
    )


def _parts(items: np.ndarray, truth: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs in parts whose gathered rows stay in a cache: faster for SciPy and numpy than all at once."""
    size = 4096
    return [(items[at : at + size], truth[at : at + size]) for at in range(0, len(items), size)]


@numba.njit(cache=False)
def numba_qas(ptr: np.ndarray, attributes: np.ndarray, items: np.ndarray, truth: np.ndarray) -> np.ndarray:
    out = np.empty(len(items), np.float32)
    for p in range(len(items)):
        i, i_end = ptr[items[p]], ptr[items[p] + 1]
        j, j_end = ptr[truth[p]], ptr[truth[p] + 1]
        wanted, shared = j_end - j, 0
        while i < i_end and j < j_end:
            a, b = attributes[i], attributes[j]
            shared += a == b
            i += a <= b
            j += b <= a
        out[p] = shared / wanted if wanted else 0.0
    return out


@numba.njit(cache=False, fastmath=True)
def numba_pas(embeddings: np.ndarray, items: np.ndarray, truth: np.ndarray) -> np.ndarray:
    out = np.empty(len(items), np.float32)
    for p in range(len(items)):
        a, b = embeddings[items[p]], embeddings[truth[p]]
        dot = np.float32(0)
        for d in range(embeddings.shape[1]):
            dot += a[d] * b[d]
        out[p] = dot
    return out


@numba.njit(cache=False, fastmath=True)
def read_rows(rows: np.ndarray, items: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Adds up both rows of each pair: the least that a function of the rows can do."""
    out = np.empty(len(items), np.float32)
    for p in range(len(items)):
        a, b = rows[items[p]], rows[truth[p]]
        total = np.float32(0)
        for d in range(rows.shape[1]):
            total += a[d] + b[d]
        out[p] = total
    return out


@numba.njit(cache=False)
def read_attributes(ptr: np.ndarray, attributes: np.ndarray, items: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Adds up both rows of each pair."""
    out = np.empty(len(items), np.int32)
    for p in range(len(items)):
        total = np.int32(0)
        for at in range(ptr[items[p]], ptr[items[p] + 1]):
            total += attributes[at]
        for at in range(ptr[truth[p]], ptr[truth[p] + 1]):
            total += attributes[at]
        out[p] = total
    return out


def scipy_qas(matrix: sp.csr_matrix, degree: np.ndarray, items: np.ndarray, truth: np.ndarray) -> np.ndarray:
    shared = [np.asarray(matrix[a].multiply(matrix[b]).sum(axis=1)).ravel() for a, b in _parts(items, truth)]
    return np.concatenate(shared) / np.maximum(degree[truth], 1)


def numpy_pas(embeddings: np.ndarray, items: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.concatenate([np.einsum("pd,pd->p", embeddings[a], embeddings[b]) for a, b in _parts(items, truth)])


def ours(pairs: Pairs, what: str) -> np.ndarray:
    return {"qas": pairs.engine.qas, "pas": pairs.engine.pas}[what](pairs.items, pairs.truth)


def compare(
    benchmark: BenchmarkFixture, say: Say, pairs: Pairs, what: str, name: str, run: Callable[[], object], rounds: int
) -> None:
    """Time one, and ours between its rounds; store and print how many times faster ours is."""
    own = {"ours": lambda: ours(pairs, what)} if name != "ours" else {}
    ratios = against(benchmark, run, own, rounds, warm_up=1)
    each = benchmarked(benchmark) / PAIRS * 1e9
    benchmark.extra_info |= {"ns per pair": each, "target": TARGET, **{f"times {n}": r for n, r in ratios.items()}}
    times = "".join(f", {ratio:.2f} times ours (target {TARGET})" for ratio in ratios.values())
    say(f"{what.upper()}, {name}: {each:.1f} ns a pair{times}")


@pytest.mark.benchmark(group="QAS of 1,000,000 pairs, 1 thread")
@pytest.mark.parametrize("name", ["ours", "numba", "scipy"])
def test_qas(benchmark: BenchmarkFixture, say: Say, pairs: Pairs, name: str) -> None:
    degree = np.diff(pairs.ptr)
    runs: dict[str, Callable[[], np.ndarray]] = {
        "ours": lambda: ours(pairs, "qas"),
        "numba": lambda: numba_qas(pairs.ptr, pairs.attributes, pairs.items, pairs.truth),
        "scipy": lambda: scipy_qas(pairs.matrix, degree, pairs.items, pairs.truth),
    }
    np.testing.assert_allclose(runs[name](), pairs.expected_qas, rtol=0, atol=1e-6)
    compare(benchmark, say, pairs, "qas", name, runs[name], ROUNDS)


@pytest.mark.benchmark(group="PAS of 1,000,000 pairs, 1 thread")
@pytest.mark.parametrize("name", ["ours", "numba", "numpy"])
def test_pas(benchmark: BenchmarkFixture, say: Say, pairs: Pairs, name: str) -> None:
    runs: dict[str, Callable[[], np.ndarray]] = {
        "ours": lambda: ours(pairs, "pas"),
        "numba": lambda: numba_pas(pairs.embeddings, pairs.items, pairs.truth),
        "numpy": lambda: numpy_pas(pairs.embeddings, pairs.items, pairs.truth),
    }
    np.testing.assert_allclose(runs[name](), pairs.expected_pas, rtol=0, atol=1e-6)
    compare(benchmark, say, pairs, "pas", name, runs[name], ROUNDS)


@pytest.mark.benchmark(group="floor: reading the rows of 1,000,000 pairs, 1 thread")
@pytest.mark.parametrize("name", ["qas", "pas"])
def test_floor(benchmark: BenchmarkFixture, say: Say, pairs: Pairs, name: str) -> None:
    """Bytes read a pair: two rows, their bounds, two item ids, and the result written."""
    if name == "pas":
        bytes_read = 2 * WIDTH * 4 + 8 + 4
        benchmark.pedantic(read_rows, (pairs.embeddings, pairs.items, pairs.truth), rounds=ROUNDS, warmup_rounds=1)
    else:
        degree = np.diff(pairs.ptr)
        bytes_read = 4 * (degree[pairs.items] + degree[pairs.truth]).mean() + 2 * 16 + 8 + 4
        arguments = (pairs.ptr, pairs.attributes, pairs.items, pairs.truth)
        benchmark.pedantic(read_attributes, arguments, rounds=ROUNDS, warmup_rounds=1)
    seconds = benchmarked(benchmark)
    benchmark.extra_info |= {"bytes per pair": float(bytes_read), "GB/s": bytes_read * PAIRS / seconds / 1e9}
    say(
        f"floor of {name.upper()}: reading {bytes_read:.0f} bytes takes {seconds / PAIRS * 1e9:.1f} ns a pair, "
        f"{bytes_read * PAIRS / seconds / 1e9:.1f} GB/s"
    )


@pytest.mark.benchmark(group="floor: sequential read, 1 thread")
@pytest.mark.parametrize("name", ["cache", "memory"])
def test_bandwidth(benchmark: BenchmarkFixture, say: Say, name: str) -> None:
    """The size of the embeddings of 3,883 items, over and over; and 256 MiB. float32, added up."""
    array = np.ones({"cache": 3883 * WIDTH, "memory": 1 << 26}[name], np.float32)
    times = (1 << 26) // len(array)
    benchmark.pedantic(_total, (array, times), rounds=ROUNDS, warmup_rounds=1)
    speed = times * array.nbytes / benchmarked(benchmark) / 1e9
    benchmark.extra_info |= {"GB/s": speed, "bytes": array.nbytes}
    say(f"sequential read, {array.nbytes / 1e6:.0f} MB ({name}): {speed:.1f} GB/s")


@numba.njit(cache=False, fastmath=True)
def _total(array: np.ndarray, times: int) -> float:
    """Adds up the array `times` times."""
    whole = 0.0
    for _ in range(times):
        total = np.float32(0)
        for i in range(len(array)):
            total += array[i]
        whole += float(total)
        array[0] += 1  # or the sum is taken once
    return whole
