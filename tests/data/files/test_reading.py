from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rerec_engine.data.counts import Counts
from rerec_engine.data.files.reading import TableFile
from rerec_engine.data.files.table import Rows, Table
from rerec_engine.errors import UserError

ROWS = [
    {"sku": "00123", "name": 'Tabs, 2" "Clear"', "tags": "a;b"},
    {"sku": "7", "name": "Zoë\nKünstler", "tags": None},
]


def read(path: Path, counts: Counts | None = None) -> Table:
    return TableFile(path).read(Rows(counts or Counts(), "rows"))


def write(folder: Path, data: bytes | str, name: str = "some.file") -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def delimited(mark: str, end: str = "\n") -> str:
    lines = [mark.join(ROWS[0]), mark.join(["00123", '"Tabs, 2"" ""Clear"""', "a;b" if mark != ";" else '"a;b"'])]
    return end.join([*lines, mark.join(["7", '"Zoë\nKünstler"', ""]), ""])


def parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(ROWS), sink)
    return bytes(sink.getvalue().to_pybytes())


LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
FORMS: dict[str, bytes | str] = {
    "commas": delimited(","),
    "semicolons": delimited(";"),
    "tabs": delimited("\t"),
    "bars": delimited("|"),
    "windows": delimited(",", "\r\n"),
    "mark": "\ufeff" + delimited(","),
    "empty-lines": "\n\n" + delimited(",") + "\n\n",
    "utf-16": delimited(",").encode("utf-16"),
    "utf-32": delimited(";").encode("utf-32"),
    "cp1252": delimited(",").encode("cp1252"),
    "gzip": gzip.compress(delimited(",").encode()),
    "bzip2": bz2.compress(delimited(";").encode()),
    "lines": LINES,
    "excel": "sep=;\r\n" + delimited(";", "\r\n"),
    "lines-gzip": gzip.compress(LINES.encode()),
    "lines-mark": b"\xef\xbb\xbf" + LINES.encode(),
    "lines-utf-16": LINES.encode("utf-16"),
    "lines-latin": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode("latin-1"),
    "python": "".join(f"{row!r}\n" for row in ROWS),
    "list": json.dumps(ROWS, indent=1),
    "list-utf-16": json.dumps(ROWS).encode("utf-16"),
    "list-of-one-line": json.dumps(ROWS),
    "inside": json.dumps({"count": 2, "items": ROWS}),
    "by-id": json.dumps({row["sku"]: {"name": row["name"], "tags": row["tags"]} for row in ROWS}),
    "parquet": parquet(),
    "parquet-gzip": gzip.compress(parquet()),
}


@pytest.mark.parametrize("form", FORMS)
def test_any_form_gives_the_same_rows(tmp_path: Path, form: str) -> None:
    """By the bytes, whatever the name; ids keep their zeros."""
    counts = Counts()
    table = read(write(tmp_path, FORMS[form]), counts=counts)
    rows = table.data.to_pylist()
    if form == "by-id":
        rows = [{"sku": row.pop("id"), **row} for row in rows]
    assert rows == ROWS
    assert counts.read_by_kind == {"rows": 2}


def test_nested_columns_of_parquet(tmp_path: Path) -> None:
    row = {
        "id": 3.0,
        "price": 12.5,
        "new": True,
        "details": {"Brand": "HP", "Size": {"cm": 3}},
        "genres": [{"id": 1, "name": "War"}, {"id": 2, "name": "Drama"}],
        "gone": None,
    }
    expected = {
        "id": "3",
        "price": "12.5",
        "new": "true",
        "details.Brand": "HP",
        "details.Size.cm": "3",
        "genres": ["War", "Drama"],
        "gone": None,
    }
    path = tmp_path / "p"
    pq.write_table(pa.Table.from_pylist([row]), path)
    assert read(path).data.to_pylist() == [expected]
    some = TableFile(path).read(Rows(Counts(), "rows"), ["details.Brand", "id"])
    assert some.data.to_pylist() == [{"id": "3", "details.Brand": "HP"}]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (parquet()[:-30], "cannot be read"),
        (gzip.compress(parquet())[:-30], "cannot be unpacked"),
        (b"[]", "holds no row"),
        (b"{}\n{}\n", "holds no row"),
        (b'{"cut \\ud800": 1}\n{"b": [2]}\n', "cannot be read"),
    ],
    ids=range(5),
)
def test_files_that_hold_no_table(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(UserError, match=rf"some\.file: {message}") as error:
        read(write(tmp_path, data))
    assert "\n" not in str(error.value)


def test_a_header_where_the_caller_says_so(tmp_path: Path) -> None:
    path = write(tmp_path, "B1,Pen\nB2,Pad\n")
    assert (TableFile(path).columns, TableFile(path).header) == (["B1", "Pen"], True)
    file = TableFile(path, header=False)
    assert (file.columns, file.header) == (["column 1", "column 2"], False)
    assert file.read(Rows(Counts(), "rows")).count == 2
    assert TableFile(write(tmp_path, LINES)).header


def test_some_columns_alone(tmp_path: Path) -> None:
    for name in ("commas", "lines", "list", "parquet", "python"):
        file = TableFile(write(tmp_path, FORMS[name]))
        assert file.columns == ["sku", "name", "tags"]
        assert file.read(Rows(Counts(), "rows"), ["tags", "sku"]).data.to_pylist()[0] == {"tags": "a;b", "sku": "00123"}


def test_columns_of_parquet_that_hold_no_text_are_told(tmp_path: Path) -> None:
    columns = {"id": pa.array(["1"]), "title": pa.array(["Pen"], pa.string_view()), "blob": pa.array([b"x"])}
    pq.write_table(pa.table(columns), tmp_path / "p")
    table = read(tmp_path / "p")
    assert table.data.to_pylist() == [{"id": "1", "title": "Pen"}]
    assert table.told == "parquet, without blob, which hold no text"
