"""CSV and its kin: delimiter, quotes and header found in the first lines, rows read by Arrow, every cell as text."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from rerec_engine.data.counts import EXAMPLES
from rerec_engine.data.files.encoding import Encoding, find_encoding, start_of, text_of, told_faults, utf8_stream
from rerec_engine.data.files.table import Rows, Table
from rerec_engine.errors import UserError, file_error

DOUBLE, UNIT = "::", "\x1f"
DELIMITERS = (",", ";", "\t", "|", DOUBLE)
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", DOUBLE: "double colons", " ": "blanks"}
_TYPED = re.compile(r"(.+):(token|float|token_seq|float_seq)")
_NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?")
_SEP = re.compile(r'"?sep=(.)"?\n', re.IGNORECASE)
"""A first line that tells Excel the delimiter."""
BLOCK = 1 << 24
SAMPLE = 1 << 16


@dataclass(frozen=True)
class Layout:
    """How a delimited file is laid out."""

    encoding: Encoding
    delimiter: str
    quoted: bool
    escaped: bool
    """Quotes in cells have a backslash before them, instead of being doubled."""
    header: bool
    before: int
    """Lines before the first row: empty ones, and Excel's `sep=;`."""
    names: tuple[str, ...]
    separators: dict[str, str]
    """By column, from RecBole's typed header."""

    def row(self, bad: Any) -> int:
        """The number, from 0, of a row that Arrow counts from 1, the header and the lines before it included."""
        return int(bad.number) - 1 - self.before - int(self.header)

    @property
    def told(self) -> str:
        head = "" if self.header else ", no header"
        return f"{_NAMES.get(self.delimiter, repr(self.delimiter))}, {self.encoding.told}{head}"


def find_layout(path: Path, header: bool | None = None, delimiter: str = "") -> Layout:
    """Read off the first lines. header: whether there is one, where the caller knows; delimiter likewise."""
    encoding = find_encoding(path)
    text = start_of(path).decode(encoding.name.replace("utf-8-sig", "utf-8"), "replace").removeprefix("\ufeff")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    start = text.lstrip("\n")
    if named := _SEP.match(start):
        delimiter, start = delimiter or named[1], start[named.end() :].lstrip("\n")
    if not start.strip():
        raise file_error(path, "is empty")
    delimiter = delimiter or max(DELIMITERS, key=lambda mark: _fit(start, mark))
    quoted, escaped = _quotes(start, delimiter)
    first = next(filter(None, _reader(io.StringIO(start), delimiter, quoted, escaped)))
    if header is None:
        header = not any(_NUMBER.fullmatch(cell.strip()) for cell in first)
    if header and not start.rstrip("\n").count("\n"):
        raise file_error(path, "holds a header and no row")
    before = text[: len(text) - len(start)].count("\n")
    return _named(Layout(encoding, delimiter, quoted, escaped, header, before, (), {}), first)


def _named(layout: Layout, first: Sequence[str]) -> Layout:
    if not layout.header:
        return replace(layout, names=tuple(f"column {n}" for n in range(1, len(first) + 1)))
    typed = [_TYPED.fullmatch(cell.strip()) for cell in first]
    names: list[str] = []
    separators = {}
    for n, cell in enumerate(first, 1):
        match = typed[n - 1] if all(typed) else None
        name = " ".join((match[1] if match else cell).split()) or f"column {n}"
        name = name if name not in names else f"{name} {n}"
        names.append(name)
        if match and match[2].endswith("_seq"):
            separators[name] = " "
    return replace(layout, names=tuple(names), separators=separators)


def _reader(lines: Iterable[str], delimiter: str, quoted: bool, escaped: bool) -> Any:
    """Reads rows as `csv` does; "::" never stands in quotes."""
    csv.field_size_limit((1 << 31) - 1)
    form: dict[str, Any] = {"escapechar": "\\" if escaped else None} if quoted else {"quoting": csv.QUOTE_NONE}
    if delimiter == DOUBLE:
        return csv.reader((line.replace(DOUBLE, UNIT) for line in lines), delimiter=UNIT, quoting=csv.QUOTE_NONE)
    return csv.reader(lines, delimiter=delimiter, **form)


def _quotes(text: str, delimiter: str) -> tuple[bool, bool]:
    """Whether quotes hold cells, and whether backslashes stand before those in cells.

    Where most quotes are never closed before a delimiter, they are part of the text.
    """
    mark, sample = re.escape(delimiter), text[:SAMPLE]
    held = re.compile(rf'(?:(?<=\n)|(?<={mark})|\A)"(?:[^"]|""|(?<=\\)")*"(?={mark}|\n|\Z)')
    proper = len(held.findall(sample))
    quoted = len(re.findall(rf'(?:\n|{mark}|\A)"', held.sub("", sample))) <= proper
    return quoted, quoted and re.search(rf'(?<!\\)\\"(?!"|{mark}|\n|\Z)', sample) is not None


def _fit(text: str, delimiter: str) -> tuple[float, int]:
    """How well the first rows agree with the first: the share of as many cells, and how many these are."""
    try:
        reader = _reader(io.StringIO(text[:SAMPLE]), delimiter, *_quotes(text, delimiter))
        rows = list(islice(filter(None, reader), 200))
    except csv.Error:
        return 0.0, 0
    cut = rows[:-1] if len(rows) > 1 and len(text) > SAMPLE else rows
    width = len(cut[0])
    return (round(sum(len(row) == width for row in cut) / len(cut), 1), width) if width > 1 else (0.0, 0)


def read_delimited(path: Path, layout: Layout, rows: Rows, columns: Sequence[str] | None = None) -> Table:
    """The rows of a file; columns: those wanted (None: all). Raises UserError for a broken row unless they are skipped.

    A row is broken that has more or fewer cells than the header, or bytes that are not text.
    """
    bad: list[Any] = []

    def handle(row: Any) -> str:
        bad.append(row)
        return "skip" if rows.skip_bad else "error"

    parts = _Parts(layout.delimiter == DOUBLE)
    locate = _Lines(path, layout)
    try:
        with told_faults(path):
            data = pa.csv.read_csv(
                utf8_stream(path, layout.encoding, parts),
                pa.csv.ReadOptions(
                    use_threads=False,  # only then are broken rows numbered
                    block_size=BLOCK,
                    skip_rows=layout.before,
                    column_names=list(layout.names),
                    skip_rows_after_names=int(layout.header),
                ),
                pa.csv.ParseOptions(
                    delimiter=UNIT if layout.delimiter == DOUBLE else layout.delimiter,
                    quote_char='"' if layout.quoted else False,
                    escape_char="\\" if layout.escaped else False,
                    newlines_in_values=layout.quoted,
                    invalid_row_handler=handle,
                ),
                pa.csv.ConvertOptions(
                    column_types=dict.fromkeys(layout.names, pa.string()),
                    include_columns=list(columns or layout.names),
                    strings_can_be_null=True,
                    null_values=[""],
                    check_utf8=False,
                ),
            )
    except UserError:
        if bad and not rows.skip_bad:
            raise file_error(path, _wrong(bad[0], layout), locate(layout.row(bad[0]))) from None
        raise
    broken = [layout.row(row) for row in bad]
    numbers = np.delete(np.arange(data.num_rows + len(bad)), broken) if bad else None
    rows.counts.read(rows.kind, data.num_rows + len(bad))
    for number, row in zip(broken, bad, strict=True):
        rows.broken(path, locate(number) if number in broken[:EXAMPLES] else number, _wrong(row, layout))
    table = Table(path, data, layout.told, locate, numbers, dict(layout.separators))
    if layout.quoted and not parts.last.endswith(b'"') and data.num_rows:
        _check_closed(table, layout.names[-1])
    if not layout.encoding.broken:
        return table
    strange = np.zeros(table.count, bool)
    for name in table.columns:
        strange |= pc.fill_null(pc.match_substring(table.column(name), "\ufffd"), False).to_numpy(zero_copy_only=False)
    return table.without_broken(strange, lambda _: layout.encoding.fault, rows)


def _check_closed(table: Table, last: str) -> None:
    """Raises UserError where the last cell has swallowed rows, since a quote in it is not closed. last: its column."""
    if last in table.columns and "\n" in (table.data[last][table.count - 1].as_py() or ""):
        raise file_error(table.path, "a quote is opened and never closed", table.place(table.count - 1)[1])


def _wrong(row: Any, layout: Layout) -> str:
    told = " ".join((row.text or "").replace(UNIT, DOUBLE).split())[:60]
    mark = _NAMES.get(layout.delimiter, repr(layout.delimiter))
    cells = f"expected {row.expected_columns} cells, separated by {mark}, got {row.actual_columns}"
    return f"{cells}: {told}" if layout.header else f"{cells} (the first line decides): {told}"


class _Parts:
    """Passes the parts of a stream on, and keeps the end of the last. double: "::" becomes one byte."""

    def __init__(self, double: bool) -> None:
        self.double, self.held, self.last = double, b"", b""

    def __call__(self, part: bytes) -> bytes:
        self.last = (self.last + part)[-64:].rstrip()
        if not self.double:
            return part
        text = (self.held + part).replace(b"::", UNIT.encode())
        self.held = b":" if part and text.endswith(b":") else b""
        return text[:-1] if self.held else text


class _Lines:
    """Finds the line of a row by reading the file again: only what is told needs it."""

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path, self.layout = path, layout

    def __call__(self, row: int) -> int:
        with told_faults(self.path), text_of(self.path, self.layout.encoding) as text:
            layout = self.layout
            reader = _reader(islice(text, layout.before, None), layout.delimiter, layout.quoted, layout.escaped)
            wanted = row + int(layout.header)
            with suppress(csv.Error):
                found, last = 0, layout.before
                for cells in reader:
                    if cells and found == wanted:
                        return last + 1
                    found, last = found + bool(cells), layout.before + int(reader.line_num)
        return wanted + 1
