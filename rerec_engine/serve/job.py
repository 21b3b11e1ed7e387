"""An answer made in a worker thread, as the event loop sees it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from rerec_engine.assistant.stream import Thought
from rerec_engine.errors import RunError
from rerec_engine.serve.conversation import Conversation, Question, Reply
from rerec_engine.serve.errors import ApiError
from rerec_engine.serve.limits import Gate, within

GRACE = 0.5  # seconds that a worker has to tell by itself that its time is up


class Job:
    """Pieces of the reasoning, then the reply. `begin` returns when the question has been accepted."""

    def __init__(self, question: Question) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[str | Thought | Reply | Exception | None] = asyncio.Queue()
        self._question = question
        self._cancelled = threading.Event()

    @classmethod
    async def begin(
        cls, question: Question, conversation: Conversation, gate: Gate, executor: ThreadPoolExecutor
    ) -> Job:
        """Wait for a place, then start. Raises `ApiError`. The place is given back when the worker has ended."""
        job = cls(question)
        with within(max(0.0, question.deadline - time.monotonic())):
            await gate.enter()
        began = time.monotonic()
        work = job._loop.run_in_executor(executor, job._work, conversation)
        work.add_done_callback(lambda _: gate.leave(time.monotonic() - began))
        try:
            await job._next()
        except BaseException:
            job.cancel()
            raise
        return job

    def cancel(self) -> None:
        """Nobody waits: the worker ends at its next token."""
        self._cancelled.set()

    async def events(self) -> AsyncIterator[str | Thought | Reply]:
        """Raises `ApiError` where something fails on the way. Cancels the work when it is closed."""
        try:
            while True:
                event = await self._next()
                if event is not None:
                    yield event
                if isinstance(event, Reply):
                    return
        finally:
            self.cancel()

    async def _next(self) -> str | Thought | Reply | None:
        left = self._question.deadline - time.monotonic() + GRACE
        try:
            event = await asyncio.wait_for(self._events.get(), max(0.0, left))
        except asyncio.TimeoutError:
            raise ApiError(504, "the answer took too long", code="timeout") from None
        if isinstance(event, Exception):
            raise event
        return event

    def _work(self, conversation: Conversation) -> None:
        try:
            self._answer(conversation)
        except RunError as error:
            self._tell(ApiError(503, str(error), code="engine_failed"))
        except Exception as error:
            self._tell(error)

    def _answer(self, conversation: Conversation) -> None:
        stopping = ApiError(503, "the server is stopping", code="stopping")
        if self._cancelled.is_set():
            raise stopping
        with closing(conversation.stream(self._question)) as events:
            self._tell(None)  # the question has been accepted
            for event in events:
                if self._cancelled.is_set():
                    raise stopping
                self._tell(event)

    def _tell(self, event: str | Thought | Reply | Exception | None) -> None:
        if event not in ("", Thought("")) and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)
