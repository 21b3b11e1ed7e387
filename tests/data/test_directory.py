from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rerec_engine.data.directory import (
    ItemTable,
    UserTable,
    find_row,
    read_item_table,
    read_numbers,
    read_user_table,
    rows_of,
    write_tables,
)
from rerec_engine.errors import UserError
from rerec_engine.graph.attributes import AttributeGraph

ITEMS = ItemTable(("A", "B", "C"), (1999, None, 2001), ("B00X", None, "7"))
GRAPH = AttributeGraph.from_triples([(0, "genre", "War")], 3)


def test_round_trip(tmp_path: Path) -> None:
    for users in (UserTable(("cust1", None)), UserTable(("cust1", None), ("25-34 years old, female", ""))):
        write_tables(tmp_path, ITEMS, GRAPH, users)
        assert read_item_table(tmp_path / "items.parquet") == ITEMS
        assert read_user_table(tmp_path / "users.parquet", 2) == users


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((3, "price", 1.0, 1.0), "numbers.parquet:1: item_id must be in 0..2, got 3"),
        ((0, " ", 1.0, 1.0), "numbers.parquet:1: field must be a string that is not blank"),
        ((0, "price", None, 1.0), "numbers.parquet:1: low and high must be numbers, got None and 1.0"),
        ((0, "price", 2.0, 1.0), "numbers.parquet: low must not exceed high"),
    ],
)
def test_faults_of_numbers_are_told(tmp_path: Path, row: tuple[object, ...], message: str) -> None:
    path = tmp_path / "numbers.parquet"
    columns = ("item_id", "field", "low", "high")
    pq.write_table(pa.table({name: [value] for name, value in zip(columns, row, strict=True)}), path)
    with pytest.raises(UserError, match=message):
        read_numbers(path, 3)


def test_a_text_must_be_one(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    pq.write_table(pa.table({"item_id": [0], "title": ["A"], "year": pa.array([None], pa.int32()), "text": [7]}), path)
    with pytest.raises(UserError, match="items.parquet:1: text must be a string or null, got 7"):
        read_item_table(path)


def test_a_table_made_before_knows_no_ids(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    pq.write_table(pa.table({"item_id": [0], "title": ["A"], "year": pa.array([None], pa.int32())}), path)
    assert read_item_table(path) == ItemTable(("A",), (None,), (None,))
    assert read_user_table(tmp_path / "users.parquet", 2) == UserTable((None, None))


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "a"], "users.parquet:2: source_id 'a' is that of row 1 too"),
        (["a", " "], "users.parquet:2: source_id must be a string that is not blank"),
        ([1, 2], "users.parquet:1: source_id must be a string"),
        (["a"], "users.parquet: expected the 2 users of interactions.npz, got 1"),
    ],
)
def test_faults_of_ids_name_the_row(tmp_path: Path, ids: list[object], message: str) -> None:
    path = tmp_path / "users.parquet"
    pq.write_table(pa.table({"user_id": range(len(ids)), "source_id": ids}), path)
    with pytest.raises(UserError, match=message):
        read_user_table(path, 2)


def test_columns_must_be_of_one_length(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="3 titles but 1 years"):
        write_tables(tmp_path, ItemTable(ITEMS.titles, (1,), ITEMS.source_ids), GRAPH, UserTable(()))
    with pytest.raises(UserError, match="1 users but 2 profiles"):
        write_tables(tmp_path, ITEMS, GRAPH, UserTable((None,), ("a", "b")))


ROWS = rows_of(["cust0066", None, "0", "12"])


@pytest.mark.parametrize(
    ("name", "row"), [("cust0066", 0), (" cust0066 ", 0), ("0", 2), (0, 2), ("12", 3), ("1", 1), (3, 3)]
)
def test_the_sources_id_counts_before_the_row(name: str | int, row: int) -> None:
    assert find_row(name, "user", ROWS, 4) == row


@pytest.mark.parametrize(
    ("name", "rows", "count", "message"),
    [
        ("cust", ROWS, 4, "user 'cust' is not known: give 'cust0066', '0', '12' (3 ids), or a row, 0 to 3"),
        ("4", {}, 4, "user '4' is not known: give a row, 0 to 3"),
        ("-1", {}, 4, "user '-1' is not known: give a row, 0 to 3"),
        ("٣", {}, 4, "user '٣' is not known: give a row, 0 to 3"),
        (
            "x",
            {str(i): i for i in range(9)},
            9,
            "user 'x' is not known: give '0', '1', '2', ... (9 ids), or a row, 0 to 8",
        ),
        ("0", {}, 0, "user '0': the dataset has no users"),
    ],
)
def test_who_is_unknown_is_told_who_is_known(name: str, rows: dict[str, int], count: int, message: str) -> None:
    with pytest.raises(UserError) as raised:
        find_row(name, "user", rows, count)
    assert str(raised.value).endswith(message)
