"""Columns of text, whatever Arrow's type, and rows that know where they stand."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.data.counts import EXAMPLES, Counts
from rerec_engine.data.files import table as module
from rerec_engine.data.files.table import Rows, Table, as_text, from_values, is_list, joined, whole
from rerec_engine.errors import UserError

NOON = datetime.datetime(2024, 5, 31, 12)
NAMED = pa.list_(pa.struct([("id", pa.int64()), ("name", pa.string())]))
TEXTS: list[tuple[pa.Array, list[Any] | None]] = [
    (pa.array(["a", None]), ["a", None]),
    (pa.array(["a"], pa.large_string()), ["a"]),
    (pa.array(["a", None], pa.string_view()), ["a", None]),
    (pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"]),
    (pa.array([3, None]).dictionary_encode(), ["3", None]),
    (pa.array([3, -7, None]), ["3", "-7", None]),
    (pa.array([2**63], pa.uint64()), ["9223372036854775808"]),
    # whole numbers of a pandas table with gaps: ids, and milliseconds
    (pa.array([3.0, None, float("nan"), float("inf")]), ["3", None, None, None]),
    (pa.array([1588687728923.0, 2.0**53, -12345678901.0]), ["1588687728923", "9007199254740992", "-12345678901"]),
    (pa.array([0.1, 12.5, 1e20, 1e-7]), ["0.1", "12.5", "1e+20", "1e-7"]),
    (pa.array([0.1, 3.0], pa.float32()), ["0.1", "3"]),
    (pa.array(np.array([3, 0.5], np.float16)), ["3", "0.5"]),
    (pa.array([Decimal("12.50")]), ["12.50"]),
    (pa.array([True, None]), ["true", None]),
    (pa.array([datetime.date(2024, 5, 31)]), ["2024-05-31"]),
    (pa.array([NOON], pa.timestamp("s")), ["2024-05-31 12:00:00"]),
    (pa.array([NOON], pa.timestamp("s", "UTC")), ["2024-05-31 12:00:00Z"]),
    (pa.array([None, None]), [None, None]),
    (pa.array([["a", None], None, []]), [["a", None], None, []]),
    (pa.array([[1.0, 2.5], None]), [["1", "2.5"], None]),
    (pa.array([["a"]], pa.large_list(pa.string())), [["a"]]),
    (pa.array([["a", "b"], None], pa.list_(pa.string(), 2)), [["a", "b"], None]),
    (pa.array([["x"], None, ["y", "z"]]).slice(1), [None, ["y", "z"]]),
    (pa.array([[{"id": 1, "name": "War"}, {"id": 2, "name": None}, None], None], NAMED), [["War", None, None], None]),
    (pa.array([[{"id": 1}]]), None),
    (pa.array([[["a"]]]), None),
    (pa.array([{"a": 1}]), None),
    (pa.array([b"x"]), None),
]  # fmt: skip


@pytest.mark.parametrize(("column", "cells"), TEXTS, ids=range(len(TEXTS)))
def test_columns_as_text(column: pa.Array, cells: list[Any] | None) -> None:
    found = as_text(column)
    assert (found if found is None else found.to_pylist()) == cells
    pieces = as_text(pa.chunked_array([column, column]))
    assert (pieces if pieces is None else pieces.to_pylist()) == (None if cells is None else cells * 2)
    if found is not None:
        assert is_list(found) == any(isinstance(cell, list) for cell in cells or ())


@given(st.lists(st.none() | st.integers(-(2**53), 2**53), min_size=1))
def test_whole_numbers_keep_their_digits(numbers: list[int | None]) -> None:
    floats = pa.array([None if number is None else float(number) for number in numbers], pa.float64())
    found = as_text(floats)
    assert found is not None
    assert found.to_pylist() == [None if number is None else str(number) for number in numbers]


def test_a_column_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = pa.chunked_array([["a"], ["b", None]])
    assert whole(pieces).to_pylist() == ["a", "b", None]
    assert whole(pieces).type == pa.string()
    monkeypatch.setattr(module, "MOST_BYTES", 1)
    assert whole(pieces).type == pa.large_string()
    assert whole(pa.chunked_array([], pa.string())).to_pylist() == []


def test_values_of_python_as_columns() -> None:
    table = from_values({"a": ["x", None], "b": [["y"], "z"], "c": [None, ["u", "v"]]})
    assert table.to_pylist() == [{"a": "x", "b": ["y"], "c": None}, {"a": None, "b": ["z"], "c": ["u", "v"]}]


def made(name: str, count: int, first_line: int = 2) -> Table:
    data = from_values({"id": [f"{name}{n}" for n in range(count)], "x": ["v"] * count})
    return Table(Path(f"{name}.csv"), data, "commas", lambda row: row + first_line)


def test_rows_know_their_place_whatever_was_left_out() -> None:
    table = made("a", 6)
    assert table.place(5) == (Path("a.csv"), 7)
    kept = table.where(np.array([0, 1, 1, 0, 1, 1], bool)).where(np.array([1, 0, 1, 1], bool))
    assert kept.column("id").to_pylist() == ["a1", "a4", "a5"]
    assert [kept.place(row)[1] for row in range(3)] == [3, 6, 7]


def test_joined_tables_know_their_files() -> None:
    first = made("a", 3).where(np.array([1, 0, 1], bool))
    both = joined([first, made("b", 2, first_line=5)])
    assert both.column("id").to_pylist() == ["a0", "a2", "b0", "b1"]
    assert [(path.name, line) for path, line in map(both.place, range(4))] == [
        ("a.csv", 2), ("a.csv", 4), ("b.csv", 5), ("b.csv", 6)
    ]  # fmt: skip
    last = both.where(np.array([0, 0, 0, 1], bool))
    assert last.place(0) == (Path("b.csv"), 6)
    assert joined([first]) is first


def test_joined_tables_may_have_their_columns_in_another_order() -> None:
    other = Table(Path("b.csv"), from_values({"x": ["w"], "id": ["b0"]}), "commas")
    assert joined([made("a", 1), other]).data.to_pylist() == [{"id": "a0", "x": "v"}, {"id": "b0", "x": "w"}]


def test_broken_rows_are_an_error_or_counted() -> None:
    table, broken = made("a", 9), np.array([0] + [1] * 7 + [0], bool)
    with pytest.raises(UserError, match=r"^a\.csv:3: row 1 is bad$"):
        table.without_broken(broken, lambda row: f"row {row} is bad", Rows(Counts(), "rows"))
    counts = Counts()
    left = table.without_broken(broken, lambda row: f"row {row} is bad", Rows(counts, "rows", skip_bad=True))
    assert left.column("id").to_pylist() == ["a0", "a8"]
    assert counts.dropped("rows") == {"broken row": 7}
    assert counts.examples["rows: broken row"] == [
        f"a.csv:{row + 2}: row {row} is bad" for row in range(1, EXAMPLES + 1)
    ]
    none = np.zeros(9, bool)
    assert table.without_broken(none, lambda _: "", Rows(counts, "rows")) is table


def test_a_row_that_a_reader_finds_broken() -> None:
    with pytest.raises(UserError, match=r"a\.csv:4: is no JSON"):
        Rows(Counts(), "rows").broken(Path("a.csv"), 4, "is no JSON")
    counts = Counts()
    Rows(counts, "rows", skip_bad=True).broken(Path("a.csv"), 4, "is no JSON")
    assert counts.examples["rows: broken row"] == ["a.csv:4: is no JSON"]
