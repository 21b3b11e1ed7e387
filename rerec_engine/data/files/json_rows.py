"""JSON: a line an object (read by Arrow where its columns keep their types), or one document that holds the rows."""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json

from rerec_engine.data.files.encoding import Encoding, beginning, find_encoding, text_of, told_faults, utf8_stream
from rerec_engine.data.files.table import Rows, Table, as_text, from_values
from rerec_engine.errors import UserError, file_error

PEEK = 200
BATCH = 50_000
_NAMED = ("name", "title", "value", "label")
_LONE = re.compile("[\ud800-\udfff]")
"""Halves of characters, as JSON's escapes leave them where a text was cut."""
_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def is_json(path: Path) -> bool:
    """Whether the file begins as JSON does."""
    start = beginning(path, 4096)
    return start[:1] == "{" or (start[:1] == "[" and start[1:].lstrip()[:1] in ("{", "]"))


def is_document(path: Path) -> bool:
    """Whether the rows are parts of one value, not a line each."""
    start = beginning(path)
    line = start.split("\n", 1)[0]
    if line.startswith("["):
        return True
    try:
        first = parse_line(line)
    except ValueError:
        return True
    rest = start[len(line) :].strip()
    lists = [value for value in first.values() if isinstance(value, list) and value and isinstance(value[0], dict)]
    return not rest and (len(lists) == 1 or all(isinstance(value, (dict, list)) for value in first.values()))


def parse_line(line: str) -> dict[str, Any]:
    """One object, in JSON or as Python writes it. Raises ValueError."""
    try:
        value = json.loads(line)
    except ValueError as error:
        if not line.lstrip().startswith(("{'", "{u'")):
            raise ValueError(f"is no JSON: {error}") from None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                value = ast.literal_eval(line.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raise ValueError("is neither JSON nor a Python literal") from None
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, got {type(value).__name__}")
    return value


def columns_of(path: Path) -> list[str]:
    """The columns of the first rows."""
    return _columns(_first(path, find_encoding(path)))


def read_lines(path: Path, rows: Rows, columns: Sequence[str] | None = None) -> Table:
    """A line an object. columns: those wanted, `details.Brand` in objects; None: all.

    Raises UserError for a broken line unless they are skipped.
    """
    encoding = find_encoding(path)
    locate = partial(_line, path, encoding)
    peeked = _first(path, encoding)
    wanted = list(columns) if columns else _columns(peeked)
    data = _by_arrow(path, encoding, peeked, wanted, all_columns=columns is None)
    numbers = None
    if data is None:
        data, numbers = _by_line(path, encoding, rows, columns)
    else:
        rows.counts.read(rows.kind, data.num_rows)
    return Table(path, data, f"JSON lines, {encoding.told}", locate, numbers)


def read_document(path: Path, rows: Rows, columns: Sequence[str] | None = None) -> Table:
    """A list of objects, alone or in an object; objects by id; or pandas' columns by row."""
    encoding = find_encoding(path)
    try:
        with told_faults(path), text_of(path, encoding) as text:
            value = json.loads(text.read().removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise error if isinstance(error, UserError) else file_error(path, f"is no JSON: {error}") from None
    entries = _entries(value)
    if entries is None:
        raise file_error(path, "expected a list of objects, or objects by id")
    rows.counts.read(rows.kind, len(entries))
    good = [number for number, entry in enumerate(entries) if isinstance(entry, dict)]
    for number in sorted(set(range(len(entries))) - set(good)):
        rows.broken(path, number + 1, f"expected an object, got {type(entries[number]).__name__}")
    data = from_values(_cells([entries[number] for number in good], columns))
    return Table(path, data, f"JSON, {encoding.told}", rows=np.array(good, np.int64))


def _entries(value: Any) -> list[Any] | None:
    """The rows of a document."""
    if isinstance(value, list):
        return value
    if not isinstance(value, dict) or not value:
        return None
    lists = [inner for inner in value.values() if isinstance(inner, list) and inner and isinstance(inner[0], dict)]
    if len(lists) == 1:
        return lists[0]
    if not all(isinstance(inner, dict) for inner in value.values()):
        return None
    first = next(iter(value.values()))
    if len(value) < len(first) and all(inner.keys() == first.keys() for inner in value.values()):
        return [{name: inner[key] for name, inner in value.items()} for key in first]
    return [{("key" if "id" in inner else "id"): key, **inner} for key, inner in value.items()]


def _first(path: Path, encoding: Encoding) -> list[dict[str, Any]]:
    """The first rows that are right."""
    found: list[dict[str, Any]] = []
    with told_faults(path), text_of(path, encoding) as text:
        for line in text:
            if len(found) == PEEK:
                break
            try:
                found.append(parse_line(line.removeprefix("\ufeff")))
            except ValueError:
                continue
    return found


def _columns(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for entry in entries for name in flat(entry)))


def _by_arrow(
    path: Path, encoding: Encoding, peeked: Sequence[Mapping[str, Any]], wanted: Sequence[str], all_columns: bool
) -> pa.Table | None:
    """The table as Arrow reads it; None where a column is not of one plain type, or is not among the first rows'."""
    fields = [_field(name, [entry.get(name) for entry in peeked]) for name in wanted]
    plain = all(field is not None for field in fields) and set(wanted) <= {name for entry in peeked for name in entry}
    if not fields or not plain or encoding.broken:
        return None
    # All columns are wanted: one that first comes later must not be lost, so it is an error, and Python reads on.
    behavior = "error" if all_columns else "ignore"
    options = pa.json.ParseOptions(
        explicit_schema=pa.schema(fields), newlines_in_values=False, unexpected_field_behavior=behavior
    )
    try:
        stream = utf8_stream(path, encoding, lambda part: part)
        data = pa.json.read_json(stream, pa.json.ReadOptions(block_size=1 << 24), options)
    except (pa.ArrowException, OSError, EOFError):
        return None
    columns = {name: as_text(data[name]) for name in wanted}
    return None if any(column is None for column in columns.values()) else pa.table(columns)


def _field(name: str, values: Sequence[Any]) -> pa.Field | None:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {list}:
        inner = {type(part) for value in values if value for part in value}
        return pa.field(name, pa.list_(pa.string())) if inner == {str} else None
    kinds = {float} if kinds == {int, float} else kinds or {str}
    return pa.field(name, _ARROW[kinds.pop()]) if len(kinds) == 1 and kinds <= set(_ARROW) else None


def _by_line(
    path: Path, encoding: Encoding, rows: Rows, columns: Sequence[str] | None
) -> tuple[pa.Table, np.ndarray | None]:
    """The table read line by line, and the numbers of its rows where some are broken."""
    tables: list[pa.Table] = []
    entries: list[dict[str, Any]] = []
    numbers: list[int] = []
    count = 0
    for count, entry in enumerate(_objects(path, encoding, rows), 1):
        if entry is None:
            continue
        entries.append(entry)
        numbers.append(count - 1)
        if len(entries) == BATCH:
            tables.append(from_values(_cells(entries, columns)))
            entries = []
    tables.append(from_values(_cells(entries, columns)))
    return _joined(tables), None if len(numbers) == count else np.array(numbers, np.int64)


def _objects(path: Path, encoding: Encoding, rows: Rows) -> Iterator[dict[str, Any] | None]:
    """Every line's object, None where it is broken; counts them as read."""
    with told_faults(path), text_of(path, encoding) as text:
        for number, line in enumerate(text, 1):
            if not line.strip():
                continue
            rows.counts.read(rows.kind)
            try:
                if encoding.broken and "\ufffd" in line:
                    raise ValueError(encoding.fault)
                entry = parse_line(line.removeprefix("\ufeff"))
            except ValueError as error:
                rows.broken(path, number, str(error))
                yield None
            else:
                yield entry


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    """One table of parts whose columns differ: text beside lists of text becomes lists of one."""
    names = dict.fromkeys(name for table in tables for name in table.column_names)
    kinds = {
        name: next((t[name].type for t in tables if name in t.column_names and pa.types.is_list(t[name].type)), None)
        for name in names
    }
    parts = []
    for table in tables:
        columns = {}
        for name in names:
            kind = kinds[name] or pa.string()
            column = table[name] if name in table.column_names else pa.nulls(table.num_rows, kind)
            if column.type != kind:
                column = pa.array([cell if cell is None else [cell] for cell in column.to_pylist()], kind)
            columns[name] = column
        parts.append(pa.table(columns))
    return pa.concat_tables(parts)


def _cells(entries: Sequence[Mapping[str, Any]], columns: Sequence[str] | None) -> dict[str, Sequence[Any]]:
    flattened = [flat(entry) for entry in entries]
    names = columns or list(dict.fromkeys(name for entry in flattened for name in entry))
    return {name: [entry.get(name) for entry in flattened] for name in names}


def flat(entry: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """An object's cells by column; those of objects in it by `outer.inner`."""
    cells: dict[str, Any] = {}
    for name, value in entry.items():
        if isinstance(value, dict):
            cells.update(flat(value, f"{before}{name}."))
        else:
            cells[before + name] = cell_of(value)
    return cells


def cell_of(value: Any) -> str | list[str] | None:
    """A value as a cell: text, a list of texts, or nothing. What stands in a list may be named objects, or lists."""
    if isinstance(value, str):
        return value if value.isascii() else _LONE.sub("\ufffd", value)
    if value is None:
        return None
    if isinstance(value, (list, tuple)):
        found: list[str] = []
        for part in value:
            if isinstance(part, dict):
                part = next((part[name] for name in _NAMED if name in part), None)
            cell = cell_of(part)
            found += cell if isinstance(cell, list) else [cell] if cell is not None else []
        return found
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if value - value != 0:  # neither NaN nor an infinity is a number
            return None
        return str(int(value)) if value.is_integer() and abs(value) <= 2**53 else repr(value)
    return str(value)


def _line(path: Path, encoding: Encoding, row: int) -> int:
    """The line of a row: empty lines are none."""
    with told_faults(path), text_of(path, encoding) as text:
        found = -1
        for number, line in enumerate(text, 1):
            found += bool(line.strip())
            if found == row:
                return number
    return row + 1
