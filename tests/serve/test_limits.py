"""The gate: who comes in, who waits, who is refused, and in which order."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("fastapi", reason="fastapi is missing: pip install .[serve]")

from hypothesis import given, settings
from hypothesis import strategies as st

from rerec_engine.serve.errors import ApiError
from rerec_engine.serve.limits import Gate, within


def run(test):
    """One that waits for ever fails."""
    asyncio.run(asyncio.wait_for(test, 20))


async def settle():
    """Every task runs until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_as_many_as_there_are_places_come_in_then_the_queue_then_none():
    async def main():
        gate, order = Gate(2, 2), []

        async def ask(name):
            await gate.enter()
            order.append(name)

        asking = [asyncio.ensure_future(ask(name)) for name in "abcd"]
        await settle()
        assert (order, gate.running, gate.waiting) == (["a", "b"], 2, 2)
        with pytest.raises(ApiError, match="busy: 2 answers are being made and 2 requests wait") as caught:
            await gate.enter()
        assert (caught.value.status, caught.value.code) == (429, "rate_limit_exceeded")
        assert caught.value.retry_after == gate.retry_after()
        gate.leave(1.0)
        await settle()
        assert (order, gate.running, gate.waiting) == (["a", "b", "c"], 2, 1)
        for _ in range(3):
            gate.leave(1.0)
            await settle()
        await asyncio.gather(*asking)
        assert (order, gate.running, gate.waiting) == (["a", "b", "c", "d"], 0, 0)

    run(main())


def test_who_goes_away_leaves_the_queue():
    async def main():
        gate = Gate(1, 1)
        await gate.enter()
        waiting = asyncio.ensure_future(gate.enter())
        await settle()
        waiting.cancel()
        await settle()
        assert (gate.running, gate.waiting) == (1, 0)
        gate.leave(1.0)
        assert gate.running == 0
        await gate.enter()  # at once

    run(main())


def test_without_a_queue_nobody_waits():
    async def main():
        gate = Gate(1, 0)
        await gate.enter()
        with pytest.raises(ApiError, match="busy"):
            await gate.enter()

    run(main())


def test_when_to_come_again_follows_the_answers_and_the_queue():
    async def main():
        gate = Gate(1, 100)
        assert gate.retry_after() == 1  # nobody waits
        await gate.enter()
        waiting = [asyncio.ensure_future(gate.enter()) for _ in range(10)]
        await settle()
        assert gate.retry_after() == 10  # of a second each, as long as nothing is known
        gate.leave(6.0)  # the mean moves by a fifth: 1 + 0.2 * 5 = 2
        await settle()
        assert (gate.waiting, gate.retry_after()) == (9, 18)
        gate.leave(1000.0)
        await settle()
        assert gate.retry_after() == 60
        for task in waiting:
            task.cancel()

    run(main())


@settings(max_examples=40)
@given(st.integers(1, 3), st.integers(0, 3), st.lists(st.booleans(), max_size=25))
def test_places_are_neither_lost_nor_made(places, queue, steps):
    """True: somebody comes; False: somebody who is in leaves."""

    async def main():
        gate, left, refused, entered = Gate(places, queue), 0, 0, 0
        tasks = []
        for comes in steps:
            if comes:
                tasks.append(asyncio.ensure_future(gate.enter()))
            elif gate.running:
                gate.leave(1.0)
                left += 1
            await settle()
            assert 0 <= gate.running <= places
            assert 0 <= gate.waiting <= queue
            assert gate.running == places or not gate.waiting
            done = [task for task in tasks if task.done()]
            refused = sum(task.exception() is not None for task in done)
            entered = len(done) - refused
            assert gate.running == entered - left
        assert len(tasks) == refused + entered + gate.waiting
        for task in tasks:
            task.cancel()

    run(main())


def test_a_wait_that_takes_too_long_is_503():
    async def main():
        with pytest.raises(ApiError, match=r"no free place within 0\.01 s") as caught, within(0.01):
            await asyncio.sleep(5)
        assert (caught.value.status, caught.value.code, caught.value.retry_after) == (503, "queue_timeout", 5)
        with within(5):
            await asyncio.sleep(0)
        with pytest.raises(ZeroDivisionError), within(5):
            raise ZeroDivisionError

    run(main())
