"""torch's threads give way to other processes: when, by what, and without a trace afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from rerec_engine import threads

LINUX = pytest.mark.skipif(
    not threads.waits(), reason="no counts of waits in /proc/self/task/*/schedstat: Linux has them"
)


def decided(shares: list[float]) -> list[bool]:
    contention = threads.Contention()
    return [contention.look(share) for share in shares]


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([0.0, 0.05, 0.1], [False, False, False]),
        ([0.6, 0.0, 0.6, 0.1, 0.6], [False] * 5),
        ([0.6, 0.6, 0.0], [False, True, True]),
        ([0.6, 0.6, *[0.01] * threads.CALM_LOOKS], [False] + [True] * threads.CALM_LOOKS + [False]),
        ([0.6, 0.6, *[0.01] * 3, 0.1, *[0.01] * 3], [False] + [True] * 8),  # a wait starts the count again
    ],
    ids=["idle", "a moment's work", "busy", "calm for a while", "not calm long enough"],
)
def test_contention(shares, expected):
    assert decided(shares) == expected


@LINUX
def test_waits_names_this_process_threads():
    found = threads.waits()
    assert str(os.getpid()) in found
    assert all(wait >= 0 for wait in found.values())


def test_waits_without_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(threads, "TASKS", tmp_path / "none")
    assert threads.waits() == {}
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "schedstat").write_text("nonsense\n")
    monkeypatch.setattr(threads, "TASKS", tmp_path)
    assert threads.waits() == {}


def count() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def settled(wanted: int) -> int:
    """The number of threads, once it is that or five seconds are over: a thread ends a moment after it is let go."""
    end = time.monotonic() + 5
    while count() != wanted and time.monotonic() < end:
        time.sleep(0.01)
    return count()


@LINUX
def test_a_sleeping_team_comes_and_goes():
    libraries = threads._libgomp()
    if not libraries:
        pytest.skip("torch has no libgomp: its builds for Linux have")
    before = count()
    team = threads.SleepingTeam(libraries)
    assert count() >= before + team.size  # its leader is one of the team
    team.end()
    assert settled(before) == before


CHILD = """
import json, os, sys, threading, time
import torch
from rerec_engine import threads
threads.INTERVAL = 0.02
looks = iter([0.0, 1.0] + [1.0] * 10 ** 6)
threads.Contention.look = lambda self, share: setattr(self, "busy", next(looks) > 0) or self.busy
torch.set_num_threads(2)
x = torch.randn(300, 300)
first = (x @ x).sum().item()
threads.compute_with(int(sys.argv[1]))
threads.compute_with(int(sys.argv[1]))
names = lambda: [t.name for t in threading.enumerate()]
end = time.monotonic() + 5
while "rerec-team" not in names() and time.monotonic() < end and len(names()) > 1:
    time.sleep(0.01)
torch.set_num_threads(2)
print(json.dumps({"names": sorted(names()), "same": (x @ x).sum().item() == first}))
"""


def child(count: int, **environment: str) -> dict[str, object]:
    env = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    words = [sys.executable, "-c", CHILD, str(count)]
    done = subprocess.run(words, env={**env, **environment}, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, object] = json.loads(done.stdout)
    assert found["same"]
    return found


@LINUX
@pytest.mark.skipif(
    "USE_OPENMP=ON" not in torch.__config__.show(), reason="torch has no OpenMP: its builds for Linux have"
)
def test_one_watcher_makes_the_team():
    assert child(2)["names"] == ["MainThread", "rerec-give-way", "rerec-team"]


@pytest.mark.parametrize(
    ("count", "environment"),
    [(1, {}), (2, {"OMP_WAIT_POLICY": "PASSIVE"}), (2, {"GOMP_SPINCOUNT": "1000"})],
    ids=["one thread", "a policy", "a spin count"],
)
def test_nothing_watches(count, environment):
    assert child(count, **environment)["names"] == ["MainThread"]
