"""A command under the guard: its exit code, and its end with whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from rerec_engine.rollout.child import guard
from rerec_engine.rollout.process import end_group

HELPER = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
COMMAND = f"""
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", {HELPER!r}])
print("up", flush=True)
"""


def words(code: str, starter: int | str) -> list[str]:
    return [sys.executable, guard.__file__, str(starter), sys.executable, "-c", code]


def start(code: str, starter: int | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        words(code, starter or os.getpid()), stdout=subprocess.PIPE, text=True, start_new_session=True
    )


@pytest.mark.parametrize(
    ("code", "expected"),
    [("import sys; sys.exit(7)", 7), ("pass", 0), ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL)],
)
def test_command_runs_and_its_exit_code_is_its_own(code, expected, gone):
    process = start(f"print('said', flush=True)\n{code}")
    assert process.communicate(timeout=60)[0] == "said\n"
    assert process.returncode == expected
    assert gone(process.pid)


def test_what_a_command_leaves_behind_goes_with_it(gone):
    process = start(COMMAND)
    assert process.communicate(timeout=60)[0] == "up\n"
    assert gone(process.pid)


@pytest.mark.parametrize("waits", [True, False], ids=["waiting", "looking"])
def test_group_goes_with_a_killed_starter(waits, tmp_path, group, gone):
    """looking: as on a system without `pidfd_open`."""
    patch = "" if waits else "import os; del os.pidfd_open\n"
    (tmp_path / "sitecustomize.py").write_text(patch)
    script = f"""
import os, subprocess, sys, time
command = [*{words(COMMAND + "time.sleep(600)", "PID")!r}]
command[2] = str(os.getpid())
process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
process.stdout.readline()
print(process.pid, flush=True)
time.sleep(600)
"""
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    starter = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment)
    assert starter.stdout is not None
    leader = int(starter.stdout.readline())
    assert len(group(leader)) == 3  # with its watcher and its helper
    starter.kill()
    starter.wait(20)
    assert gone(leader)


def test_owner_ends_the_group_gently_and_wholly(group, gone):
    tell = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
    process = start(tell + COMMAND + "time.sleep(600)")
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    end_group(process, 60, owner=os.getpid() + 1)  # as a fork of the owner would call it
    assert process.poll() is None
    assert len(group(process.pid)) == 3
    end_group(process, 60, owner=os.getpid())
    assert process.returncode == 5
    assert gone(process.pid)
    end_group(process, 60, owner=os.getpid())
    process.stdout.close()


def test_no_command_without_its_starter_or_a_group_of_its_own(tmp_path):
    process = start(f"open({str(tmp_path / 'ran')!r}, 'w')", starter=1)
    assert (process.communicate(timeout=60)[0], process.returncode) == ("", 1)
    inside = subprocess.run(words("print(1)", os.getpid()), capture_output=True, text=True, timeout=60)
    assert (inside.stdout, inside.stderr) == ("", "guard: not the leader of a process group\n")
    assert not (tmp_path / "ran").exists()


def test_command_that_cannot_be_run(gone):
    process = subprocess.Popen(
        [sys.executable, guard.__file__, str(os.getpid()), "/no/such/python"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.communicate(timeout=60)[1] == "/no/such/python: No such file or directory\n"
    assert process.returncode == 127
    assert gone(process.pid)
