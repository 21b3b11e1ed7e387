"""Threads that each run matrix products and C++ passes of their own, so that a tile stays in one core's cache.

torch's own threads would share every product, and a pass of ours between two products would have to wake others, while
OpenMP's still spin on the cores that those need.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import torch

_pools: dict[int, ThreadPoolExecutor] = {}
os.register_at_fork(after_in_child=_pools.clear)  # threads do not survive a fork

SMALL = 1 << 24
"""Multiplications below which waking threads costs more than they save."""


def workers(multiplications: int) -> int:
    """Threads for a job of that size: those that torch may use here."""
    return 1 if multiplications < SMALL else torch.get_num_threads()


def run(tasks: Sequence[Callable[[], None]]) -> None:
    """Run the tasks at once and wait for all; the first exception is raised again. Autograd and autocast are off."""
    if len(tasks) == 1:
        _without_autograd(tasks[0])
        return
    for future in [_pool(len(tasks)).submit(_without_autograd, task) for task in tasks]:
        future.result()


def _without_autograd(task: Callable[[], None]) -> None:
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        task()


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
