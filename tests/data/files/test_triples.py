"""Attributes as rows of item, relation and value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from rerec_engine.data.counts import Counts
from rerec_engine.data.files.roles import Roles
from rerec_engine.data.files.table import Rows, Table, from_values
from rerec_engine.data.files.triples import read_triples
from rerec_engine.errors import UserError

NAMES = ("item", "relation", "value")


def read(rows: list[tuple[Any, ...]], counts: Counts | None = None) -> dict[str, list[tuple[int, str]]]:
    """(item, value) by relation. Counted: broken rows are skipped."""
    columns = {name: [row[place] for row in rows] for place, name in enumerate(NAMES)}
    table = Table(Path("triples.tsv"), from_values(columns), "tabs", lambda row: row + 2)
    counted = Rows(counts or Counts(), "attributes", skip_bad=counts is not None)
    counted.counts.read("attributes", len(rows))
    found = read_triples(table, Roles({name: name for name in NAMES}), pa.array(["01", "02"]), counted)
    counted.counts.check()
    return {
        own.relation: [(row, own.values[code]) for row, code in zip(own.rows.tolist(), own.codes.tolist(), strict=True)]
        for own in found
    }


def test_triples_are_attributes_by_relation() -> None:
    rows = [
        ("01", "maker", "dbr:Acme_Ltd"),
        ("02", "color", "Red &amp; <b>Blue</b>"),
        (" 02 ", "maker ", "Acme"),
        ("01", "color", "red, green"),
    ]
    assert read(rows) == {
        "maker": [(0, "Acme Ltd"), (1, "Acme")],
        "color": [(1, "Red & Blue"), (0, "red, green")],
    }


def test_a_value_that_stands_for_nothing_is_dropped() -> None:
    """A relation of which nothing is left is none."""
    counts = Counts()
    rows = [("01", "maker", "N/A"), ("01", "maker", None), ("02", "genre", "(no genres listed)"), ("02", "maker", "X")]
    assert read(rows, counts) == {"maker": [(1, "X")]}
    assert counts.dropped("attributes") == {"no value": 3}
    assert counts.kept_by_kind == {"attributes": 1}
    assert counts.examples["attributes: no value"] == [f"triples.tsv:{line}" for line in (2, 3, 4)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("09", "maker", "X"), "item 09 is not in the catalogue"),
        (("1", "maker", "X"), "item 1 is not in the catalogue"),  # an id keeps its zeros
        ((None, "maker", "X"), "the item is empty"),
        (("01", " ", "X"), "the relation is empty"),
        (("09", None, None), "the relation is empty"),
    ],
)
def test_a_broken_row_is_named_or_counted(row: tuple[Any, ...], message: str) -> None:
    rows = [("01", "maker", "Acme"), row]
    with pytest.raises(UserError, match=rf"^triples\.tsv:3: {message}$"):
        read(rows)
    counts = Counts()
    assert read(rows, counts) == {"maker": [(0, "Acme")]}
    assert counts.dropped("attributes") == {"broken row": 1}


def test_ids_of_a_table_with_gaps() -> None:
    columns = {"item": ["3.0", None, "4.0"], "relation": ["a"] * 3, "value": ["x", "y", "z"]}
    counts = Counts()
    roles = Roles({name: name for name in NAMES})
    table = Table(Path("t.csv"), from_values(columns), "commas")
    (found,) = read_triples(table, roles, pa.array(["3", "4"]), Rows(counts, "attributes", skip_bad=True))
    assert (found.rows.tolist(), [found.values[code] for code in found.codes]) == ([0, 1], ["x", "z"])
