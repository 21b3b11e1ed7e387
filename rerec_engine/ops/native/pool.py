"""Threads that each run matrix products and C++ passes of their own, so that a tile stays in one core's cache.

torch's own threads would share every product, and they spin for some milliseconds after each of torch's operations, on
the cores that our threads need. So a whole job leaves the calling thread (`drive`): no operation in it wakes them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock
from typing import TypeVar

import torch

T = TypeVar("T")

_pools: dict[int, ThreadPoolExecutor] = {}
_driving = Lock()  # a driver waits for threads of its pool, so that two at once could wait for each other

SMALL = 1 << 24
"""Multiplications below which waking threads costs more than they save."""


def _forget() -> None:
    """Threads do not survive a fork, and a lock that one of them held would stay held."""
    global _driving
    _pools.clear()
    _driving = Lock()


os.register_at_fork(after_in_child=_forget)


def workers(multiplications: int) -> int:
    """Threads for a job of that size: those that torch may use here."""
    return 1 if multiplications < SMALL else torch.get_num_threads()


def drive(threads: int, job: Callable[[], T]) -> T:
    """The result of a job, which may call `run` with `threads` tasks; on a thread of its own where there are several.

    Autograd and autocast are off in it; its exception is raised again.
    """
    if threads == 1:
        return _without_autograd(job)
    with _driving:
        return _pool(threads).submit(_without_autograd, job).result()


def run(tasks: Sequence[Callable[[], None]]) -> None:
    """Run the tasks of a driven job at once and wait for all; the first exception is raised again."""
    others = [_pools[len(tasks)].submit(_without_autograd, task) for task in tasks[1:]]
    try:
        tasks[0]()
    finally:
        errors = [future.exception() for future in others]
    for error in errors:
        if error is not None:
            raise error


def _without_autograd(job: Callable[[], T]) -> T:
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        return job()


def _pool(count: int) -> ThreadPoolExecutor:
    if count not in _pools:
        threads = torch.get_num_threads()
        pool = ThreadPoolExecutor(count, thread_name_prefix="rerec-ops")
        started = Barrier(count)  # all threads are up, and have taken their setting, before it is put back
        list(pool.map(_take_one_thread, [started] * count))
        torch.set_num_threads(threads)
        _pools[count] = pool
    return _pools[count]


def _take_one_thread(started: Barrier) -> None:
    torch.get_num_threads()  # the first look sets the thread to the process' number; one for this thread comes after it
    torch.set_num_threads(1)
    started.wait()
