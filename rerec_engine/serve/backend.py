"""What draws the tokens of an answer: one of these a server."""

from __future__ import annotations

import queue
from collections.abc import Generator, Sequence
from typing import Protocol

from rerec_engine.errors import RunError
from rerec_engine.rollout.sampler import Sampler
from rerec_engine.types import Sampling


class Backend(Protocol):
    """Draws tokens for as many callers at once as it was made for, each in a thread of its own."""

    name: str

    def stream(self, prompt: Sequence[int], sampling: Sampling, seconds: float) -> Generator[int, None, None]:
        """Token ids of one response as they are drawn, the end token left out. seconds: after which nobody waits.

        Closing the generator ends the drawing. Raises `RunError` where the backend fails.
        """
        ...

    def fault(self) -> RunError | None:
        """Why it can draw no more, if so."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


class SamplerBackend:
    """The built-in sampler. Each caller has a cache of its own; the weights are there once."""

    name = "sampler"

    def __init__(self, sampler: Sampler, callers: int) -> None:
        self._free: queue.SimpleQueue[Sampler] = queue.SimpleQueue()
        for _ in range(callers):
            self._free.put(sampler.twin())

    def stream(self, prompt: Sequence[int], sampling: Sampling, seconds: float) -> Generator[int, None, None]:
        """See `Backend`."""
        sampler = self._free.get(timeout=seconds)
        try:
            yield from sampler.stream(prompt, sampling)
        finally:
            self._free.put(sampler)

    def fault(self) -> RunError | None:
        """None: it runs in this process."""
        return None

    def close(self) -> None:
        """Nothing is held beyond the policy itself."""
