"""Medians of repeated runs, told apart from pytest-benchmark's so that two things can be timed side by side."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence


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
