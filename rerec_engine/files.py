"""Files and directories written whole or not at all: under a temporary name, flushed to the disk, then renamed."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rerec_engine.errors import file_error

LEFTOVER = re.compile(r"\.(?P<name>.+)\.\d+\.(?P<ending>tmp|old)")
"""Names that `replacing` and `replacing_directory` take meanwhile, with the number of their process."""


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary file beside `path`, for the block to write, which then takes its place.

    Where the block fails, what was at `path` stays as it was. Raises UserError where the disk or the place refuses.
    """
    target = Path(path)
    temporary = _beside(target, "tmp")
    try:
        with _told_of(target, temporary):
            yield temporary
            flush(temporary)
            os.replace(temporary, target)
            flush_entries(target.parent)
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def replacing_directory(path: str | Path) -> Iterator[Path]:
    """A new, empty temporary directory beside `path`, which takes its place at the end of the block.

    An older directory at `path` stays until the new one is in place, and as it was where the block fails. Raises
    UserError where the disk or the place refuses.
    """
    target = Path(os.path.abspath(path))
    temporary, old = _beside(target, "tmp"), _beside(target, "old")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with _told_of(path, temporary, target, *target.parents):
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.mkdir()
            yield temporary
            flush(temporary)
            if target.is_dir():
                os.replace(target, old)
            try:
                os.replace(temporary, target)
            except OSError:
                with suppress(OSError):
                    os.replace(old, target)
                raise
            flush_entries(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def write_text(path: str | Path, text: str) -> None:
    """`replacing` with a text in UTF-8."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: object, indent: int | None = 2) -> None:
    """`replacing` with a value as JSON."""
    write_text(path, json.dumps(value, indent=indent) + "\n")


def flush(path: Path) -> None:
    """Have the disk hold a file, or a directory with all that is in it."""
    if path.is_dir():
        for inside in path.iterdir():
            flush(inside)
        flush_entries(path)
    else:
        with path.open("rb") as file:
            _sync(file.fileno())


def flush_entries(folder: Path) -> None:
    """Have the disk hold which files a directory has, on file systems that can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            _sync(descriptor)
        finally:
            os.close(descriptor)


def _sync(descriptor: int) -> None:
    """fsync, also where it stops at the drive's own memory (macOS)."""
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        with suppress(OSError):  # of a file system that has none
            fcntl.fcntl(descriptor, full)
            return
    os.fsync(descriptor)


@contextmanager
def _told_of(path: str | Path, temporary: Path, *places: Path) -> Iterator[None]:
    """Turns an OSError about `temporary`, what is in it or one of `places` into a UserError that names `path`.

    One about another file, which the block read, passes.
    """
    try:
        yield
    except OSError as error:
        place = error.filename and Path(os.fsdecode(error.filename))
        if place and temporary not in (place, *place.parents) and place not in places:
            raise
        raise file_error(path, f"cannot write: {error.strerror or error}") from error


def clear_leftovers(folder: Path) -> None:
    """Remove what `replacing` and `replacing_directory` of a killed process left in a folder, where no other process
    writes. An older directory whose place is empty takes it again."""
    for path in list(folder.iterdir()):
        if not (found := LEFTOVER.fullmatch(path.name)):
            continue
        target = path.with_name(found["name"])
        if found["ending"] == "old" and not target.exists():
            os.replace(path, target)
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{ending}")
