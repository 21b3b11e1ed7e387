"""Any table in a file: what it is shows in its bytes, not in its name alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rerec_engine.data.counts import Counts
from rerec_engine.data.files.delimited import Layout, find_layout, read_delimited
from rerec_engine.data.files.encoding import open_bytes, start_of, told_faults
from rerec_engine.data.files.hub import download, hub_address, load, load_folder, read_arrow
from rerec_engine.data.files.json_rows import (
    columns_of,
    flat,
    is_document,
    is_json,
    parse_line,
    read_document,
    read_lines,
)
from rerec_engine.data.files.table import Rows, Table, as_text, from_values
from rerec_engine.errors import file_error


class TableFile:
    """A file that holds a table: CSV, TSV, JSON lines, JSON, parquet or Arrow, plain or packed; or a dataset: a folder,
    or `hf://OWNER/NAME...` on the Hub.

    columns: its names, as far as the first rows tell. header: whether a delimited file has one (None: by its look).
    """

    def __init__(self, path: Path, header: bool | None = None) -> None:
        self._layout: Layout | None = None
        self._data: pa.Table | None = None
        address = hub_address(path)
        if address is not None and address.file:
            path, address = download(address), None
        self.path = path if address is None else Path(str(address).removeprefix("hf://"))
        if address is not None or path.is_dir():
            self.form, self._data = "dataset", load_folder(path) if address is None else load(address)
            self.columns = list(_flat_names(self._data.schema))
            return
        self.form = _form(path)
        if self.form == "arrow":
            self._data = read_arrow(path)
            self.columns = list(_flat_names(self._data.schema))
        elif self.form == "parquet":
            self.columns = list(_flat_names(_parquet(path).schema_arrow))
        elif self.form == "lines":
            self.columns = columns_of(path)
        elif self.form == "document":
            self.columns = read_document(path, Rows(Counts(), "", skip_bad=True)).columns
        else:
            self._layout = find_layout(path, header)
            self.columns = list(self._layout.names)

    @property
    def header(self) -> bool:
        """Whether the columns have names."""
        return self._layout is None or self._layout.header

    def read(self, rows: Rows, columns: Sequence[str] | None = None) -> Table:
        """All rows of some columns (None: of all). Raises UserError for a broken row unless such are skipped.

        `details.Brand` is a column in a column, or the part of the JSON that the cells of `details` hold as text. What
        is not there is left out.
        """
        inner = {name: outer for name in columns or () if (outer := self._outer(name))}
        with told_faults(self.path):
            table = self._read(rows, columns and list(dict.fromkeys(inner.get(name, name) for name in columns)))
        if not table.count:
            raise file_error(self.path, "holds no row")
        return _unfolded(table, inner, columns) if columns and inner else table

    def _outer(self, name: str) -> str:
        """Of `details.Brand`: `details`, where that is a column of text."""
        outer, dot, _ = name.partition(".")
        known = name in self.columns or any(column.startswith(f"{outer}.") for column in self.columns)
        return outer if dot and outer in self.columns and not known else ""

    def _read(self, rows: Rows, columns: Sequence[str] | None) -> Table:
        if self._layout is not None:
            there = columns and [name for name in columns if name in self.columns]
            return read_delimited(self.path, self._layout, rows, there)
        if self._data is not None:
            return _of_arrow(self.path, self._data, self.form, rows, columns)
        if self.form == "parquet":
            return _read_parquet(self.path, rows, columns)
        return (read_lines if self.form == "lines" else read_document)(self.path, rows, columns)


def _form(path: Path) -> str:
    start = start_of(path, 6)
    if start[:4] == b"PAR1":
        return "parquet"
    if start == b"ARROW1" or start[:4] == b"\xff\xff\xff\xff":
        return "arrow"
    if not is_json(path):
        return "delimited"
    return "document" if is_document(path) else "lines"


def _flat_names(fields: pa.Schema | pa.StructType, before: str = "") -> Iterator[str]:
    """The columns' names; of those in a column, `outer.inner`."""
    for field in fields:
        if pa.types.is_struct(field.type):
            yield from _flat_names(field.type, f"{before}{field.name}.")
        else:
            yield before + field.name


def _unfolded(table: Table, inner: Mapping[str, str], columns: Sequence[str]) -> Table:
    """With the parts of objects that stand in a column as text, JSON's or Python's. inner: their names, and where."""
    made: dict[str, list[Any]] = {name: [] for name in inner}
    for outer in dict.fromkeys(inner.values()):
        names = [name for name in inner if inner[name] == outer]
        for text in table.column(outer).to_pylist():
            try:
                cells = flat(parse_line(text), f"{outer}.") if isinstance(text, str) else {}
            except ValueError:
                cells = {}
            for name in names:
                made[name].append(cells.get(name))
    new = from_values(dict(made))
    parts = {name: (new if name in inner else table.data)[name] for name in columns if name in [*inner, *table.columns]}
    return replace(table, data=pa.table(parts))


def _parquet(path: Path) -> pq.ParquetFile:
    with told_faults(path):
        plain = path.open("rb").read(4) == b"PAR1"
        return pq.ParquetFile(path if plain else pa.BufferReader(open_bytes(path).read()))


def _read_parquet(path: Path, rows: Rows, columns: Sequence[str] | None) -> Table:
    with told_faults(path):
        file = _parquet(path)
        data = file.read(columns and _outer_names(file.schema_arrow.names, columns))
    return _of_arrow(path, data, "parquet", rows, columns)


def _outer_names(there: Sequence[str], columns: Sequence[str]) -> list[str]:
    names = dict.fromkeys(name if name in there else name.partition(".")[0] for name in columns)
    return [name for name in names if name in there]


def _of_arrow(path: Path, data: pa.Table, form: str, rows: Rows, columns: Sequence[str] | None) -> Table:
    """Columns in columns are flattened: `details.Brand`; those that are no text are left out."""
    with told_faults(path):
        data = data.select(_outer_names(data.column_names, columns)) if columns else data
        while any(pa.types.is_struct(field.type) for field in data.schema):
            data = data.flatten()
        read = {name: as_text(data[name]) for name in data.column_names if not columns or name in columns}
    rows.counts.read(rows.kind, data.num_rows)
    kept = {name: column for name, column in read.items() if column is not None}
    lost = [name for name in read if name not in kept]
    told = f"{form}, without {', '.join(lost)}, which hold no text" if lost else form
    return Table(path, pa.table(kept), told)
