"""Bytes as text: what encoding they are in, how they are packed, and what is no text."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.data.files import encoding
from rerec_engine.data.files.encoding import (
    STRANGE,
    Encoding,
    beginning,
    find_encoding,
    open_bytes,
    start_of,
    text_of,
    told_faults,
    utf8_stream,
    whole_text,
)
from rerec_engine.errors import UserError

UTF8, BROKEN = Encoding("utf-8"), Encoding("utf-8", broken=True)


def write(folder: Path, data: bytes, name: str = "some.file") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def text(path: Path) -> str:
    with text_of(path, find_encoding(path)) as file:
        return file.read().removeprefix("\ufeff")


def stream(path: Path) -> str:
    """The same as Arrow gets it."""
    with utf8_stream(path, find_encoding(path), lambda part: part) as file:
        return str(file.read(), "utf-8").removeprefix("\ufeff")


CAFES = "naïve cafés à côté "
FOUND = [
    (b"Heat", UTF8, "Heat"),
    ("Zoë 東京 😀".encode(), UTF8, "Zoë 東京 😀"),
    ("Zoë".encode("utf-8-sig"), Encoding("utf-8-sig"), "Zoë"),
    ("Zoë".encode("utf-16"), Encoding("utf-16"), "Zoë"),
    (codecs.BOM_UTF16_BE + "Zoë".encode("utf-16-be"), Encoding("utf-16"), "Zoë"),
    ("Zoë".encode("utf-32"), Encoding("utf-32"), "Zoë"),
    ("Zoë".encode("latin-1"), Encoding("cp1252"), "Zoë"),
    (b"Schindler\x92s List \x96 \x80 5", Encoding("cp1252"), "Schindler’s List – € 5"),
    (b"\x8damek", Encoding("cp1252", broken=True), "\ufffdamek"),  # Windows-1250: Windows-1252 has no such byte
    (CAFES.encode() + b"caf\xe9", BROKEN, CAFES + "caf\ufffd"),
    (CAFES.encode() + b"caf\xc3", BROKEN, CAFES + "caf\ufffd"),  # cut in the middle of a character
    ("Zoë".encode("utf-8-sig") + b"\xff", Encoding("utf-8-sig", broken=True), "Zoë\ufffd"),
    (codecs.BOM_UTF16_LE + "Zoë".encode("utf-16-le") + b"x", Encoding("utf-16", broken=True), "Zoë\ufffd"),
    (b"caf\xe9 d\xe9j\xe0 \xc3\xa9", Encoding("cp1252"), "café déjà Ã©"),  # more wrong than right
    ("a literal \ufffd".encode(), UTF8, "a literal \ufffd"),
]


@pytest.mark.parametrize(("data", "found", "expected"), FOUND, ids=range(len(FOUND)))
def test_encodings(tmp_path: Path, data: bytes, found: Encoding, expected: str) -> None:
    path = write(tmp_path, data)
    assert find_encoding(path) == found
    assert text(path) == stream(path) == expected
    assert whole_text(path) == (expected.replace("\ufffd", STRANGE) if found.broken else expected)


def test_a_beginning_has_no_mark_and_no_blanks(tmp_path: Path) -> None:
    for name in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        assert beginning(write(tmp_path, '\n \t{"a": "é"}\n'.encode(name))) == '{"a": "é"}\n'
    assert beginning(write(tmp_path, b"caf\xe9")) == "caf\ufffd"


def test_how_an_encoding_is_called() -> None:
    names = ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"]
    told = [Encoding(name).told for name in names]
    assert told == ["UTF-8", "UTF-8 with a mark", "UTF-16", "UTF-32", "Windows-1252"]
    assert BROKEN.fault == "bytes that are not UTF-8, which the rest of the file is"


@given(
    st.text(st.characters(exclude_characters="\0\ufeff", exclude_categories=["Cs"]), min_size=1),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    st.sampled_from([bytes, gzip.compress, bz2.compress, lzma.compress]),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, words: str, name: str, pack: Callable[[bytes], bytes]
) -> None:
    """A mark before it, or a letter: text may begin as a packed file or a mark does."""
    path = write(tmp_path_factory.getbasetemp(), pack(("x" + words).encode(name)), "words")
    assert text(path) == stream(path) == "x" + words


@given(st.binary(min_size=1, max_size=40))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = write(tmp_path_factory.getbasetemp(), data, "bytes")
    try:
        found = find_encoding(path)
    except UserError:
        return  # a zero byte, or the beginning of another kind of file
    assert found.broken == (STRANGE in whole_text(path))
    assert found.broken <= ("\ufffd" in text(path))
    assert beginning(path) == text(path).lstrip("\ufeff \t\r\n") or found.name == "cp1252" or found.broken


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_characters_may_lie_across_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(encoding, "CHUNK", size)
    assert find_encoding(write(tmp_path, "é€😀".encode())) == UTF8
    assert find_encoding(write(tmp_path, "é€😀é".encode()[:-1])) == BROKEN


@pytest.mark.parametrize("name", ["plain.csv", "table.gz", "none"])
def test_the_bytes_decide_how_a_file_is_packed(tmp_path: Path, name: str) -> None:
    rows = b"id,title\n1,Heat\n"
    for data in (rows, gzip.compress(rows), bz2.compress(rows), lzma.compress(rows)):
        with open_bytes(write(tmp_path, data, name)) as file:
            assert file.read() == rows
    several = gzip.compress(rows[:9]) + gzip.compress(rows[9:])
    assert text(write(tmp_path, several, name)) == rows.decode()
    assert start_of(write(tmp_path, several, name), 4) == b"id,t"


def zipped() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("a.csv", "id,title\n")
    return sink.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (zipped(), "is a zip archive or a spreadsheet"),
        (b"%PDF-1.4", "is a PDF"),
        (b"SQLite format 3\0", "is a database"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "is a pointer of Git LFS"),
        (b"<!DOCTYPE html>\n<html>", "is a web page"),
        (b"<HTML>", "is a web page"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is no text: it holds zero bytes"),
        ("id,title".encode("utf-16-le"), "is no text: it holds zero bytes"),  # without its mark
        (gzip.compress(b"id,title\n1,x\n" * 9999)[:-30], r"cannot be unpacked \(truncated\?\)"),
        (lzma.compress(b"id,title\n1,x\n" * 9999)[:-30], r"cannot be unpacked \(truncated\?\)"),
        (b"\x1f\x8bnot packed at all", "cannot be unpacked"),
    ],
    ids=range(12),
)
def test_what_is_no_text(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(UserError, match=rf"some\.file: {message}") as error:
        find_encoding(write(tmp_path, data))
    assert "\n" not in str(error.value)


def test_a_fault_names_the_file() -> None:
    with pytest.raises(UserError, match=r"a\.csv: cannot be read: No space left"), told_faults(Path("a.csv")):
        raise OSError("No space\nleft")
    with pytest.raises(UserError, match="^as it is$"), told_faults(Path("a.csv")):
        raise UserError("as it is")
    with pytest.raises(UserError, match=r"gone: no such file"):
        open_bytes(Path("gone"))
