"""What the commands share: waits and bars, on a terminal and in a file."""

from __future__ import annotations

import io
import re
import sys
import time
from typing import Any

import pytest

from rerec_engine import cli
from rerec_engine.cli import waits


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """What stderr is from here on: not a fixture, since pytest sets stderr anew between setup and test."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "200")
    return screen


def wait(fail: bool = False) -> None:
    with cli.waiting("loading the model"):
        time.sleep(0.2)
        if fail:
            raise KeyError("x")


def test_a_long_wait_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(waits, "PATIENCE", 0.01)
    wait()
    assert capsys.readouterr().err == "loading the model ...\n"


def test_a_terminal_forgets_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    monkeypatch.setattr(waits, "PATIENCE", 0.01)
    wait()
    assert terminal.getvalue() == "loading the model ...\r\x1b[K"


def test_a_wait_that_fails_is_forgotten_too(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    monkeypatch.setattr(waits, "PATIENCE", 0.01)
    with pytest.raises(KeyError, match="x"):
        wait(fail=True)
    assert terminal.getvalue() == "loading the model ...\r\x1b[K"


def test_a_hidden_wait_is_not_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(waits, "PATIENCE", 0.0)
    with cli.waiting("loading the model", shown=False):
        time.sleep(0.05)
    assert capsys.readouterr().err == ""


def test_a_short_wait_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    with cli.waiting("loading the model"):
        pass
    assert capsys.readouterr().err == ""


def run_bar(**options: Any) -> None:
    bar = cli.progress_bar(3, "evaluate", "queries", **options)
    for _ in range(3):
        bar.set_postfix_str("right 0.31", refresh=False)
        bar.update()
    bar.close()


def test_a_bar_in_a_file_is_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    run_bar()
    told = capsys.readouterr().err
    assert "\r" not in told
    assert [re.sub(r"\d\d:\d\d", "T", line) for line in told.splitlines()] == [
        "evaluate 0/3 queries, T gone, ? left",
        "evaluate 3/3 queries, T gone, T left, right 0.31",
    ]


def test_new_figures_are_drawn_where_nothing_is_finished_yet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(waits, "PLAIN_SECONDS", 0)
    bar = cli.progress_bar(3, "evaluate", "queries")
    bar.set_postfix_str("token 8", refresh=False)
    bar.update(0)
    assert capsys.readouterr().err.splitlines()[-1] == "evaluate 0/3 queries, 00:00 gone, ? left, token 8"
    bar.close()


def test_a_bar_on_a_terminal_takes_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    run_bar()
    drawn = terminal.getvalue().split("\r")
    assert max(map(len, drawn)) == 80
    assert any("evaluate 0/3 |" in line for line in drawn)


def test_a_bar_fits_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", "50")
    run_bar()
    assert max(map(len, terminal.getvalue().split("\r"))) == 50


@pytest.mark.parametrize("leave", [False, True])
def test_a_terminal_keeps_a_bar_on_request(monkeypatch: pytest.MonkeyPatch, leave: bool) -> None:
    terminal = on_terminal(monkeypatch)
    run_bar(leave=leave)
    last = terminal.getvalue().rstrip("\r\n").split("\r")[-1]
    assert ("evaluate 3/3" in last) == leave


def test_a_bar_goes_on_from_where_the_work_was_left(capsys: pytest.CaptureFixture[str]) -> None:
    bar = cli.progress_bar(5, "train", "step", initial=3)
    bar.update()
    bar.close()
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first.startswith("train 3/5 step, ")
    assert last.startswith("train 4/5 step, ")


@pytest.mark.parametrize("screen", ["terminal", "file"])
def test_a_hidden_bar_writes_nothing(
    screen: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = on_terminal(monkeypatch) if screen == "terminal" else None
    run_bar(shown=False)
    assert (terminal.getvalue() if terminal else capsys.readouterr().err) == ""
