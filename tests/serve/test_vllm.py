"""vLLM's server as a child: start, answers, faults and its end, with a stand-in (`fake_vllm.py`)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from rerec_engine.errors import RunError, UserError
from rerec_engine.serve.vllm import VllmBackend
from rerec_engine.types import Sampling

FAKE = Path(__file__).parent / "fake_vllm.py"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def program(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    path = tmp_path / "python"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" "$@"\n')
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def make(program):
    made = []

    def start(**more):
        made.append(VllmBackend(program, Path("some/model"), (1,), context=100, callers=3, **more))
        return made[-1]

    yield start
    for backend in made:
        backend.close()


def descendants(pid):
    """Living processes below one, by parent."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            parents.setdefault(int(parent), []).append(int(path.parent.name))
    found, level = [], [pid]
    while level:
        level = [child for one in level for child in parents.get(one, [])]
        found += level
    return found


def gone(pids, seconds=20):
    def alive(pid):
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    end = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(map(alive, pids))


def draw(backend, first, limit=20, seconds=20.0):
    return list(backend.stream([first, 5], Sampling(limit, 0.0, seed=3), seconds))


def test_tokens_come_without_the_end(make):
    backend = make()
    assert draw(backend, 50) == [51, 52, 53, 54, 55]
    assert draw(backend, 60, limit=2) == [61, 62]
    assert backend.fault() is None


def test_what_vllm_is_started_with(make):
    backend = make(arguments="--dtype bfloat16 --note 'two words'")
    words = json.loads(backend.log.read_text().splitlines()[0])
    assert words[:4] == ["--model", "some/model", "--host", "127.0.0.1"]
    assert words[-4:] == ["--dtype", "bfloat16", "--note", "two words"]
    assert words[words.index("--max-model-len") + 1] == "100"
    assert words[words.index("--max-num-seqs") + 1] == "3"
    assert not any(backend._key in word for word in words)


def test_refused_and_failing_prompts_are_told(make):
    backend = make()
    with pytest.raises(RunError, match=r"refused the prompt \(400\): the prompt is too long"):
        draw(backend, 41)
    with pytest.raises(RunError, match="vLLM failed: it went wrong"):
        draw(backend, 42)
    assert draw(backend, 50)


def test_hanging_answer_ends_with_its_time(make):
    backend = make()
    assert draw(backend, 43, seconds=0.5) == [44]


def test_closed_iterator_leaves_the_server_well(make):
    backend = make()
    tokens = backend.stream([50], Sampling(20), 20.0)
    assert next(tokens) == 51
    tokens.close()
    assert draw(backend, 50) == [51, 52, 53, 54, 55]


def test_close_ends_the_helper_too_and_removes_the_log(make):
    backend = make()
    below = descendants(backend.process.pid)
    assert len(below) == 2  # its watcher and its helper
    backend.close()
    assert gone([backend.process.pid, *below])
    assert not backend.log.exists()


def test_death_is_a_fault_and_leaves_nothing(make):
    backend = make()
    below = descendants(backend.process.pid)
    with pytest.raises(RunError, match=r"vLLM (ended with exit code 3: EngineDeadError: out of memory|broke off)"):
        draw(backend, 40)
    backend.process.wait(20)
    assert "exit code 3: EngineDeadError: out of memory; start the server again" in str(backend.fault())
    assert gone(below)
    with pytest.raises(RunError, match="exit code 3"):
        draw(backend, 50)


def test_start_that_fails_or_takes_too_long(make, monkeypatch, program):
    monkeypatch.setenv("FAKE_VLLM", "refuse")
    with pytest.raises(UserError, match="vLLM does not serve this model: ValueError: Model architectures"):
        make()
    monkeypatch.setenv("FAKE_VLLM", "silent")
    before = set(descendants(os.getpid()))
    with pytest.raises(UserError, match=r"was not ready in 1 s \(log: .*vllm.log\)"):
        make(start_seconds=1.0)
    assert gone(set(descendants(os.getpid())) - before)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_orphan_however_the_server_ends(program, number):
    script = f"""
import time
from pathlib import Path
from rerec_engine.serve.vllm import VllmBackend
backend = VllmBackend({program!r}, Path("m"), (1,), context=100, callers=3)
print(backend.process.pid, flush=True)
time.sleep(600)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment)
    with owner.stdout:
        leader = int(owner.stdout.readline())
    below = descendants(leader)
    assert len(below) == 2
    owner.send_signal(number)
    owner.wait(20)
    assert gone([leader, *below])
