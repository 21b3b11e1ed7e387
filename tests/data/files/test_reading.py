from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rerec_engine.data.counts import Counts
from rerec_engine.data.files.reading import TableFile
from rerec_engine.data.files.table import Rows, Table
from rerec_engine.errors import UserError

HERE = Path(__file__).parent
ROWS = [
    {"sku": "00123", "name": 'Tabs, 2" "Clear"', "tags": "a;b"},
    {"sku": "7", "name": "Zoë\nKünstler", "tags": None},
]


def read(path: Path, skip_bad: bool = False, counts: Counts | None = None) -> Table:
    return TableFile(path).read(Rows(counts or Counts(), "rows", skip_bad))


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
    "cp1252": delimited(",").encode("cp1252"),
    "gzip": gzip.compress(delimited(",").encode()),
    "bzip2": bz2.compress(delimited(";").encode()),
    "lines": LINES,
    "lines-gzip": gzip.compress(LINES.encode()),
    "lines-mark": b"\xef\xbb\xbf" + LINES.encode(),
    "lines-latin": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode("latin-1"),
    "python": "".join(f"{row!r}\n" for row in ROWS),
    "list": json.dumps(ROWS, indent=1),
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


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('item_id:token\tclass:token_seq\n1\tWar "Drama\n', [{"item_id": "1", "class": 'War "Drama'}]),
        ("424\t4076\t993\n1\t2\t3\n", [{"column 1": "424", "column 2": "4076", "column 3": "993"}, None]),
        ("1::Heat (1995)::Crime|War\n2::Emma: A::Drama\n", [{"column 1": "1", "column 2": "Heat (1995)"}, None]),
        ("a,a,\n1,2,3\n", [{"a": "1", "a 2": "2", "column 3": "3"}]),
        ('sku;name\r1;"x""y"\r', [{"sku": "1", "name": 'x"y'}]),
        ('id\ttitle\n1\t"Q" and\n2\t12" disc\n3\tno\n', [{"id": "1", "title": '"Q" and'}, {"id": "2"}, {"id": "3"}]),
        ("id,title\n1,5,95 x\n", "cells"),
    ],
    ids=["recbole", "no-header", "double-colons", "repeated-names", "old-mac", "loose-quotes", "comma-in-cell"],
)
def test_layouts(tmp_path: Path, text: str, rows: Any) -> None:
    path = write(tmp_path, text)
    if rows == "cells":
        with pytest.raises(UserError, match=r"some.file:2: expected 2 cells, separated by commas, got 3: 1,5,95 x"):
            read(path)
        return
    found = read(path).data.to_pylist()
    assert len(found) == len(rows)
    for row, wanted in zip(found, rows, strict=True):
        assert {name: row[name] for name in wanted or {}} == (wanted or {})


def test_columns_by_row_as_pandas_writes_them(tmp_path: Path) -> None:
    columns = {"sku": {str(i): f"0{i}" for i in range(5)}, "year": {str(i): 1990.0 + i for i in range(5)}}
    rows = read(write(tmp_path, json.dumps(columns))).data.to_pylist()
    assert rows == [{"sku": f"0{i}", "year": f"{1990 + i}"} for i in range(5)]


def test_nested_values_are_columns_and_lists(tmp_path: Path) -> None:
    row = {
        "id": 3.0,
        "price": 12.5,
        "new": True,
        "details": {"Brand": "HP", "Size": {"cm": 3}},
        "genres": [{"id": 1, "name": "War"}, {"id": 2, "name": "Drama"}],
        "categories": [["Toys", "Games"], ["Fun"]],
        "gone": None,
    }
    expected = {
        "id": "3",
        "price": "12.5",
        "new": "true",
        "details.Brand": "HP",
        "details.Size.cm": "3",
        "genres": ["War", "Drama"],
        "categories": ["Toys", "Games", "Fun"],
        "gone": None,
    }
    assert read(write(tmp_path, f"{json.dumps(row)}\n" * 2)).data.to_pylist() == [expected] * 2
    del row["categories"], expected["categories"]  # lists of lists are no strings
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "p")
    assert read(tmp_path / "p").data.to_pylist() == [expected]


def test_a_column_may_change_its_type_or_come_late(tmp_path: Path) -> None:
    """As prices do in Amazon's: 12.99, "None", "from 12.99"."""
    rows: list[dict[str, Any]] = [{"price": 12.99}] * 300 + [{"price": "from 12.99"}, {"price": None, "tags": ["a"]}]
    rows += [{"tags": "b"}]
    table = read(write(tmp_path, "".join(json.dumps(row) + "\n" for row in rows)))
    assert table.data["price"].to_pylist() == ["12.99"] * 300 + ["from 12.99", None, None]
    assert table.data["tags"].to_pylist() == [None] * 301 + [["a"], ["b"]]


@pytest.mark.parametrize(
    ("data", "line", "message"),
    [
        ("sku,name\n1,x\n2\n3,y\n", 3, "expected 2 cells, separated by commas, got 1: 2"),
        ('sku,name\n1,"two\nlines"\n\n2\n3,y\n', 5, "expected 2 cells"),
        ('{"sku": 1}\n{"sku": \n{"sku": 3}\n', 2, "is no JSON"),
        ('{"sku": 1}\n\n[2]\n{"sku": 3}\n', 3, "expected an object, got list"),
        ('[{"sku": 1}, 5]', 2, "expected an object, got int"),
        ("sku,naïve été\n1,Zoë\n2,ça\n3,Caf\n".encode() + b"4,Caf\xe9\n", 5, "bytes that are not UTF-8"),
        ('{"sku": "é"}\n{"sku": "à"}\n'.encode() + b'{"sku": "\xe9"}\n', 3, "bytes that are not UTF-8"),
    ],
    ids=["cells", "line-of-a-row", "json", "json-list", "document", "bytes", "json-bytes"],
)
def test_a_broken_row_is_named_or_counted(tmp_path: Path, data: bytes | str, line: int, message: str) -> None:
    path = write(tmp_path, data)
    with pytest.raises(UserError, match=rf"some.file:{line}: .*{message}"):
        read(path)
    counts = Counts()
    table = read(path, skip_bad=True, counts=counts)
    counts.keep("rows", table.count)
    counts.check()
    assert counts.dropped("rows") == {"broken row": 1}
    assert counts.examples["rows: broken row"][0].startswith(f"some.file:{line}: ")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"sku,name\n", "holds a header and no row"),
        (b"PK\x03\x04rest", "a zip archive or a spreadsheet"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is no text"),
        (gzip.compress(b"sku,name\n1,x\n" * 9999)[:-30], r"cannot be unpacked \(truncated"),
        (parquet()[:-30], "cannot be read"),
        (b'{"a": 1}'[:-1], "is no JSON"),
        (b"[]", "holds no row"),
        (b'sku,name\n1,"x"\n2,"y\n3,z\n', r"some.file:3: a quote is opened and never closed"),
    ],
    ids=range(10),
)
def test_files_that_hold_no_table(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        read(write(tmp_path, data))
    assert "\n" not in str(error.value)


def test_windows_bytes_are_read_as_such(tmp_path: Path) -> None:
    table = read(write(tmp_path, b"1::Schindler\x92s List (1993)::Drama\n"))
    assert table.data["column 2"].to_pylist() == ["Schindler’s List (1993)"]
    assert "Windows-1252" in table.told


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
