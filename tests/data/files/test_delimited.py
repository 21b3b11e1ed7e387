"""CSV and its kin: layout found in the first lines, every cell as text, broken rows with their lines."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerec_engine.data.counts import Counts
from rerec_engine.data.files import delimited
from rerec_engine.data.files.delimited import find_layout, read_delimited
from rerec_engine.data.files.table import Rows, Table
from rerec_engine.errors import UserError


def write(folder: Path, data: bytes | str) -> Path:
    path = folder / "some.csv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def read(path: Path, counts: Counts | None = None, columns: list[str] | None = None, **layout: Any) -> Table:
    """Bad rows are skipped where they are counted."""
    rows = Rows(counts or Counts(), "rows", skip_bad=counts is not None)
    return read_delimited(path, find_layout(path, **layout), rows, columns)


def cells(table: Table) -> list[list[str | None]]:
    return [[*row.values()] for row in table.data.to_pylist()]


LAYOUTS: list[tuple[str, str, list[str], list[list[str | None]]]] = [
    ("commas", "id,title\n1,Heat\n2,\n", ["id", "title"], [["1", "Heat"], ["2", None]]),
    ("semicolons", "id;title;price\n1;A, b;3,50\n2;C, d;4,50\n", ["id", "title", "price"],
     [["1", "A, b", "3,50"], ["2", "C, d", "4,50"]]),
    ("tabs", "id\ttitle\n1\tHeat, the, film\n", ["id", "title"], [["1", "Heat, the, film"]]),
    ("bars", "id|title\n1|Heat\n", ["id", "title"], [["1", "Heat"]]),
    ("commas", "id,title,genres\n1,Heat,a|b\n2,Emma,c|d\n", ["id", "title", "genres"],
     [["1", "Heat", "a|b"], ["2", "Emma", "c|d"]]),
    ("double colons, no header", "1::Heat: a film (1995)::Crime|War\n2::Emma::Drama\n",
     ["column 1", "column 2", "column 3"], [["1", "Heat: a film (1995)", "Crime|War"], ["2", "Emma", "Drama"]]),
    ("tabs, no header", "424\t4076\t993\n1\t2\t3\n", ["column 1", "column 2", "column 3"],
     [["424", "4076", "993"], ["1", "2", "3"]]),
    ("commas", "title\nHeat\nEmma\n", ["title"], [["Heat"], ["Emma"]]),
    ("commas", "\n\nid,title\n\n1,Heat\n\n", ["id", "title"], [["1", "Heat"]]),
    ("commas", "id,title\r\n1,Heat\r\n2,Emma", ["id", "title"], [["1", "Heat"], ["2", "Emma"]]),
    ("semicolons", 'sku;name\r1;"x""y"\r', ["sku", "name"], [["1", 'x"y']]),  # an old Mac's
    ("semicolons", "sep=;\nid;title\n1;a,b\n", ["id", "title"], [["1", "a,b"]]),  # Excel's
    ("'^'", '"sep=^"\r\nid^title\r\n1^a,b\r\n', ["id", "title"], [["1", "a,b"]]),
    ("commas", "a,a,\n1,2,3\n", ["a", "a 2", "column 3"], [["1", "2", "3"]]),
    ("commas", ",id,title\n0,a,Heat\n", ["column 1", "id", "title"], [["0", "a", "Heat"]]),  # pandas' index
    ("commas", "id,title,\n1,Heat,\n", ["id", "title", "column 3"], [["1", "Heat", None]]),
    ("commas", '"id","title\nof it"\n"1","Heat"\n', ["id", "title of it"], [["1", "Heat"]]),
    ("commas", "id,title\n0012,Heat\n1e5,007\n", ["id", "title"], [["0012", "Heat"], ["1e5", "007"]]),
    ("commas", "id,title\n1,nan\n2,NA\n", ["id", "title"], [["1", "nan"], ["2", "NA"]]),  # kept for who reads them
    ("commas", "id,title\n1,x\u2028y\u0085z\n", ["id", "title"], [["1", "x\u2028y\u0085z"]]),
]  # fmt: skip


@pytest.mark.parametrize(("told", "text", "names", "rows"), LAYOUTS, ids=range(len(LAYOUTS)))
def test_layouts(tmp_path: Path, told: str, text: str, names: list[str], rows: list[list[str | None]]) -> None:
    table = read(write(tmp_path, text))
    assert table.columns == names
    assert cells(table) == rows
    kind, _, header = told.partition(", ")
    assert table.told == f"{kind}, UTF-8" + (f", {header}" if header else "")


QUOTES = [
    ('id,title\n1,"two\nlines, ""so""; said"\n2,x\n', [["1", 'two\nlines, "so"; said'], ["2", "x"]]),
    ('id\ttitle\n1\t"Q" and\n2\t12" disc\n3\tno\n', [["1", '"Q" and'], ["2", '12" disc'], ["3", "no"]]),
    ('id,title\n1,12" disc\n2,"a ""b"" c"\n3,5" x\n', [["1", '12" disc'], ["2", 'a "b" c'], ["3", '5" x']]),
    ('id\ttitle\n1\t"Weird Al" Yankovic\n2\tEmma\n', [["1", '"Weird Al" Yankovic'], ["2", "Emma"]]),
    # Book-Crossing's way
    (
        'id;title\n1;"the Real \\"J. Peterman\\"; x"\n2;"y \\"z\\""\n',
        [["1", 'the Real "J. Peterman"; x'], ["2", 'y "z"']],
    ),
    ('id,dir\n1,"C:\\dir\\"\n2,"D:\\"\n', [["1", "C:\\dir\\"], ["2", "D:\\"]]),
]


@pytest.mark.parametrize(("text", "rows"), QUOTES, ids=range(len(QUOTES)))
def test_quotes(tmp_path: Path, text: str, rows: list[list[str]]) -> None:
    assert cells(read(write(tmp_path, text))) == rows


def test_recbole_headers_tell_what_lists(tmp_path: Path) -> None:
    table = read(write(tmp_path, 'item_id:token\tclass:token_seq\n1\tWar "Drama\n'))
    assert table.data.to_pylist() == [{"item_id": "1", "class": 'War "Drama'}]
    assert table.separators == {"class": " "}
    assert read(write(tmp_path, "a:b\tc\n1\t2\n")).columns == ["a:b", "c"]


def test_the_caller_may_know_the_header_and_the_delimiter(tmp_path: Path) -> None:
    path = write(tmp_path, "B1,Pen\nB2,Pad\n")
    assert cells(read(path)) == [["B2", "Pad"]]
    assert cells(read(path, header=False)) == [["B1", "Pen"], ["B2", "Pad"]]
    assert cells(read(path, delimiter=";")) == [["B2,Pad"]]
    assert cells(read(write(tmp_path, "1,2\n3,4\n"), header=True)) == [["3", "4"]]


def test_some_columns(tmp_path: Path) -> None:
    table = read(write(tmp_path, "a,b,c\n1,2,3\n"), columns=["c", "a"])
    assert table.data.to_pylist() == [{"c": "3", "a": "1"}]


BROKEN = [
    ("sku,name\n1,x\n2\n3,y\n", 3, "expected 2 cells, separated by commas, got 1: 2"),
    ("id,title\n1,5,95 x\n2,y\n3,z\n", 2, "expected 2 cells, separated by commas, got 3: 1,5,95 x"),
    ('sku,name\n1,"two\nlines"\n\n2\n3,y\n', 5, "expected 2 cells"),
    ("\n\nsep=;\nsku;name\n1;x\n2\n3;y\n", 6, "expected 2 cells, separated by semicolons, got 1: 2"),
    ("1::Heat::War\n2::Emma\n3::Go::War\n", 2, r"expected 3 cells, separated by double colons, got 2 \(the first line"),
    ("sku,naïve été\n1,Zoë\n2,ça\n3,Caf\n".encode() + b"4,Caf\xe9\n", 5, "bytes that are not UTF-8"),
    ("sku,naïve été\n1,Zoë\n2,ça\n3,Caf\n".encode() + b"4,Caf\xc3", 5, "bytes that are not UTF-8"),
    (b"sku,name\n1,caf\xe9\n2,\x8damek\n3,x\n", 3, "bytes that are not Windows-1252"),
    ("sku,name\r\n1,x\r\n2,y,z\r\n".encode("utf-16"), 3, "expected 2 cells, separated by commas, got 3"),
]


@pytest.mark.parametrize(("data", "line", "message"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_row_is_named_or_counted(tmp_path: Path, data: bytes | str, line: int, message: str) -> None:
    path = write(tmp_path, data)
    with pytest.raises(UserError, match=rf"some.csv:{line}: {message}"):
        read(path)
    counts = Counts()
    counts.keep("rows", read(path, counts).count)
    counts.check()
    assert counts.dropped("rows") == {"broken row": 1}
    assert counts.examples["rows: broken row"][0].startswith(f"some.csv:{line}: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n \n", "is empty"),
        ("sep=;\n", "is empty"),
        ("sku,name\n", "holds a header and no row"),
        ('sku,name\n1,"x"\n2,"y\n3,z\n', r"some.csv:3: a quote is opened and never closed"),
    ],
)
def test_what_holds_no_row(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(write(tmp_path, text))


def test_rows_know_their_lines(tmp_path: Path) -> None:
    counts = Counts()
    table = read(write(tmp_path, 'id,title\n\n1,"two\nlines"\nbroken\n2,x\n'), counts)
    assert [table.place(row)[1] for row in range(table.count)] == [3, 6]
    assert counts.read_by_kind == {"rows": 3}


def test_a_double_colon_may_lie_across_parts(tmp_path: Path) -> None:
    seen = delimited._Parts(double=True)
    assert b"".join(seen(part) for part in (b"1:", b":a:b", b"::c:", b":", b"")) == b"1\x1fa:b\x1fc\x1f"
    assert seen.last == b"1::a:b::c::"


# No letter of a cell is a quote, a delimiter or a line end where it does not stand in quotes.
words = st.text(st.characters(exclude_characters="\0\x1f\ufeff\\", exclude_categories=["Cs"]), max_size=8)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(words, words), min_size=1, max_size=5), st.sampled_from(",;\t|"), st.sampled_from(["\n", "\r\n"])
)
def test_what_csv_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], mark: str, end: str
) -> None:
    """Whatever a cell holds, in quotes: delimiters, quotes, line breaks, blanks."""
    sink = io.StringIO()
    writer = csv.writer(sink, delimiter=mark, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("id", "one", "two"), *((f"{number}", *row) for number, row in enumerate(rows))])
    path = write(tmp_path_factory.getbasetemp(), sink.getvalue())
    expected = [[f"{number}", *(cell or None for cell in row)] for number, row in enumerate(rows)]
    assert cells(read(path, delimiter=mark)) == expected
