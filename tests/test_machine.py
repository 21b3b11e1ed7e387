"""Threads: what is asked for, else OMP_NUM_THREADS, else the cores."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from rerec_engine import machine


@pytest.mark.parametrize(
    ("asked", "told", "processes", "expected"),
    [
        (3, "1", 1, 3),
        (0, "1", 1, 1),
        (0, "2,1", 4, 2),
        (0, "", 1, 6),
        (0, "", 4, 1),
        (0, "", 8, 1),
        (0, "many", 2, 3),
        (0, "0", 1, 6),
    ],
)
def test_thread_count(monkeypatch, asked, told, processes, expected):
    monkeypatch.setattr(machine, "core_count", lambda: 6)
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert machine.thread_count(asked, processes) == expected


def test_cores_and_processes(monkeypatch):
    assert machine.core_count() >= 1
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert machine.process_count() == 1
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert machine.process_count() == 4


@pytest.mark.parametrize(("platform", "told", "expected"), [("linux", 3, 3072), ("darwin", 3072, 3072)])
def test_the_peak_of_memory_is_in_bytes(monkeypatch, platform, told, expected):
    assert machine.peak_bytes() > 2**20
    monkeypatch.setattr(machine.sys, "platform", platform)
    assert machine.peak_bytes(SimpleNamespace(ru_maxrss=told)) == expected


def test_cores_where_the_system_tells_of_no_affinity(monkeypatch):
    monkeypatch.delattr(machine.os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 6)
    assert machine.core_count() == 6
