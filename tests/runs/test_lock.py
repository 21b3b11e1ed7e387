"""One run at a time in a directory, however its process ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from rerec_engine.errors import UserError
from rerec_engine.runs.lock import RunLock

HOLD = """
import subprocess, sys, time
from pathlib import Path
from rerec_engine.runs.lock import RunLock
lock = RunLock(Path(sys.argv[1]))
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_killed_process_leaves_no_lock_and_neither_do_its_children(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        with pytest.raises(UserError, match=rf"a run is going on there \(process {process.pid}\)"):
            RunLock(tmp_path)
        process.kill()
        process.wait()
        RunLock(tmp_path).release()
    finally:
        os.kill(child, signal.SIGKILL)


def test_released_it_is_free(tmp_path):
    RunLock(tmp_path).release()
    lock = RunLock(tmp_path)
    with pytest.raises(UserError, match="going on"):
        RunLock(tmp_path)
    lock.release()
    RunLock(tmp_path).release()


def test_a_directory_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="none"):
        RunLock(tmp_path / "none")
