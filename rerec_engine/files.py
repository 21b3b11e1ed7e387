"""Files and directories written whole or not at all: under a temporary name, then renamed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rerec_engine.errors import file_error


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary file beside `path`, for the block to write, which then takes its place.

    Where the block fails, what was at `path` stays as it was. Raises UserError where the disk or the place refuses.
    """
    target = Path(path)
    temporary = _beside(target, "tmp")
    try:
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        if error.filename not in (None, str(temporary), temporary):  # another file's, which the block read
            raise
        raise file_error(target, f"cannot write: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_directory(path: str | Path) -> Iterator[Path]:
    """A new, empty temporary directory beside `path`, which takes its place at the end of the block.

    An older directory at `path` stays until the new one is in place, and as it was where the block fails.
    """
    target = Path(os.path.abspath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary, old = _beside(target, "tmp"), _beside(target, "old")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        if target.is_dir():
            os.replace(target, old)
        try:
            os.replace(temporary, target)
        except OSError:
            with suppress(OSError):
                os.replace(old, target)
            raise
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


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{ending}")
