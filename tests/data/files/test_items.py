"""The items of a catalogue file: ids, distinct titles, years, descriptions, and what the other columns become."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerec_engine.data.counts import Counts
from rerec_engine.data.files.columns import Choices
from rerec_engine.data.files.items import FileItems, clean_ids, distinct_titles, items_of_log, read_items
from rerec_engine.data.files.roles import Roles
from rerec_engine.data.files.table import Rows, Table, from_values
from rerec_engine.errors import UserError

ROLES = ("id", "title", "year", "text")


def read(
    columns: dict[str, list[Any]],
    counts: Counts | None = None,
    choices: Choices | None = None,
    ignored: Sequence[str] = (),
) -> FileItems:
    """Of a table whose roles are its columns' names; its first row stands on line 2. Counted: broken rows skipped."""
    table = Table(Path("items.csv"), from_values(columns), "commas", lambda row: row + 2)
    rows = Rows(counts or Counts(), "items", skip_bad=counts is not None)
    rows.counts.read("items", table.count)
    roles = Roles({name: name for name in columns if name in ROLES})
    found = read_items(table, roles, rows, choices or Choices(), ignored)
    rows.counts.check()
    return found


@pytest.mark.parametrize(
    ("cells", "ids"),
    [
        (["00123", " 7 ", "a b"], ["00123", "7", "a b"]),
        (["3.0", "4.0", None], ["3", "4", None]),  # pandas, of a column with gaps
        (["3.0", "nan", "4.0"], ["3", None, "4"]),
        (["3.0", "4.5"], ["3.0", "4.5"]),
        (["1.0", "x"], ["1.0", "x"]),
        (["", "  ", "NaN", "None", "<NA>", "NULL", "null", "\\N"], [None] * 8),
        (["NA", "-", "Nano", "none"], ["NA", "-", "Nano", "none"]),
        ([["B1"], ["B", "2"]], ["B1", "B 2"]),
    ],
)
def test_ids(cells: list[Any], ids: list[str | None]) -> None:
    assert clean_ids(from_values({"id": cells})["id"].combine_chunks()).to_pylist() == ids


def test_titles_years_and_texts() -> None:
    items = read(
        {
            "id": ["1", "2", "3", "4"],
            "title": ["<b>Pen</b> &amp; Ink", "Heat (1995)", "Two\nlines", ["In", "parts"]],
            "year": ["2001-05-04", None, "unkonwn", "1995.0"],
            "text": ["A&nbsp;pen<br>in blue", "['One.', '<i>Two</i>.']", "", "[sic] as it is"],
        }
    )
    assert items.titles == ["Pen & Ink", "Heat (1995)", "Two lines", "In parts"]
    assert items.years == [2001, 1995, None, 1995]
    assert items.texts == ["A pen in blue", "One. Two.", None, "[sic] as it is"]
    assert items.told == [(name, f"{name} (guessed from the name)") for name in ROLES]
    assert (items.count, items.attributes, items.numbers) == (4, [], [])


@pytest.mark.parametrize(
    ("titles", "years"),
    [
        (["Heat (1995)", "Emma (1996)", "Kids"], [1995, 1996, None]),
        (["Ink (1930)", "Pen", "Pad"], [None] * 3),
        (["Ink (8512)", "Pen (0930)", "Pad (1872)"], [None] * 3),
    ],
)
def test_a_number_behind_a_title_is_a_year_where_most_titles_have_one(titles: list[str], years: list[Any]) -> None:
    assert read({"id": ["1", "2", "3"], "title": titles}).years == years


def test_other_columns_are_attributes_and_numbers_or_left_out() -> None:
    columns = {
        "id": ["1", "2", "3"], "title": ["A", "B", "C"], "marke": ["HP", "HP", "Canon"], "tags": ["a;b", "b", None],
        "price": ["3 €", "4 €", None], "stock": ["7", "8", "9"], "link": ["http://x/1", "http://x/2", None],
    }  # fmt: skip
    items = read(columns, choices=Choices(renamed={"marke": "brand"}), ignored=["stock"])
    assert [(own.relation, own.values) for own in items.attributes] == [("brand", ["HP", "Canon"]), ("tag", ["a", "b"])]
    assert [(own.field, own.unit) for own in items.numbers] == [("price", "euros")]
    assert dict(items.told[2:]) == {
        "marke": "brand: attribute, 2 values",
        "tags": "attribute, cells split at ';', 2 values",
        "price": "number, 3 to 4 euros",
        "stock": "left out (as told)",
        "link": "left out: links",
    }


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["1", "2", "1"], "items.csv:4: id 1 occurs twice"),
        (["1.0", "2.0", "1.0"], "items.csv:4: id 1 occurs twice"),
        (["1", "2", " 1"], "items.csv:4: id 1 occurs twice"),
        (["1", "2", None], "items.csv:4: the id is empty"),
        (["1", "2", "nan"], "items.csv:4: the id is empty"),
    ],
)
def test_an_id_that_is_none_or_another_ones(ids: list[str | None], message: str) -> None:
    columns: dict[str, list[Any]] = {"id": ids, "title": ["A", "B", "C"], "color": ["red", "blue", "green"]}
    with pytest.raises(UserError, match=message):
        read(columns)
    counts = Counts()
    items = read(columns, counts)
    assert (items.ids.to_pylist(), items.titles) == (["1", "2"], ["A", "B"])
    assert items.attributes[0].values == ["red", "blue"]
    assert counts.dropped("items") == {"broken row": 1}
    assert counts.examples["items: broken row"] == [message]


def test_an_item_without_a_title_is_dropped() -> None:
    counts = Counts()
    items = read({"id": ["1", "2", "3"], "title": [" ", "B", "<br/>"], "color": ["x", "y", "z"]}, counts)
    assert (items.ids.to_pylist(), items.titles) == (["2"], ["B"])
    assert counts.dropped("items") == {"no title": 2}
    assert counts.examples["items: no title"] == ["items.csv:2", "items.csv:4"]
    with pytest.raises(UserError, match=r"items\.csv: holds no item with a title"):
        read({"id": ["1"], "title": [None]})


@pytest.mark.parametrize(
    ("rows", "titles", "how"),
    [
        (["1,Go,1990,x", "2,Go,2000,x", "3,Chess,,y"], ["Go (1990)", "Go (2000)", "Chess"], "year"),
        (["1,Go,1990,red", "2,go,1990,blue", "3,Chess,,blue"], ["Go (red)", "go (blue)", "Chess"], "color"),
        (["1,Go,1990,red", "2,Go,1990,red", "3,Chess,,y"], ["Go [1]", "Go [2]", "Chess"], "id"),
        (["1,Go,,red", "2,Go,2000,red", "3,Go (2000),,y"], ["Go [1]", "Go [2]", "Go (2000)"], "id"),
        (["1,Go,1990,x", "2,Go,2000,x", "3,Go (1990),,y"], ["Go (1990)", "Go (2000)", "Go (1990) [3]"], "year"),
        (["1,Go,1990," + "x" * 41, "2,Go,1990,y", "3,Chess,,y"], ["Go [1]", "Go [2]", "Chess"], "id"),
    ],
)
def test_items_of_one_title_stay_several(rows: list[str], titles: list[str], how: str) -> None:
    columns = zip(*[[cell or None for cell in row.split(",")] for row in rows], strict=True)
    items = read(dict(zip(("id", "title", "year", "color"), map(list, columns), strict=True)))
    assert items.titles == titles
    assert items.renamed == {how: 2}


names = st.sampled_from(["Go", "go", "Go (1990)", "Go [1]", "Go [2]", "Chess"])


@settings(max_examples=60)
@given(st.lists(st.tuples(names, st.sampled_from([None, 1990, 2000])), min_size=1, max_size=8))
def test_titles_are_distinct_whatever_they_are(entries: list[tuple[str, int | None]]) -> None:
    titles = [title for title, _ in entries]
    ids = pa.array([str(number) for number in range(len(entries))])
    found = distinct_titles(titles, FileItems(ids, [], [year for _, year in entries], [], [], []), {})
    assert len({title.casefold() for title in found}) == len(entries)
    assert all(own.startswith(title) for own, title in zip(found, titles, strict=True))


def test_least_and_most_are_one_range() -> None:
    """The unit is that of the name where that is a plural; a row with one end alone, or turned round, is unknown."""
    columns: dict[str, list[Any]] = {
        "id": ["1", "2", "3", "4"], "title": ["A", "B", "C", "D"], "min_players": ["2", "1", "1", "5"],
        "max_players": ["4", None, "5", "2"], "minimum age": ["8", "9", "10", "12"],
    }  # fmt: skip
    items = read(columns)
    players, age = items.numbers
    assert (players.field, players.unit, age.field) == ("players", "players", "minimum age")
    np.testing.assert_array_equal(players.numbers.low, [2, np.nan, 1, np.nan])
    np.testing.assert_array_equal(players.numbers.high, [4, np.nan, 5, np.nan])
    assert items.told[-1] == ("min players, max players", "one number, players")


def test_a_range_does_not_hide_a_column_of_its_name() -> None:
    columns: dict[str, list[Any]] = {
        "id": ["1", "2"], "title": ["A", "B"], "min_age": ["3", "4"], "max_age": ["5", "6"], "age": ["3-5", "4-6"],
    }  # fmt: skip
    assert [number.field for number in read(columns).numbers] == ["min age", "max age", "age"]


def test_items_of_a_log_alone() -> None:
    items = items_of_log(pa.array(["7.0", "3.0", None, "7.0"]), "artist")
    assert (items.ids.to_pylist(), items.titles) == (["7", "3"], ["Artist 7", "Artist 3"])
    assert items.years == [None, None]
