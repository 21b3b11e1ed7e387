"""What a file's reader hands on: columns of text, and where each row stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rerec_engine.data.counts import EXAMPLES, Counts
from rerec_engine.errors import file_error


@dataclass
class Table:
    """Rows of a file. Every column is of strings, or of lists of strings; null where a cell is empty."""

    path: Path
    data: pa.Table
    told: str
    """Form and encoding, for people."""
    line_of: Callable[[int], int] = lambda row: row + 1
    """Of a row, counted from 0 as in the file: the line where it stands."""
    rows: np.ndarray | None = None  # [R] the numbers, in the file, of the rows that are here; None: all
    separators: dict[str, str] = field(default_factory=dict)
    """By column, at what the file's form says that its cells are split."""
    parts: tuple[Table, ...] = ()
    """The tables that it joins."""

    @property
    def columns(self) -> list[str]:
        return list(self.data.column_names)

    @property
    def count(self) -> int:
        return int(self.data.num_rows)

    def place(self, row: int) -> tuple[Path, int]:
        """File and line of a row, as an editor counts."""
        number = int(self.rows[row]) if self.rows is not None else row
        for part in self.parts:
            if number < part.count:
                return part.place(number)
            number -= part.count
        return self.path, self.line_of(number)

    def column(self, name: str) -> pa.Array:
        """One column, in one piece."""
        return whole(self.data[name])

    def where(self, keep: np.ndarray) -> Table:
        """The rows of a mask."""
        rows = np.arange(self.count) if self.rows is None else self.rows
        data = self.data.filter(pa.array(keep))
        return replace(self, data=data, rows=rows[keep])

    def without_broken(self, broken: np.ndarray, reason: Callable[[int], str], rows: Rows) -> Table:
        """Without the rows of a mask; raises UserError for the first unless bad rows are skipped. reason: of a row."""
        found = np.flatnonzero(broken)
        if len(found) and not rows.skip_bad:
            path, line = self.place(int(found[0]))
            raise file_error(path, reason(int(found[0])), line)
        self.tell_dropped(broken, BROKEN, rows, reason)
        return self.where(~broken) if len(found) else self

    def tell_dropped(self, mask: np.ndarray, why: str, rows: Rows, reason: Callable[[int], str] = lambda _: "") -> None:
        """Count the rows of a mask as dropped, the first few with their places."""
        found = np.flatnonzero(mask)
        for row in found[:EXAMPLES].tolist():
            path, line = self.place(row)
            rows.counts.drop(rows.kind, why, f"{path.name}:{line}: {reason(row)}".removesuffix(": "))
        if len(found) > EXAMPLES:
            rows.counts.drop(rows.kind, why, number=len(found) - EXAMPLES)


def joined(tables: Sequence[Table]) -> Table:
    """Tables of the same columns, one after the other."""
    if len(tables) == 1:
        return tables[0]
    first = tables[0]
    data = pa.concat_tables([table.data.select(first.columns) for table in tables])
    return Table(first.path, data, first.told, parts=tuple(tables))


BROKEN = "broken row"
MOST_BYTES = (1 << 31) - (1 << 24)
"""Of one array of strings, whose offsets are 32 bits."""


@dataclass(frozen=True)
class Rows:
    """How the rows of one kind are counted, and whether broken ones are left out or an error."""

    counts: Counts
    kind: str
    skip_bad: bool = False

    def broken(self, path: Path, line: int, message: str) -> None:
        """Count one broken row. Raises UserError unless bad rows are skipped."""
        if not self.skip_bad:
            raise file_error(path, message, line)
        self.counts.drop(self.kind, BROKEN, f"{path.name}:{line}: {message}")


def whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column in one piece, with offsets that hold any length."""
    if isinstance(column, pa.ChunkedArray):
        if pa.types.is_string(column.type) and column.nbytes > MOST_BYTES:
            column = column.cast(pa.large_string())
        joined = column.combine_chunks()
        return joined.chunk(0) if isinstance(joined, pa.ChunkedArray) else joined
    return column


def is_list(column: pa.Array | pa.ChunkedArray) -> bool:
    return bool(pa.types.is_list(column.type) or pa.types.is_large_list(column.type))


def as_text(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray | None:
    """A column of any Arrow type as one of strings or of lists of strings; None where it cannot be one.

    A number that is whole has no decimals: tables with gaps hold whole numbers as 3.0.
    """
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):  # datasets 5 keeps objects of many keys as Arrow's JSON
        return as_text(column.cast(kind.storage_type))
    if pa.types.is_dictionary(kind):
        return as_text(column.cast(kind.value_type))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return column
    if pa.types.is_string_view(kind):
        return column.cast(pa.string())
    if pa.types.is_floating(kind):
        return _float_text(column.cast(pa.float64()) if kind != pa.float32() else column)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _list_text(whole(column))
    if pa.types.is_null(kind) or pa.types.is_primitive(kind) or pa.types.is_decimal(kind):
        return column.cast(pa.string())
    return None


def _float_text(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Numbers, the whole ones up to 2^53 digit by digit: Arrow writes 1588687728923 as 1.588687728923e+12."""
    is_whole = pc.and_(pc.less_equal(pc.abs(column), 2.0**53), pc.equal(pc.floor(column), column))
    digits = pc.if_else(is_whole, column, None).cast(pa.int64()).cast(pa.string())
    return pc.if_else(is_whole, digits, pc.if_else(pc.is_finite(column), column.cast(pa.string()), None))


def _list_text(column: pa.Array) -> pa.Array | None:
    if pa.types.is_fixed_size_list(column.type):
        column = column.cast(pa.list_(column.type.value_type))
    values = column.values
    if pa.types.is_struct(values.type):
        names = [field.name for field in values.type]
        name = next((name for name in ("name", "title", "value", "label") if name in names), None)
        if name is None:
            return None
        values = pc.struct_field(values, name)
    text = as_text(values)
    if text is None or is_list(text):
        return None
    rebuilt = type(column).from_arrays(column.offsets, whole(text))
    return pc.if_else(column.is_valid(), rebuilt, pa.scalar(None, rebuilt.type))


def from_values(columns: dict[str, Sequence[Any]]) -> pa.Table:
    """A table of Python cells: text, None, or lists of text; a column with a list is one of lists."""
    arrays = {}
    for name, values in columns.items():
        if any(type(value) is list for value in values):
            values = [value if value is None or type(value) is list else [value] for value in values]
            arrays[name] = pa.array(values, pa.list_(pa.string()))
        else:
            arrays[name] = pa.array(values, pa.string())
    return pa.table(arrays)
