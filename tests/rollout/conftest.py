"""Living processes, for the tests of those that must not outlive another; the path to small models of every kind."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "model"))


def living(leader: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, process_group = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(process_group) == leader and state != "Z":
            found.append(int(path.parent.name))
    return found


@pytest.fixture
def group() -> Callable[[int], list[int]]:
    """Processes of a process group, by its leader, that are no mere zombies."""
    return living


@pytest.fixture
def gone() -> Callable[[int], bool]:
    """Whether a process group ends within 20 seconds."""

    def wait(leader: int) -> bool:
        end = time.monotonic() + 20
        while living(leader) and time.monotonic() < end:
            time.sleep(0.05)
        return not living(leader)

    return wait
