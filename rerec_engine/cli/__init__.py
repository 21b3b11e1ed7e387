"""What the commands share on the command line: flags read, mistakes told in one line, waits shown, how one ends."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import io
import os
import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from rerec_engine.errors import RunError, Stopped, UserError
from rerec_engine.machine import process_count

if TYPE_CHECKING:
    from tqdm import tqdm

WIDTH = 80
"""Columns that a line on a terminal takes at most."""
PLAIN_SECONDS = 15.0
"""Seconds between a bar's lines, where they go into a file."""
PATIENCE = 1.0
"""Seconds after which a wait is told."""
T = TypeVar("T")


class Parser(argparse.ArgumentParser):
    """argparse with one-line errors."""

    def error(self, message: str) -> NoReturn:
        fail(f"{message} (see --help)")


def positive(text: str) -> int:
    """argparse type: an integer of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {value}")
    return value


def parse_cli(kind: Any, args: Sequence[str], *, prog: str, default: T | None = None, omit_prefixes: bool = False) -> T:
    """Parse `args` with tyro. Bad input is a one-line `UserError`; `--help` prints and exits with code 0."""
    import tyro

    marker = tyro.conf.OmitArgPrefixes if omit_prefixes else tyro.conf.FlagConversionOff
    words = [{"true": "True", "false": "False", "none": "None"}.get(a, a) for a in args]
    stderr = io.StringIO()
    try:
        with contextlib.redirect_stderr(stderr):
            options: dict[str, Any] = {} if default is None else {"default": default}
            parsed: T = tyro.cli(kind, args=words, prog=prog, config=(marker,), **options)
            return parsed
    except SystemExit as end:
        if end.code == 0:
            raise
        raise UserError(_one_line(stderr.getvalue())) from None


def _one_line(box: str) -> str:
    """The text of tyro's error box: its lines without the frame, up to the hint at --help."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", box)
    lines = [line.strip("│ ") for line in plain.splitlines() if not line.startswith(("╭", "╰"))]
    text = " ".join(" ".join(lines).split())
    return re.sub(r"[─-]{5,}", "", text.split("For full helptext")[0]).strip() or "the arguments are not understood"


@contextlib.contextmanager
def waiting(what: str, shown: bool = True) -> Iterator[None]:
    """Tell on stderr what is waited for, e.g. `loading the model`, where the block takes longer than a second.

    A terminal forgets the line at the end; a file keeps it.
    """
    terminal = sys.stderr.isatty()
    told = threading.Event()

    def tell() -> None:
        told.set()
        print(f"{what} ...", end="" if terminal else "\n", file=sys.stderr, flush=True)

    timer = threading.Timer(PATIENCE, tell)
    timer.daemon = True
    if shown:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if told.is_set() and terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


class _Lines(io.TextIOBase):
    """Takes what tqdm draws over and over, and writes plain lines to stderr."""

    def write(self, text: str) -> int:
        if text.strip():
            print(text.strip(), file=sys.stderr, flush=True)
        return len(text)


def progress_bar(
    total: int, desc: str, unit: str, *, initial: int = 0, shown: bool = True, leave: bool = False
) -> tqdm[Any]:
    """A bar on stderr. `update(n)` moves it, `set_postfix_str(text, refresh=False)` adds figures, `close()` ends it.

    On a terminal it takes at most 80 columns, some 35 of which the figures may have; into a file it writes a plain line
    every 15 s at most, and one at the end. leave: keep it on the terminal when it is closed.
    """
    from tqdm import tqdm

    terminal = sys.stderr.isatty()
    return tqdm(
        total=total,
        initial=initial,
        desc=desc,
        unit=unit,
        disable=not shown,
        leave=leave or not terminal,
        file=None if terminal else _Lines(),
        ncols=min(WIDTH, shutil.get_terminal_size().columns) if terminal else None,
        mininterval=0.5 if terminal else PLAIN_SECONDS,
        nrows=24,
        miniters=1,
        bar_format="{desc} {n_fmt}/{total_fmt} "
        + ("|{bar}| {remaining} left{postfix}" if terminal else "{unit}, {elapsed} gone, {remaining} left{postfix}"),
    )


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


def _run(main: Callable[[], None]) -> None:
    try:
        main()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except Stopped as ended:
        print(ended, file=sys.stderr)
        raise SystemExit(ended.exit_code) from None
    except RunError as error:
        fail(str(error), code=1)
    except (UserError, OSError) as error:
        fail(str(error))
