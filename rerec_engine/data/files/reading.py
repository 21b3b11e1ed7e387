"""Any table in a file: what it is shows in its bytes, not in its name alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rerec_engine.data.counts import Counts
from rerec_engine.data.files.delimited import Layout, find_layout, read_delimited
from rerec_engine.data.files.encoding import open_bytes, start_of, told_faults
from rerec_engine.data.files.json_rows import columns_of, is_document, is_json, read_document, read_lines
from rerec_engine.data.files.table import Rows, Table, as_text
from rerec_engine.errors import file_error


class TableFile:
    """A file that holds a table: CSV, TSV, JSON lines, JSON or parquet, plain or packed.

    columns: its names, as far as the first rows tell. header: whether a delimited file has one (None: by its look).
    """

    def __init__(self, path: Path, header: bool | None = None) -> None:
        self.path = path
        self._layout: Layout | None = None
        self.form = _form(path)
        if self.form == "parquet":
            self.columns = list(_parquet(path).schema_arrow.names)
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
        """All rows of some columns (None: of all). Raises UserError for a broken row unless such are skipped."""
        if self._layout is not None:
            table = read_delimited(self.path, self._layout, rows, columns)
        elif self.form == "parquet":
            table = _read_parquet(self.path, rows, columns)
        else:
            table = (read_lines if self.form == "lines" else read_document)(self.path, rows, columns)
        if not table.count:
            raise file_error(self.path, "holds no row")
        return table


def _form(path: Path) -> str:
    if start_of(path, 4) == b"PAR1":
        return "parquet"
    if not is_json(path):
        return "delimited"
    return "document" if is_document(path) else "lines"


def _parquet(path: Path) -> pq.ParquetFile:
    with told_faults(path):
        plain = path.open("rb").read(4) == b"PAR1"
        return pq.ParquetFile(path if plain else pa.BufferReader(open_bytes(path).read()))


def _read_parquet(path: Path, rows: Rows, columns: Sequence[str] | None) -> Table:
    """Columns in columns are flattened: `details.Brand`; those that are no text are left out."""
    with told_faults(path):
        file = _parquet(path)
        outer = columns and list(dict.fromkeys(n if n in file.schema_arrow.names else n.split(".")[0] for n in columns))
        data = file.read(outer)
        while any(pa.types.is_struct(field.type) for field in data.schema):
            data = data.flatten()
        read = {name: as_text(data[name]) for name in data.column_names if not columns or name in columns}
    rows.counts.read(rows.kind, data.num_rows)
    kept = {name: column for name, column in read.items() if column is not None}
    lost = [name for name in read if name not in kept]
    told = f"parquet, without {', '.join(lost)}, which hold no text" if lost else "parquet"
    return Table(path, pa.table(kept), told)
