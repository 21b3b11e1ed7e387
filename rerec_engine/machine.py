"""How much of this machine a process may use."""

from __future__ import annotations

import os
import resource
import sys


def core_count() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_bytes(usage: resource.struct_rusage | None = None) -> int:
    """The most memory that a process had, of its `usage`; None: this one's."""
    usage = usage or resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)  # in bytes there, in KB elsewhere


def thread_count(asked: int = 0, processes: int = 1) -> int:
    """The threads to compute with: `asked`; where that is 0, OMP_NUM_THREADS, else this process's share of the cores.

    processes: how many there are on this machine.
    """
    if asked > 0:
        return asked
    told = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(told) if told.isdigit() and int(told) > 0 else max(1, core_count() // processes)


def process_count() -> int:
    """The processes that `torchrun` started, this one among them; 1 where it did not."""
    return int(os.environ.get("WORLD_SIZE", "1"))
