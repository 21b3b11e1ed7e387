"""How a command ends: a mistake in one line, a code for the shell."""

from __future__ import annotations

import atexit
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

from rerec_engine.errors import RunError, Stopped, UserError
from rerec_engine.machine import process_count

T = TypeVar("T")
NEEDED = ("torch", "transformers", "numpy", "scipy", "pyarrow", "yaml", "rich", "tqdm", "jinja2", "numba")
"""Modules that every installation has."""


def fail(message: str, code: int = 2) -> NoReturn:
    """Print one line to stderr and exit."""
    _tell(message)
    raise SystemExit(code)


def _tell(message: str) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)


def run_command(main: Callable[[], object]) -> None:
    """Run a command's `main` and end the process as `tell_mistakes` says.

    Bytes of the input that are no text become lone surrogates, for the command to refuse; characters that the output
    does not know become question marks.
    """
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "replace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)
    try:
        tell_mistakes(main)
    except SystemExit as ended:
        if process_count() > 1 and (ended.code is None or isinstance(ended.code, int)):
            end_now(ended.code or 0)
        raise
    if process_count() > 1:
        end_now(0)


def end_now(code: int) -> NoReturn:
    """End this process, its exit handlers included, but without the interpreter's own teardown, which now and then
    aborts in gloo's threads."""
    atexit._run_exitfuncs()
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(code)


def tell_mistakes(work: Callable[[], T]) -> T:
    """What `work` returns. A user's mistake becomes one line and exit code 2, a broken run 1, Ctrl-C 130."""
    try:
        return work()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except Stopped as ended:
        print(ended, file=sys.stderr)
        raise SystemExit(ended.exit_code) from None
    except RunError as error:
        fail(str(error), code=1)
    except ModuleNotFoundError as error:
        if error.name in NEEDED:
            fail(_elsewhere(error.name))
        raise
    except (UserError, OSError) as error:
        fail(str(error))


def _elsewhere(missing: str) -> str:
    """What to type instead, where this Python has no dependencies."""
    python = Path(".venv/bin/python")
    command = " ".join(["-m", *sys.orig_argv[sys.orig_argv.index("-m") + 1 :]]) if "-m" in sys.orig_argv else "..."
    there = f"type {python} {command}" if python.exists() else "make an environment: make train, or pip install ."
    return f"{sys.executable} has no {missing}: {there}"
