"""What one server takes on: sizes, lengths, how much at once and for how long."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio

from rerec_engine.serve.errors import ApiError


@dataclass(frozen=True)
class Limits:
    """body: bytes of a request. new_tokens: the most of an answer. concurrent: answers generated at once. queue:
    requests that may wait for their turn. seconds: for a request, waiting included. messages: of a request.
    characters: of its messages together.
    """

    body: int = 64 * 1024
    new_tokens: int = 768
    concurrent: int = 2
    queue: int = 32
    seconds: float = 120.0
    messages: int = 64
    characters: int = 32_000


class Gate:
    """Lets `concurrent` requests in and `queue` wait, in the order they came; refuses the rest. Of one event loop."""

    def __init__(self, concurrent: int, queue: int) -> None:
        self._places = anyio.Semaphore(concurrent, max_value=concurrent)
        self._concurrent, self._queue = concurrent, queue
        self._usual = 1.0  # seconds of an answer, a moving mean that begins with a guess

    @property
    def running(self) -> int:
        return self._concurrent - self._places.value

    @property
    def waiting(self) -> int:
        return self._places.statistics().tasks_waiting

    async def enter(self) -> None:
        """Take a place, after a wait where none is free. Raises `ApiError` 429 where too many wait already."""
        try:
            self._places.acquire_nowait()
        except anyio.WouldBlock:
            if self.waiting >= self._queue:
                raise ApiError(
                    429,
                    f"busy: {self.running} answers are being made and {self.waiting} requests wait; try again later",
                    code="rate_limit_exceeded",
                    retry_after=self.retry_after(),
                ) from None
            await self._places.acquire()

    def leave(self, seconds: float) -> None:
        """Give the place back after an answer that took `seconds`."""
        self._usual += 0.2 * (seconds - self._usual)
        self._places.release()

    def retry_after(self) -> int:
        """Whole seconds, 1 to 60, in which those who wait now should have been served."""
        return min(60, max(1, math.ceil(self._usual * self.waiting / self._concurrent)))


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raises `ApiError` 503 where what is awaited inside, the wait for a place, takes longer."""
    try:
        with anyio.fail_after(seconds):
            yield
    except TimeoutError:
        raise ApiError(
            503, f"no free place within {seconds:g} s; try again later", code="queue_timeout", retry_after=5
        ) from None
