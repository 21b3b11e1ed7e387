"""Rewards and token rewards of 2,560 real responses, from padded int64 tensors, against two baselines.

Published path: ReRec's own, in process, from its description (`baselines/published.py`). Tuned Python: the same work
in pure Python as fast as that goes (`baselines/tuned.py`). `baselines/agreement.py` says what must be equal, which is
asserted before anything is timed. Needs real data, see `reward_workload.py`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.common.data import missing_data
from bench.common.timing import against, benchmarked, medians
from bench.rewards.baselines import published, tuned
from bench.rewards.baselines.agreement import EQUAL, agreement
from bench.rewards.workload import FOLDERS, Workload, load_workload
from rerec_engine.reward import RewardEngine, Targets, TokenScores

TARGET_US = 2.5
TARGET_PUBLISHED, TARGET_TUNED, TARGET_THREADS = 1000, 12, 1.7
ROUNDS = 31
NAMES = ("total", "ndcg", "qas", "pas", "format")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Ours:
    """The engine on the workload, with one thread and with two."""

    work: Workload
    engine: RewardEngine
    two_threads: RewardEngine
    scored: TokenScores
    targets: Targets

    def from_titles(self) -> TokenScores:
        ids, lengths = self.work.padded
        return self.engine.score_tokens(
            ids, lengths, self.work.truth_titles, self.work.tokenizer, self.work.candidate_titles
        )

    def from_arrays(self, threads: int = 1) -> TokenScores:
        ids, lengths = self.work.padded
        engine = self.engine if threads == 1 else self.two_threads
        return engine.score_tokens(ids, lengths, self.work.truth, self.work.tokenizer, self.work.candidates)

    def from_targets(self) -> TokenScores:
        ids, lengths = self.work.padded
        return self.engine.score_tokens(ids, lengths, self.targets, self.work.tokenizer)

    def microseconds(self, seconds: float) -> float:
        """Of one response."""
        return seconds / len(self.work.texts) * 1e6


@pytest.fixture(scope="module")
def ours() -> Ours:
    reason = missing_data(*FOLDERS)
    if reason:
        pytest.skip(reason)
    work = load_workload()
    engine, two = work.tables.engine(1), work.tables.engine(2)
    ids, lengths = work.padded
    scored = engine.score_tokens(ids, lengths, work.truth_titles, work.tokenizer, work.candidate_titles)
    return Ours(work, engine, two, scored, engine.targets(work.truth, work.candidates))


def assert_same(result: TokenScores, expected: TokenScores) -> None:
    np.testing.assert_array_equal(result.token_rewards, expected.token_rewards)
    np.testing.assert_array_equal(result.segment_penalised, expected.segment_penalised)
    for name in NAMES:
        np.testing.assert_array_equal(getattr(result.scores, name), getattr(expected.scores, name))


@pytest.mark.parametrize("given", ["titles", "arrays", "targets"])
@pytest.mark.benchmark(group="rewards of 2,560 responses, 1 thread")
def test_ours(benchmark: BenchmarkFixture, ours: Ours, say: Say, given: str) -> None:
    """Ground truths and candidates as Python lists of titles, as int arrays [B] and [B, 20], and read beforehand."""
    run = {"titles": ours.from_titles, "arrays": ours.from_arrays, "targets": ours.from_targets}[given]
    assert_same(run(), ours.scored)
    benchmark.pedantic(run, rounds=ROUNDS, warmup_rounds=2)
    each = ours.microseconds(benchmarked(benchmark))
    benchmark.extra_info |= {"us per response": each, "target": TARGET_US, "responses": len(ours.work.texts)}
    say(f"rewards, from {given}: {each:.2f} us a response (target {TARGET_US})")


@pytest.mark.benchmark(group="rewards of 2,560 responses, 1 thread")
def test_ours_from_text(benchmark: BenchmarkFixture, ours: Ours, say: Say) -> None:
    """`score` on a list of str: no token rewards."""
    work = ours.work

    def run() -> object:
        return ours.engine.score(work.texts, work.truth, work.candidates)

    for name in NAMES:
        np.testing.assert_array_equal(getattr(run(), name), getattr(ours.scored.scores, name))
    benchmark.pedantic(run, rounds=ROUNDS, warmup_rounds=2)
    each = ours.microseconds(benchmarked(benchmark))
    benchmark.extra_info |= {"us per response": each}
    say(f"rewards, from list[str], without token rewards: {each:.2f} us a response")


@pytest.mark.benchmark(group="rewards of 2,560 responses, 2 threads")
def test_two_threads(benchmark: BenchmarkFixture, ours: Ours, say: Say) -> None:
    """The ratio means something only while two cores are free: the load at the start is kept beside it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if cores < 2:
        pytest.skip("needs two cores")
    load = os.getloadavg()[0]
    assert_same(ours.from_arrays(threads=2), ours.scored)
    one, two = medians([ours.from_arrays, lambda: ours.from_arrays(threads=2)], ROUNDS)
    benchmark.pedantic(ours.from_arrays, kwargs={"threads": 2}, rounds=ROUNDS, warmup_rounds=2)
    benchmark.extra_info |= {"one / two threads": one / two, "target": TARGET_THREADS, "cores": cores, "load": load}
    say(
        f"rewards, two threads: {ours.microseconds(two):.2f} us a response, {one / two:.2f} times one thread "
        f"(target {TARGET_THREADS}; {cores} cores, load {load:.2f})"
    )


def compare(
    benchmark: BenchmarkFixture,
    ours: Ours,
    say: Say,
    name: str,
    run: Callable[[], object],
    rounds: int,
    reasons: Counter[str],
    target: int,
) -> None:
    """Time a baseline, and the engine between its rounds; store and print how many times faster the engine is.

    The baseline's ground truths and candidates are made ready beforehand, as the engine's are in "targets".
    """
    runs = {"titles": ours.from_titles, "arrays": ours.from_arrays, "targets": ours.from_targets}
    ratios = against(benchmark, run, runs, rounds, warm_up=1)
    theirs = benchmarked(benchmark)
    others = {reason: count for reason, count in reasons.items() if reason != EQUAL}
    benchmark.extra_info |= {
        "us per response": ours.microseconds(theirs),
        **{f"ratio, ours from {given}": ratio for given, ratio in ratios.items()},
        "target": target,
        "equal": reasons[EQUAL],
        "not compared": others,
    }
    times = ", ".join(f"{ratio:.1f} (from {given})" for given, ratio in ratios.items())
    say(f"{name}: {ours.microseconds(theirs):.1f} us a response, so many times ours: {times}; target {target}")
    say(f"    equal on {reasons[EQUAL]} of {len(ours.work.texts)} responses; not compared: {others or 'none'}")


@pytest.mark.parametrize("ids", ["tensor", "list"])
@pytest.mark.benchmark(group="rewards of 2,560 responses, 1 thread")
def test_published_path(benchmark: BenchmarkFixture, ours: Ours, say: Say, ids: str) -> None:
    """`ids`: whether each id is decoded as it lies in the tensor, or from a list (which is faster)."""
    work = ours.work
    tables = (work.tables.titles, work.tables.attributes, work.tables.embeddings)
    path = published.PublishedPath(*tables, work.tokenizer, ids_as_list=ids == "list")
    padded, lengths = work.padded
    counts = lengths.tolist()

    def run() -> list[published.Result]:
        return [path.score(padded[i, :count], work.truth_titles[i]) for i, count in enumerate(counts)]

    results = run()
    index = {title: item for item, title in enumerate(work.tables.titles)}
    reasons = agreement(
        work,
        ours.scored,
        [None if r.item is None else index.get(r.item, -1) for r in results],
        {name: np.array([getattr(r, name) for r in results]) for name in NAMES},
        [r.token_rewards.numpy() for r in results],
    )
    assert reasons[EQUAL] > 0.9 * len(results), reasons
    name = f"published path, ids from a {ids}"
    compare(benchmark, ours, say, name, run, 3, reasons, TARGET_PUBLISHED)


@pytest.mark.benchmark(group="rewards of 2,560 responses, 1 thread")
def test_tuned_python(benchmark: BenchmarkFixture, ours: Ours, say: Say) -> None:
    work = ours.work
    path = tuned.TunedPython(work.tables.titles, work.tables.attributes, work.tables.embeddings, work.tokenizer)
    padded, lengths = (tensor.numpy() for tensor in work.padded)
    counts, truth = lengths.tolist(), work.truth.tolist()
    candidates = [frozenset(row) for row in work.candidates.tolist()]

    def run() -> tuple[list[tuned.Result], np.ndarray]:
        rewards = np.zeros(padded.shape, np.float32)
        scores = [
            path.score(padded[i, :count], truth[i], candidates[i], rewards[i, :count]) for i, count in enumerate(counts)
        ]
        return scores, rewards

    scores, rewards = run()
    reasons = agreement(
        work,
        ours.scored,
        [score.item for score in scores],
        {name: np.array([getattr(score, name) for score in scores]) for name in NAMES},
        [rewards[i, :count] for i, count in enumerate(counts)],
    )
    assert reasons[EQUAL] > 0.99 * len(scores), reasons
    compare(benchmark, ours, say, "tuned Python", run, 15, reasons, TARGET_TUNED)
