"""What the commands share on the command line: flags read, mistakes told in one line, how a command ends."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

from rerec_engine.errors import RunError, UserError

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
