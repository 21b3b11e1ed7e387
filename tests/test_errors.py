"""How a command ends on a user's mistake."""

from __future__ import annotations

import pytest

from rerec_engine.cli import fail, run_command
from rerec_engine.errors import UserError, file_error


def test_file_error_names_file_and_row() -> None:
    assert str(file_error("data/items.csv", "no title", row=3)) == "data/items.csv:3: no title"
    assert str(file_error("data/items.csv", "empty")) == "data/items.csv: empty"


def test_user_error_is_a_value_error() -> None:
    assert issubclass(UserError, ValueError)


def test_fail_prints_one_line_and_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        fail("no such model")
    out, err = capsys.readouterr()
    assert (caught.value.code, out, err) == (2, "", "error: no such model\n")


def raising(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("items.csv:3: no title"), 2, "error: items.csv:3: no title"),
        (UserError("two\n  lines"), 2, "error: two lines"),
        (FileNotFoundError(2, "No such file or directory", "x.yaml"), 2, "No such file or directory: 'x.yaml'"),
        (OSError(28, "No space left on device"), 2, "No space left on device"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
    ids=["user", "newlines", "missing-file", "full-disk", "ctrl-c"],
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


def test_run_command_passes_a_bug_through() -> None:
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: raising(ZeroDivisionError()))


def test_run_command_returns_when_all_is_well() -> None:
    calls: list[int] = []
    run_command(lambda: calls.append(1))
    assert calls == [1]
