"""JSON lines and documents as tables: which is which, nested values, columns that change their type, broken lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerec_engine.data.counts import Counts
from rerec_engine.data.files import json_rows
from rerec_engine.data.files.json_rows import (
    cell_of,
    columns_of,
    flat,
    is_document,
    is_json,
    parse_line,
    read_document,
    read_lines,
)
from rerec_engine.data.files.table import Rows, Table
from rerec_engine.errors import UserError


def write(folder: Path, data: bytes | str) -> Path:
    path = folder / "some.json"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def read(path: Path, counts: Counts | None = None, columns: list[str] | None = None) -> Table:
    rows = Rows(counts or Counts(), "rows", skip_bad=counts is not None)
    return (read_document if is_document(path) else read_lines)(path, rows, columns)


def lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ('{"a": 1}\n{"a": 2}\n', "lines"),
        ('{"a": 1}', "lines"),
        ("{'a': None}\n{'a': u'x'}\n", "lines"),
        ('\n{"a": 1}\n', "lines"),
        ('[{"a": 1}]', "document"),
        ("[]", "document"),
        ('{\n "items": [\n {"a": 1}]}', "document"),
        ('{"count": 2, "items": [{"a": 1}, {"a": 2}]}', "document"),
        ('{"B1": {"a": 1}, "B2": {"a": 2}}', "document"),
        ("[1995] Heat,x\n", "none"),
        ("id,title\n", "none"),
    ],
)
@pytest.mark.parametrize("name", ["utf-8", "utf-8-sig", "utf-16"])
def test_forms(tmp_path: Path, text: str, form: str, name: str) -> None:
    path = write(tmp_path, text.encode(name))
    assert is_json(path) == (form != "none")
    if form != "none":
        assert is_document(path) == (form == "document")


ROWS = [{"id": "1", "title": "Zoë"}, {"id": "2", "title": None}]
DOCUMENTS: dict[str, Any] = {
    "list": ROWS,
    "inside": {"count": 2, "items": ROWS},
    "by id": {row["id"]: {"title": row["title"]} for row in ROWS},
    "pandas": {"id": {"0": "1", "1": "2", "2": "3"}, "title": {"0": "Zoë", "1": None, "2": "x"}},
    "table": {"schema": {"fields": [{"name": "id"}]}, "data": ROWS},
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents(tmp_path: Path, name: str) -> None:
    table = read(write(tmp_path, json.dumps(DOCUMENTS[name], indent=1)))
    assert table.data.to_pylist()[:2] == ROWS
    assert table.told == "JSON, UTF-8"


def test_ids_of_a_document_do_not_hide_the_rows_own(tmp_path: Path) -> None:
    rows = read(write(tmp_path, '{"B1": {"id": 5, "title": "Pen"}, "B2": {"id": 6, "title": "Pad"}}')).data.to_pylist()
    assert rows == [{"key": "B1", "id": "5", "title": "Pen"}, {"key": "B2", "id": "6", "title": "Pad"}]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, None), ("", ""), ("x", "x"), (3, "3"), (3.0, "3"), (0.1, "0.1"), (1588687728923.0, "1588687728923"),
        (float("nan"), None), (float("inf"), None), (1e20, "1e+20"), (1234567890123456789, "1234567890123456789"),
        (True, "true"), ([], []), (["a", None, 2], ["a", "2"]), ([["Toys", "Go"], ["Fun"]], ["Toys", "Go", "Fun"]),
        ([{"id": 1, "name": "War"}, {"id": 2}], ["War"]), ("cut \ud83d", "cut \ufffd"), ("whole 😀", "whole 😀"),
    ],
)  # fmt: skip
def test_cells(value: Any, cell: Any) -> None:
    assert cell_of(value) == cell


def test_objects_in_objects_are_columns() -> None:
    assert flat({"a": {"b": 1, "c": {"d": [2]}}, "e": {}}) == {"a.b": "1", "a.c.d": ["2"]}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('{"a": 1}', {"a": 1}),
        ("{'a': None, 'b': True, u'c': u'Zo\\xeb'}", {"a": None, "b": True, "c": "Zoë"}),
        ('{"a": ', "is no JSON"),
        ("{'a': open('x')}", "is neither JSON nor a Python literal"),
        ("{'" + "(" * 9999, "is neither JSON nor a Python literal"),
        ("[1]", "expected an object, got list"),
        ("null", "expected an object, got NoneType"),
    ],
    ids=range(7),
)
def test_a_line(line: str, found: Any) -> None:
    if isinstance(found, dict):
        assert parse_line(line) == found
        return
    with pytest.raises(ValueError, match=found):
        parse_line(line)


def test_nested_values_are_columns_and_lists(tmp_path: Path) -> None:
    row = {"id": 3.0, "new": True, "details": {"Brand": "HP"}, "genres": [{"name": "War"}], "categories": [["Toys"]]}
    expected = {"id": "3", "new": "true", "details.Brand": "HP", "genres": ["War"], "categories": ["Toys"]}
    path = write(tmp_path, lines([row, row]))
    assert columns_of(path) == [*expected]
    assert read(path).data.to_pylist() == [expected] * 2
    assert read(path, columns=["details.Brand", "id"]).data.to_pylist() == [{"details.Brand": "HP", "id": "3"}] * 2


def test_a_column_may_change_its_type_or_come_late(tmp_path: Path) -> None:
    """As prices do in Amazon's: 12.99, "None", "from 12.99"."""
    rows: list[dict[str, Any]] = [{"price": 12.99}] * 300 + [{"price": "from 12.99"}, {"price": None, "tags": ["a"]}]
    table = read(write(tmp_path, lines([*rows, {"tags": "b"}])))
    assert table.data["price"].to_pylist() == ["12.99"] * 300 + ["from 12.99", None, None]
    assert table.data["tags"].to_pylist() == [None] * 301 + [["a"], ["b"]]


def test_parts_of_a_long_file_join(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "BATCH", 2)
    rows = [{"a": 1, "t": "x"}, {"a": "b"}, {"t": ["y", "z"]}, {"u": 5}, {"a": [1, 2]}]
    assert read(write(tmp_path, lines(rows))).data.to_pylist() == [
        {"a": ["1"], "t": ["x"], "u": None},
        {"a": ["b"], "t": None, "u": None},
        {"a": None, "t": ["y", "z"], "u": None},
        {"a": None, "t": None, "u": "5"},
        {"a": ["1", "2"], "t": None, "u": None},
    ]


def test_milliseconds_keep_their_digits(tmp_path: Path) -> None:
    rows = [{"time": 1588687728923, "gap": 1588687728923.0}, {"time": 1, "gap": None}, {"time": 2, "gap": 0.5}]
    assert read(write(tmp_path, lines(rows))).data.to_pylist() == [
        {"time": "1588687728923", "gap": "1588687728923"}, {"time": "1", "gap": None}, {"time": "2", "gap": "0.5"}
    ]  # fmt: skip


BROKEN = [
    ('{"sku": 1}\n{"sku": \n{"sku": 3}\n', 2, "is no JSON"),
    ('{"sku": 1}\n\n[2]\n{"sku": 3}\n', 3, "expected an object, got list"),
    ('[{"sku": 1}, 5]', 2, "expected an object, got int"),
    ('{"sku": "é"}\n{"sku": "à"}\n'.encode() + b'{"sku": "\xe9"}\n', 3, "bytes that are not UTF-8"),
    ('{"sku": 1}\n{"sku": 2}\n{"sk', 3, "is no JSON: Unterminated string"),
    ('{"sku": 1}\n{"sku": \n{"sku": 3}\n'.encode("utf-16"), 2, "is no JSON"),
]


@pytest.mark.parametrize(("data", "line", "message"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_row_is_named_or_counted(tmp_path: Path, data: bytes | str, line: int, message: str) -> None:
    path = write(tmp_path, data)
    with pytest.raises(UserError, match=rf"some.json:{line}: {message}"):
        read(path)
    counts = Counts()
    table = read(path, counts)
    counts.keep("rows", table.count)
    counts.check()
    assert counts.dropped("rows") == {"broken row": 1}
    assert counts.examples["rows: broken row"][0].startswith(f"some.json:{line}: ")


def test_rows_know_their_lines(tmp_path: Path) -> None:
    table = read(write(tmp_path, '{"a": 1}\n\n{"a": 2}\n[]\n{"a": 3}\n'), Counts())
    assert [table.place(row)[1] for row in range(table.count)] == [1, 3, 5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"a": 1}, ]', "is no JSON"),
        ('{"a": [1, 2], "b": [3, 4]}', "expected a list of objects, or objects by id"),
        ("[" * 99999, "is no JSON"),
        ('{"a": 1}'[:-1], "is no JSON"),
    ],
)
def test_a_document_that_holds_no_rows(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=rf"some\.json: {message}"):
        read_document(write(tmp_path, text), Rows(Counts(), "rows"))


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
cells = st.none() | words | st.integers(-(2**70), 2**70) | st.booleans() | st.lists(words, max_size=3)


@settings(max_examples=60)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), cells, min_size=1), min_size=1, max_size=5), st.booleans())
def test_what_json_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], escaped: bool
) -> None:
    """By Arrow or by Python, as the columns' types allow; a column with a list is one of lists."""
    text = "".join(json.dumps(row, ensure_ascii=escaped) + "\n" for row in rows)
    read = read_lines(write(tmp_path_factory.getbasetemp(), text), Rows(Counts(), "rows")).data.to_pylist()
    names = dict.fromkeys(name for row in rows for name in row)
    listed = {name for name in names if any(isinstance(row.get(name), list) for row in rows)}
    for row, found in zip(rows, read, strict=True):
        for name in names:
            cell = cell_of(row.get(name))
            assert found[name] == ([cell] if name in listed and isinstance(cell, str) else cell)
