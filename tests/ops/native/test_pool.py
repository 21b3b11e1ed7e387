"""The threads of the ops: results, errors, settings of torch that stay, several callers, and a fork."""

from __future__ import annotations

import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from linear_problem import problem

from rerec_engine import ops
from rerec_engine.ops.native import pool


def test_workers_leave_torchs_threads_alone(two_threads: None) -> None:
    seen: list[int] = []
    pool.drive(2, lambda: pool.run([lambda: seen.append(torch.get_num_threads())] * 2))
    assert seen == [1, 1]
    assert torch.get_num_threads() == 2


def test_threads_that_start_later_have_torchs_number_too(two_threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's setting of one thread is at first the whole process'."""
    monkeypatch.setattr(pool, "_pools", {})
    assert pool.drive(2, lambda: 7) == 7
    with ThreadPoolExecutor(1) as later:
        assert later.submit(torch.get_num_threads).result() == 2


def test_an_error_in_a_worker_is_raised(two_threads: None) -> None:
    def fail() -> None:
        raise RuntimeError("in a worker")

    for tasks in ([fail, lambda: None], [lambda: None, fail]):
        with pytest.raises(RuntimeError, match="in a worker"):
            pool.drive(2, lambda tasks=tasks: pool.run(tasks))


def test_calls_from_several_threads_do_not_wait_for_each_other(two_threads: None) -> None:
    inputs = {name: x.detach() for name, x in problem((60, 8, 97)).items()}
    expected = ops.linear_grpo_loss(**inputs)[0]
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(lambda _: ops.linear_grpo_loss(**inputs)[0], range(20)):
            assert torch.equal(found, expected)


def test_a_forked_process_has_threads_of_its_own(two_threads: None) -> None:
    inputs = {name: x.detach() for name, x in problem((60, 8, 97)).items()}
    expected = float(ops.linear_grpo_loss(**inputs)[0])
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=lambda: queue.put(float(ops.linear_grpo_loss(**inputs)[0])))
    child.start()
    child.join(20)
    child.kill()  # one that waits for threads of its parent would hold up the end of the tests
    assert child.exitcode == 0
    assert queue.get() == expected


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_every_task_runs_once_and_the_jobs_result_comes_back(threads: int) -> None:
    """All at the same time: each waits for the others."""
    together = threading.Barrier(threads)
    done: list[int] = []

    def task(i: int) -> None:
        together.wait(20)
        done.append(i)

    def job() -> str:
        pool.run([lambda i=i: task(i) for i in range(threads)])
        return "result"

    assert pool.drive(threads, job) == "result"
    assert sorted(done) == list(range(threads))


@pytest.mark.parametrize("threads", [1, 2])
def test_autograd_and_autocast_are_off_in_a_job(threads: int) -> None:
    seen: list[bool] = []

    def task() -> None:
        seen.append(torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"))

    with torch.autocast("cpu", dtype=torch.bfloat16):
        pool.drive(threads, lambda: pool.run([task] * threads))
        assert torch.is_grad_enabled()
        assert torch.is_autocast_enabled("cpu")
    assert seen == [False] * threads


def test_a_failed_task_is_told_only_after_the_others_are_done(two_threads: None) -> None:
    """They write into buffers of the caller, who must not go on while one is at it."""
    done: list[str] = []
    failed = threading.Event()

    def fail() -> None:
        failed.set()
        raise RuntimeError("in a worker")

    def slow() -> None:
        assert failed.wait(20)
        time.sleep(0.05)
        done.append("slow")

    with pytest.raises(RuntimeError, match="in a worker"):
        pool.drive(2, lambda: pool.run([fail, slow]))
    assert done == ["slow"]


def test_the_pool_works_again_after_an_error(two_threads: None) -> None:
    with pytest.raises(ZeroDivisionError):
        pool.drive(2, lambda: 1 / 0)
    assert pool.drive(2, lambda: 7) == 7


def test_small_jobs_wake_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 5)
    assert pool.workers(pool.SMALL - 1) == 1
    assert pool.workers(pool.SMALL) == 5
    assert pool.drive(1, threading.get_ident) == threading.get_ident()
    assert pool.drive(2, threading.get_ident) != threading.get_ident()
