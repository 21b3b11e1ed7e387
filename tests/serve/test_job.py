"""An answer in a worker thread, with a conversation that says what the test wants."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("fastapi", reason="fastapi is missing: pip install .[serve]")

from rerec_engine.errors import RunError
from rerec_engine.serve.conversation import Question, Reply
from rerec_engine.serve.errors import ApiError
from rerec_engine.serve.job import Job
from rerec_engine.serve.limits import Gate
from rerec_engine.types import Sampling

REPLY = Reply("tail", {}, "stop", 1, 2)


class Says:
    """A conversation of the given events; an exception among them is raised. The last one goes on for ever."""

    def __init__(self, *events, endless=False):
        self.events, self.endless = events, endless
        self.closed = threading.Event()

    def stream(self, question):
        if isinstance(self.events[0], ApiError):
            raise self.events[0]
        return self.told()

    def told(self):
        try:
            for event in self.events:
                if isinstance(event, Exception):
                    raise event
                yield event
            while self.endless:
                time.sleep(0.001)
                yield ""
        finally:
            self.closed.set()


def run(conversation, act, seconds=20.0):
    """What `act(job)` gives, and the gate after the work has ended."""

    async def main():
        gate = Gate(1, 1)
        with ThreadPoolExecutor(1) as executor:
            question = Question("x", Sampling(5), time.monotonic() + seconds)
            given = await act(await Job.begin(question, conversation, gate, executor))
            while gate.running:
                await asyncio.sleep(0.001)
            return given

    return asyncio.run(main())


async def collect(job):
    return [event async for event in job.events()]


def test_pieces_that_show_something_then_the_reply():
    assert run(Says("a", "", "b", REPLY), collect) == ["a", "b", REPLY]


def test_question_that_is_refused_fails_at_the_beginning():
    with pytest.raises(ApiError, match="no such title"):
        run(Says(ApiError(400, "no such title")), collect)


def test_engine_that_breaks_is_503():
    with pytest.raises(ApiError, match="the engine is gone") as caught:
        run(Says("a", RunError("the engine is gone")), collect)
    assert (caught.value.status, caught.value.code) == (503, "engine_failed")


def test_cancelled_work_ends_at_its_next_token_and_is_told():
    async def cancel(job):
        job.cancel()
        return await collect(job)

    conversation = Says("a", endless=True)
    with pytest.raises(ApiError, match="the server is stopping"):
        run(conversation, cancel)
    assert conversation.closed.wait(5)


def test_work_that_says_nothing_in_time_is_504():
    with pytest.raises(ApiError) as caught:
        run(Says("a", endless=True), collect, seconds=0.05)
    assert caught.value.status == 504
