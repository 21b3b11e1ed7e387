"""Errors a user can cause, and how a command ends on one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn


class UserError(ValueError):
    """Bad input from outside: a file, a row, a setting. Its message is one line that names the place and the remedy."""


def file_error(path: str | Path, message: str, row: int | None = None) -> UserError:
    """A `UserError` that names file and, where known, the row (1-based, as an editor counts lines)."""
    place = f"{path}:{row}" if row is not None else str(path)
    return UserError(f"{place}: {message}")


def fail(message: str) -> NoReturn:
    """Print one line to stderr and exit with code 2."""
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(2)


def run_command(main: Callable[[], None]) -> None:
    """Run a command's `main`; a user's mistake becomes one line and exit code 2, Ctrl-C exit code 130."""
    try:
        main()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except UserError as error:
        fail(" ".join(str(error).split()))
    except OSError as error:
        fail(" ".join(str(error).split()))
