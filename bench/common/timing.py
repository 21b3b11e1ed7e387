"""Medians of repeated runs beside pytest-benchmark's, so that two things can be timed side by side."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture


def medians(runs: Sequence[Callable[[], object]], rounds: int, warm_up: int = 1) -> list[float]:
    """Median seconds of each, taken in turn, so that a busy moment of the machine meets all of them."""
    for run in runs:
        for _ in range(warm_up):
            run()
    seconds: list[list[float]] = [[] for _ in runs]
    collects = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            for run, times in zip(runs, seconds, strict=True):
                begin = time.perf_counter()
                run()
                times.append(time.perf_counter() - begin)
    finally:
        if collects:
            gc.enable()
    return [statistics.median(times) for times in seconds]


def median(run: Callable[[], object], rounds: int, warm_up: int = 1) -> float:
    """Median seconds of one."""
    return medians([run], rounds, warm_up)[0]


def benchmarked(benchmark: BenchmarkFixture) -> float:
    """Median seconds of what a fixture has timed."""
    assert benchmark.stats is not None, "nothing was timed"
    return float(benchmark.stats.stats.median)


def against(
    benchmark: BenchmarkFixture,
    theirs: Callable[[], object],
    ours: Mapping[str, Callable[[], object]],
    rounds: int,
    warm_up: int = 0,
) -> dict[str, float]:
    """Benchmark theirs, with each of ours timed between its rounds: how many times ours theirs takes, by name."""
    seconds: dict[str, list[float]] = {name: [] for name in ours}

    def between() -> None:
        for name, run in ours.items():
            seconds[name].append(median(run, rounds=5))

    for _ in range(warm_up):
        theirs()
    benchmark.pedantic(theirs, setup=between, rounds=rounds)
    return {name: benchmarked(benchmark) / statistics.median(times) for name, times in seconds.items()}
