"""torch's threads on a machine that does other work too.

Between two operations torch's OpenMP threads (libgomp) wait for each other by spinning for some milliseconds, which is
fastest on idle cores. Where another process takes a core, the spinning takes the time that the thread waited for would
need: a step is 3 to 30 times slower. Waiting asleep from the start costs 20 to 40 % on an idle machine. So a watcher
asks the kernel how long our threads were ready but not let run, and switches between the two.

libgomp has no switch, but it spins a thousandth of the time while it manages more threads than there are cores. So a
second team, whose threads sleep, stands for "wait asleep". The arithmetic is the same either way, bit for bit.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from pathlib import Path

import torch

from rerec_engine.heap import keep_memory
from rerec_engine.machine import core_count

TASKS = Path("/proc/self/task")
INTERVAL = 0.5
"""Seconds between two looks."""
BUSY = 0.2
"""Seconds that our threads waited for a core, all together, per second: above it another process has one. An idle
machine of two cores shows up to 0.05, one other busy process 0.6."""
BUSY_LOOKS = 2
"""Looks above BUSY, one after the other, until the cores count as taken: an idle machine has a moment's work too."""
QUIET = 0.05
CALM_LOOKS = 4
"""Looks below QUIET until they count as free again."""

_lock = threading.Lock()
_watcher: threading.Thread | None = None


def compute_with(threads: int) -> None:
    """Set the threads that torch computes with, have them give way to other processes from now on, and have memory that
    is freed kept for what comes next."""
    keep_memory()
    torch.set_num_threads(threads)
    give_way()


def give_way() -> None:
    """Start the watcher of this process, where there is none yet.

    Nothing happens where one thread computes, where torch has no libgomp (macOS), where the kernel counts no waits, or
    where OMP_WAIT_POLICY or GOMP_SPINCOUNT say how threads wait.
    """
    global _watcher
    told = "OMP_WAIT_POLICY" in os.environ or "GOMP_SPINCOUNT" in os.environ
    with _lock:
        if told or torch.get_num_threads() == 1 or (_watcher and _watcher.is_alive()):
            return
        if not (libraries := _libgomp()) or not waits():
            return
        _watcher = threading.Thread(target=_watch, args=(libraries,), name="rerec-give-way", daemon=True)
        _watcher.start()


class Contention:
    """Whether other processes use the cores that our threads need, decided look by look."""

    def __init__(self) -> None:
        self.busy = False
        self._calm = self._taken = 0

    def look(self, share: float) -> bool:
        """share: seconds waited for a core per second since the last look."""
        self._calm = self._calm + 1 if share < QUIET else 0
        self._taken = self._taken + 1 if share > BUSY else 0
        self.busy = self._taken >= BUSY_LOOKS or (self.busy and self._calm < CALM_LOOKS)
        return self.busy


class SleepingTeam:
    """An OpenMP team that does nothing: while it is there, libgomp manages more threads than there are cores."""

    def __init__(self, libraries: list[ctypes.CDLL]) -> None:
        self.size = max(2, core_count() - torch.get_num_threads() + 2)
        self._ended = threading.Event()
        self._started = threading.Event()
        self._leader = threading.Thread(target=self._lead, args=(libraries,), name="rerec-team", daemon=True)
        self._leader.start()
        self._started.wait()

    def end(self) -> None:
        self._ended.set()
        self._leader.join()

    def _lead(self, libraries: list[ctypes.CDLL]) -> None:
        nothing = ctypes.cast(ctypes.CDLL(None).free, ctypes.c_void_p)  # free(NULL) does nothing
        for library in libraries:
            library.GOMP_parallel(nothing, None, ctypes.c_uint(self.size), ctypes.c_uint(0))
        self._started.set()
        self._ended.wait()  # libgomp lets a team go when its leader ends


def waits() -> dict[str, int]:
    """Nanoseconds that each thread of this process has been ready to run but was not let, by thread id; empty where
    the kernel does not count them."""
    found = {}
    try:
        for task in TASKS.iterdir():
            try:
                found[task.name] = int((task / "schedstat").read_text().split()[1])
            except (FileNotFoundError, ProcessLookupError):  # the thread has ended, or there is no such count
                continue
    except (OSError, ValueError, IndexError):
        return {}
    return found


def _libgomp() -> list[ctypes.CDLL]:
    """Those that this process has loaded."""
    try:
        paths = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "libgomp" in line}
        return [ctypes.CDLL(path) for path in sorted(paths)]
    except OSError:
        return []


def _watch(libraries: list[ctypes.CDLL]) -> None:
    contention = Contention()
    team: SleepingTeam | None = None
    before, last = waits(), time.monotonic()
    pause = threading.Event()
    while not pause.wait(INTERVAL):
        now, moment = waits(), time.monotonic()
        waited = sum(wait - before.get(task, 0) for task, wait in now.items()) / 1e9
        share, before, last = waited / (moment - last), now, moment
        if contention.look(share) and team is None:
            team = SleepingTeam(libraries)
        elif not contention.busy and team is not None:
            team.end()
            team = None
