"""How a command ends: on a user's mistake, a broken run, Ctrl-C, and among several processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rerec_engine.cli import run
from rerec_engine.cli.run import fail, run_command, tell_mistakes
from rerec_engine.errors import RunError, Stopped, UserError

ROOT = Path(__file__).resolve().parents[2]


def raising(error: BaseException) -> None:
    raise error


def test_fail_prints_one_line_and_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        fail("no such model")
    out, err = capsys.readouterr()
    assert (caught.value.code, out, err) == (2, "", "error: no such model\n")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("items.csv:3: no title"), 2, "error: items.csv:3: no title"),
        (UserError("two\n  lines"), 2, "error: two lines"),
        (FileNotFoundError(2, "No such file or directory", "x.yaml"), 2, "No such file or directory: 'x.yaml'"),
        (OSError(28, "No space left on device"), 2, "No space left on device"),
        (RunError("rank 1 died"), 1, "error: rank 1 died"),
        (Stopped("stopped at step 3; go on with --resume"), 130, "stopped at step 3; go on with --resume"),
        (Stopped("stopped", exit_code=143), 143, "stopped"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
    ids=["user", "newlines", "missing-file", "full-disk", "broken-run", "stopped", "terminated", "ctrl-c"],
)
def test_run_command_ends_in_one_line(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run_command(lambda: raising(error))
    err = capsys.readouterr().err
    assert caught.value.code == code
    assert line in err
    assert err.count("\n") == 1
    assert err.startswith("error: ") == (code in (1, 2))


def test_run_command_passes_a_bug_through() -> None:
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: raising(ZeroDivisionError()))


def test_run_command_returns_when_all_is_well() -> None:
    calls: list[int] = []
    run_command(lambda: calls.append(1))
    assert calls == [1]


def test_what_the_terminal_cannot_write_or_read_ends_nothing() -> None:
    code = "from rerec_engine.cli.run import run_command; run_command(lambda: print(input(), 'Amélie', '東京'))"
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-c", code], input=b"caf\xe9\n", capture_output=True, env=environment)
    assert (done.returncode, done.stdout) == (0, "café Amélie ??\n".encode("latin-1"))
    environment["PYTHONIOENCODING"] = "utf-8"
    done = subprocess.run([sys.executable, "-c", code], input=b"caf\xe9\n", capture_output=True, env=environment)
    assert (done.returncode, done.stdout) == (0, "caf? Amélie 東京\n".encode())


def test_the_work_returns_what_it_found() -> None:
    assert tell_mistakes(lambda: 3) == 3


@pytest.mark.parametrize(
    ("made", "typed", "remedy"),
    [
        (True, ["python3", "-m", "rerec_engine.train", "--seed", "1"],
         "type .venv/bin/python -m rerec_engine.train --seed 1"),
        (True, ["rerec"], "type .venv/bin/python ..."),
        (False, ["python3", "-m", "rerec_engine.train"], "make an environment: make train, or pip install ."),
    ],
    ids=["module", "script", "no-environment"],
)  # fmt: skip
def test_a_missing_dependency_is_told_with_the_command_that_has_it(
    made: bool,
    typed: list[str],
    remedy: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "orig_argv", typed)
    if made:
        (tmp_path / ".venv" / "bin").mkdir(parents=True)
        (tmp_path / ".venv" / "bin" / "python").touch()
    with pytest.raises(SystemExit) as caught:
        tell_mistakes(lambda: raising(ModuleNotFoundError("No module named 'torch'", name="torch")))
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"error: {sys.executable} has no torch: {remedy}\n"


def test_another_missing_module_is_a_bug() -> None:
    with pytest.raises(ModuleNotFoundError, match="elsewhere"):
        tell_mistakes(lambda: raising(ModuleNotFoundError("No module named 'elsewhere'", name="elsewhere")))


class Ended(Exception):
    """Stands for the end of the process; its argument is the exit code."""


@pytest.fixture
def ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if `torchrun` had started two processes."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(run, "end_now", lambda code: raising(Ended(code)))


@pytest.mark.usefixtures("ranks")
@pytest.mark.parametrize(
    ("error", "code"),
    [(None, 0), (SystemExit(), 0), (SystemExit(3), 3), (UserError("no such model"), 2), (KeyboardInterrupt(), 130)],
    ids=["well", "exit", "exit-3", "user", "ctrl-c"],
)
def test_one_of_several_processes_ends_at_once(error: BaseException | None, code: int) -> None:
    with pytest.raises(Ended) as caught:
        run_command(lambda: error and raising(error))
    assert caught.value.args == (code,)


@pytest.mark.usefixtures("ranks")
def test_a_bug_and_an_exit_with_a_text_are_told_by_python(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: raising(ZeroDivisionError()))
    with pytest.raises(SystemExit, match="in words"):
        run_command(lambda: raising(SystemExit("in words")))
    monkeypatch.delenv("WORLD_SIZE")
    with pytest.raises(SystemExit):  # a process of its own waits for its threads
        run_command(lambda: raising(SystemExit(3)))


def test_end_now_runs_the_exit_handlers_and_waits_for_no_thread() -> None:
    code = (
        "import atexit, threading, time; from rerec_engine.cli.run import end_now\n"
        "atexit.register(print, 'handler', end='')\n"
        "threading.Thread(target=time.sleep, args=(60,)).start()\n"
        "print('out', end=' '); end_now(7)"
    )
    done = subprocess.run([sys.executable, "-E", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout, done.stderr) == (7, "out handler", "")
