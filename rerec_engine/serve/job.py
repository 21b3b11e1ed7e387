"""An answer made in a worker thread, as the event loop sees it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

from rerec_engine.errors import RunError
from rerec_engine.serve.conversation import Cancelled, Conversation, Progress, Question, Reply
from rerec_engine.serve.errors import ApiError
from rerec_engine.serve.limits import Gate, within

GRACE = 0.5  # seconds that a worker has to tell by itself that its time is up


class Turn:
    """Pieces of the reasoning, then the reply. `begin` returns when the question has been accepted."""

    def __init__(self, question: Question) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[str | Reply | Exception | None] = asyncio.Queue()
        self.progress = Progress(question, lambda: self._tell(None), self._tell)

    @classmethod
    async def begin(
        cls, question: Question, conversation: Conversation, gate: Gate, executor: ThreadPoolExecutor
    ) -> Turn:
        """Wait for a place, then start. Raises `ApiError`. The place is given back when the worker has ended."""
        turn = cls(question)
        with within(max(0.0, question.deadline - time.monotonic())):
            await gate.enter()
        began = time.monotonic()
        work = turn._loop.run_in_executor(executor, turn._work, conversation)
        work.add_done_callback(lambda _: gate.leave(time.monotonic() - began))
        try:
            await turn._next()
        except BaseException:
            turn.cancel()
            raise
        return turn

    def cancel(self) -> None:
        """Nobody waits: the worker ends at its next token."""
        self.progress.cancel.set()

    async def events(self) -> AsyncIterator[str | Reply]:
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

    async def _next(self) -> str | Reply | None:
        left = self.progress.question.deadline - time.monotonic() + GRACE
        try:
            event = await asyncio.wait_for(self._events.get(), max(0.0, left))
        except asyncio.TimeoutError:
            raise ApiError(504, "the answer took too long", code="timeout") from None
        if isinstance(event, Exception):
            raise event
        return event

    def _work(self, conversation: Conversation) -> None:
        try:
            self._tell(conversation.answer(self.progress))
        except Cancelled:
            self._tell(ApiError(503, "the server is stopping", code="stopping"))
        except RunError as error:
            self._tell(ApiError(503, str(error), code="engine_failed"))
        except Exception as error:
            self._tell(error)

    def _tell(self, event: str | Reply | Exception | None) -> None:
        if event != "" and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)
