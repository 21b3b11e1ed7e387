"""A file's bytes as UTF-8 text: unpacked by what they begin with, decoded by what they hold."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa

from rerec_engine.data.store import require
from rerec_engine.errors import UserError, file_error

CHUNK = 1 << 22
STRANGE = "\udcff"
"""Stands for bytes that are no text; no text holds it."""
_PACKED: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before that of UTF-16, with which it begins
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_STRANGE, _LONE = re.compile(r"[^\x00-\x7f]"), re.compile("[\udc80-\udcff]")
_UNDEFINED = b"\x81\x8d\x8f\x90\x9d"
"""Bytes that Windows-1252 does not have."""
_FOREIGN = {
    b"PK\x03\x04": "a zip archive or a spreadsheet: unpack it, or save it as CSV",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet: save it as CSV",
    b"%PDF": "a PDF",
    b"SQLite format 3": "a database: export its tables as CSV",
    b"version https://": "a pointer of Git LFS: fetch the file that it stands for",
    b"<!doctype html": "a web page: the download went wrong",
    b"<html": "a web page: the download went wrong",
}


@dataclass(frozen=True)
class Encoding:
    """How a file's bytes are read. broken: some bytes are none of it, and become U+FFFD."""

    name: str
    broken: bool = False

    @property
    def told(self) -> str:
        """As a person calls it."""
        names = {"utf-8": "UTF-8", "utf-8-sig": "UTF-8 with a mark", "cp1252": "Windows-1252"}
        return names.get(self.name, self.name.upper())

    @property
    def fault(self) -> str:
        """Of a row that holds such bytes."""
        return f"bytes that are not {self.told}, which the rest of the file is"


@contextmanager
def told_faults(path: Path) -> Iterator[None]:
    """Turns what reading raises into a UserError that names the file."""
    try:
        yield
    except UserError:
        raise
    except (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError) as error:
        raise file_error(path, f"cannot be unpacked (truncated?): {error}") from None
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise file_error(path, f"cannot be read: {' '.join(str(error).split())}"[:300]) from None


def open_bytes(path: Path) -> IO[bytes]:
    """The file unpacked. Raises UserError for what holds no table."""
    with require(path).open("rb") as file:
        start = file.read(16)
    if not start:
        raise file_error(path, "is empty")
    for magic, what in _FOREIGN.items():
        if start.startswith(magic) or start.lower().startswith(magic):
            raise file_error(path, f"is {what}")
    unpack = next((unpack for magic, unpack in _PACKED.items() if start.startswith(magic)), None)
    return cast("IO[bytes]", unpack(path, "rb") if unpack else path.open("rb"))


def start_of(path: Path, size: int = 1 << 20) -> bytes:
    """The first bytes, unpacked."""
    with told_faults(path), open_bytes(path) as file:
        return file.read(size)


def find_encoding(path: Path) -> Encoding:
    """UTF-8 where that is valid, or valid but for fewer characters than are right; else Windows-1252.

    Reads the whole file. Raises UserError where it is no text.
    """
    start = start_of(path, 1 << 13)
    mark = _mark(start)
    if mark not in ("utf-16", "utf-32") and b"\0" in start:
        raise file_error(path, "is no text: it holds zero bytes")
    name = mark or "utf-8"
    broken = any(text is None for text in _decoded(path, name, "strict"))
    if mark or not broken:
        return Encoding(name, broken)
    right = wrong = 0
    for text in _decoded(path, name, "surrogateescape"):
        lone = _LONE.findall(text or "")
        right, wrong = right + len(_STRANGE.findall(text or "")) - len(lone), wrong + len(lone)
    if right > wrong:
        return Encoding("utf-8", broken=True)
    return Encoding("cp1252", broken=any(part.translate(None, _UNDEFINED) != part for part in _parts(path)))


def _mark(start: bytes) -> str | None:
    """The encoding that a byte-order mark names."""
    return next((name for mark, name in _MARKS.items() if start.startswith(mark)), None)


def beginning(path: Path, size: int = 1 << 20) -> str:
    """The first characters, without a mark and blanks before them; what is no text in them becomes U+FFFD."""
    start = start_of(path, size)
    return start.decode(_mark(start) or "utf-8", "replace").lstrip("\ufeff \t\r\n")


def _decoded(path: Path, name: str, errors: str) -> Iterator[str | None]:
    """The file's parts as text; None, and no more, where a byte is wrong."""
    decoder = codecs.getincrementaldecoder(name)(errors)
    for part in chain(_parts(path), (b"",)):
        try:
            yield decoder.decode(part, final=not part)
        except UnicodeDecodeError:
            yield None
            return


def _parts(path: Path) -> Iterator[bytes]:
    """The file's bytes, unpacked."""
    with told_faults(path), open_bytes(path) as file:
        while part := file.read(CHUNK):
            yield part


def whole_text(path: Path) -> str:
    """All of a file, without a mark; bytes that are none of its encoding become STRANGE. An empty file is ""."""
    if not require(path).stat().st_size:
        return ""
    encoding = find_encoding(path)
    with told_faults(path), text_of(path, encoding) as file:
        text = file.read().removeprefix("\ufeff")
    return text.replace("\ufffd", STRANGE) if encoding.broken else text


def utf8_stream(path: Path, encoding: Encoding, change: Callable[[bytes], bytes]) -> Any:
    """The file as a stream of UTF-8 bytes for Arrow, without a mark. change: what is done to every part."""
    decoder = codecs.getincrementaldecoder(encoding.name)("replace")

    def recoded(part: Any) -> bytes:
        plain = encoding.name == "utf-8" and not encoding.broken
        return change(bytes(part) if plain else decoder.decode(bytes(part), final=not part).encode())

    return pa.lib.TransformInputStream(pa.PythonFile(open_bytes(path), mode="r"), recoded)


def text_of(path: Path, encoding: Encoding) -> IO[str]:
    """The file as text, its line ends as they are."""
    return io.TextIOWrapper(open_bytes(path), encoding.name, errors="replace", newline="")
