"""How long the stages of a step take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Clock:
    """Seconds by stage, added up, and `total` since it was made. begins: told each stage as it begins."""

    def __init__(self, begins: Callable[[str], None] | None = None) -> None:
        self._begins = begins
        self._started = time.perf_counter()
        self._stages: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Count what is done within as `stage`."""
        if self._begins is not None:
            self._begins(stage)
        started = time.perf_counter()
        yield
        self._stages[stage] = self._stages.get(stage, 0.0) + time.perf_counter() - started

    def seconds(self) -> dict[str, float]:
        """The stages in the order in which they began, then the total so far."""
        return {**self._stages, "total": time.perf_counter() - self._started}
