"""Errors a user can cause, and how a command ends on one."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn


class UserError(ValueError):
    """Bad input from outside: a file, a row, a setting. Its message is one line that names the place and the remedy."""


class RunError(RuntimeError):
    """What broke while a run was going on, through no setting of the user's: an engine, a rank. Its message is one line
    that says what happened and how to go on."""


def file_error(path: str | Path, message: str, row: int | None = None) -> UserError:
    """A `UserError` that names file and, where known, the row (1-based, as an editor counts lines)."""
    place = f"{path}:{row}" if row is not None else str(path)
    return UserError(f"{place}: {message}")


def fail(message: str, code: int = 2) -> NoReturn:
    """Print one line to stderr and exit."""
    _tell(message)
    raise SystemExit(code)


def _tell(message: str) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)


def run_command(main: Callable[[], None]) -> None:
    """Run a command's `main`. A user's mistake becomes one line and exit code 2, a broken run 1, Ctrl-C 130."""
    try:
        _run(main)
    except SystemExit as ended:
        if one_of_several() and (ended.code is None or isinstance(ended.code, int)):
            end_now(ended.code or 0)
        raise
    if one_of_several():
        end_now(0)


def one_of_several() -> bool:
    """Whether `torchrun` started this process beside others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def end_now(code: int) -> NoReturn:
    """End this process, its exit handlers included, but without the interpreter's own teardown, which now and then
    aborts in gloo's threads."""
    atexit._run_exitfuncs()
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(code)


def _run(main: Callable[[], None]) -> None:
    try:
        main()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except RunError as error:
        fail(str(error), code=1)
    except (UserError, OSError) as error:
        fail(str(error))
