"""Waits that are told: a line for what cannot be counted, a bar for what can, plain lines where they go into a file."""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rerec_engine.cli.parser import WIDTH

if TYPE_CHECKING:
    from tqdm import tqdm

PLAIN_SECONDS = 15.0
"""Seconds between a bar's lines, where they go into a file."""
PATIENCE = 1.0
"""Seconds after which a wait is told."""


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
        miniters=0,  # `update(0)` draws new figures
        bar_format="{desc} {n_fmt}/{total_fmt} "
        + ("|{bar}| {remaining} left{postfix}" if terminal else "{unit}, {elapsed} gone, {remaining} left{postfix}"),
    )
