from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from rerec_engine.data.files.columns import Attribute, Choices, Numeric, singular, take_column


def take(cells: list[Any], name: str = "tags", **choices: Any) -> tuple[Any, str]:
    kind = pa.list_(pa.string()) if any(isinstance(cell, list) for cell in cells) else pa.string()
    return take_column(name, pa.array(cells, kind), Choices(**choices))


def by_item(found: Attribute, count: int) -> list[list[str]]:
    pairs = [*zip(found.rows.tolist(), found.codes.tolist(), strict=True)]
    return [[found.values[code] for row, code in pairs if row == item] for item in range(count)]


@pytest.mark.parametrize(
    ("name", "cells", "relation", "values"),
    [
        ("brand", ["HP", None, "hp", "Canon"], "brand", [["HP"], [], ["HP"], ["Canon"]]),
        ("categories", ["a;b", "b", "N/A"], "category", [["a", "b"], ["b"], []]),
        ("genres", [["War", "Drama"], None, ["War", "War", ""]], "genre", [["War", "Drama"], [], ["War", "War"]]),
        ("genre", ["['War', 'Drama']", "[]", "['War']"], "genre", [["War", "Drama"], [], ["War"]]),
        ("author", ["Smith, John", "Doe, Jane", None], "author", [["Smith, John"], ["Doe, Jane"], []]),
        ("maker", ["AT&amp;T", "B &amp; C"], "maker", [["AT&T"], ["B & C"]]),
        ("cooperative", ["True", "false", None, "TRUE"], "feature", [["cooperative"], [], [], ["cooperative"]]),
        ("in_stock", ["0", "1", "1"], "feature", [[], ["in stock"], ["in stock"]]),
        ("size", ["12 pack", "6 pack", "6 pack"], "size", [["12 pack"], ["6 pack"], ["6 pack"]]),
        ("type", ["expansion", None, None], "type", [["expansion"], [], []]),
        ("series", ["A;B", "A", "B"], "series", [["A", "B"], ["A"], ["B"]]),
    ],
    ids=range(11),
)  # fmt: skip
def test_attributes(name: str, cells: list[Any], relation: str, values: list[list[str]]) -> None:
    found, told = take(cells, name)
    assert isinstance(found, Attribute)
    assert found.relation == relation
    assert by_item(found, len(cells)) == values
    assert told.startswith("attribute")


@pytest.mark.parametrize(
    ("name", "cells", "field", "unit", "low", "high"),
    [
        ("price_eur", ["24.95", "3", None], "price", "euros", [24.95, 3, np.nan], [24.95, 3, np.nan]),
        ("price", ["24,95 €", "1.000,00 €"], "price", "euros", [24.95, 1000], [24.95, 1000]),
        ("price", ["$19.99", "from 12.99", "None"], "price", "dollars", [19.99, 12.99, np.nan], [19.99, 12.99, np.nan]),
        ("players", ["2-4", "2", "3-6"], "players", "players", [2, 2, 3], [4, 2, 6]),
        ("min_age", ["8+", "12+", "10"], "min age", "", [8, 12, 10], [12, 12, 10]),
        ("averageRating", ["4.5", "3"], "average rating", "", [4.5, 3], [4.5, 3]),
        ("Playing time (min)", ["45", "30-60"], "playing time", "minutes", [45, 30], [45, 60]),
    ],
)
def test_numbers(
    name: str, cells: list[str | None], field: str, unit: str, low: list[float], high: list[float]
) -> None:
    found, told = take(cells, name)
    assert isinstance(found, Numeric)
    assert (found.field, found.unit) == (field, unit)
    np.testing.assert_array_equal(found.numbers.low, low)
    np.testing.assert_array_equal(found.numbers.high, high)
    assert told.startswith("number")


def test_a_cell_of_another_unit_is_none() -> None:
    found, told = take(["€5"] * 39 + ["$5"], "price")
    assert isinstance(found, Numeric)
    assert found.numbers.known.tolist() == [True] * 39 + [False]
    assert told == "number, 5 to 5 euros, 1 cells are none"


@pytest.mark.parametrize(
    ("name", "cells", "why"),
    [
        ("x", [None, "nan", "-"], "empty"),
        ("shop", ["ours", "ours"], "the same for every item"),
        ("picture", ["http://x/1.jpg", "https://x/2", None], "links"),
        ("image", ["a.jpg", "b.png"], "links"),
        ("images", [["https://x/1.jpg"], ["https://x/2.jpg"]], "links"),
        ("category_id", ["12", "15", "12"], "codes, by its name"),
        ("serial", [f"{10**9 + 7 * i}" for i in range(12)], "codes"),
        ("zip", [f"0{i}345" for i in range(9)] * 2 + ["01234", "10115"], "codes"),
        ("model", [f"AB-{i}x" for i in range(30)], "codes"),
        ("nr", [f"{i}" for i in range(12)], "row numbers"),
        ("column 1", ["0", "1"], "row numbers"),
        ("added", ["2019-03-04", "2018-01-01 12:00"], "dates"),
        ("notes", ["a longer remark that goes on about the thing for a while", "and " * 9], "long text"),
        ("features", [["A sentence with a good many words about the cut of it", "and " * 9]], "long text"),
        ("slogan", [f"we sell number {i} here" for i in range(25)], "every item has other words"),
    ],
    ids=range(15),
)  # fmt: skip
def test_what_is_left_out(name: str, cells: list[Any], why: str) -> None:
    assert take(cells, name) == (None, why)


def test_the_caller_decides() -> None:
    cells = ["a/b", "b/c", "2"]
    assert by_item(take(cells, split={"tags": "/"})[0], 3) == [["a", "b"], ["b", "c"], ["2"]]
    found, told = take(["1;2", "2"], whole=frozenset({"tags"}), renamed={"tags": "theme"})
    assert (found.relation, found.values, told) == ("theme", ["1;2", "2"], "attribute, whole cells (as told)")


def test_singular() -> None:
    names = {
        "categories": "category",
        "genres": "genre",
        "series": "series",
        "class": "class",
        "tag": "tag",
        "bus": "bus",
    }
    assert {name: singular(name) for name in names} == names
