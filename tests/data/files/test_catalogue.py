from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rerec_engine.data.files.catalogue import FileCatalogue, FileSources, read_catalogue
from rerec_engine.data.options import FilesOptions
from rerec_engine.errors import UserError

ITEMS = "sku,name,color,tags\n01,Pen &amp; Ink,Red,a;b\n02,Pad,Blue,b\n03,Cup,Red,c\n"
LOG = "customer,sku,date\nu1,02,2024-01-02\nu1,01,2024-01-01\nu2,03,2024-01-01\n"


def read(folder: Path, items: str = ITEMS, log: str = "", triples: str = "", **options: Any) -> FileCatalogue:
    for name, text in (("items.csv", items), ("log.csv", log), ("triples.tsv", triples)):
        (folder / name).write_text(text)
    sources = FileSources(
        folder / "items.csv", (folder / "log.csv",) if log else (), folder / "triples.tsv" if triples else None
    )
    found = read_catalogue(sources, FilesOptions(**options))
    found.counts.check()
    return found


def test_what_is_read(tmp_path: Path) -> None:
    found = read(tmp_path, log=LOG, triples="item\trelation\tvalue\n01\tmaker\tdbr:Acme_Ltd\n02\tmaker\tN/A\n")
    assert found.knowledge.titles == ["Pen & Ink", "Pad", "Cup"]
    assert found.items.source_ids == ["01", "02", "03"]
    assert found.knowledge.attributes.attributes_of(0) == [
        ("color", "Red"), ("tag", "a"), ("tag", "b"), ("maker", "Acme Ltd")
    ]  # fmt: skip
    assert found.user_ids == ["u1", "u2"]
    assert [own.tolist() for own in found.knowledge.histories] == [[0, 1], [2]]
    np.testing.assert_array_equal(found.interactions.toarray(), [[1, 1, 0], [0, 0, 1]])
    assert found.counts.dropped("attributes (triples.tsv)") == {"no value": 1}
    assert "items items.csv: commas, UTF-8\n  sku       id (guessed" in found.told_text()


@pytest.mark.parametrize(
    ("items", "log", "triples", "message"),
    [
        (ITEMS + "01,Twice,,\n", "", "", "items.csv:5: id 01 occurs twice"),
        (ITEMS + "04,Too,many,cells,\n", "", "", "items.csv:5: expected 4 cells"),
        (ITEMS, LOG + "u1,99,2024-01-01\n", "", "log.csv:5: item 99 is not in the catalogue"),
        (ITEMS, "", "item\trelation\tvalue\n09\tmaker\tX\n", "triples.tsv:2: item 09 is not in the catalogue"),
    ],
    ids=range(4),
)
def test_a_broken_row_of_any_file(tmp_path: Path, items: str, log: str, triples: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(tmp_path, items, log, triples)
    found = read(tmp_path, items, log, triples, skip_bad=True)
    dropped = [dict(found.counts.dropped(kind)) for kind in found.counts.kinds()]
    assert [own for own in dropped if own] == [{"broken row": 1}]
    assert len(found.knowledge.titles) == 3


def test_titles_that_were_made_distinct_are_told(tmp_path: Path) -> None:
    found = read(tmp_path, "id,title,year\n1,Go,1990\n2,Go,2000\n3,Chess,\n")
    assert found.knowledge.titles == ["Go (1990)", "Go (2000)", "Chess"]
    assert found.counts.notes == {"titles that several items have, made distinct by year": 2}


def test_numbers_have_their_units(tmp_path: Path) -> None:
    found = read(tmp_path, "id,name,min_players,max_players,minage\n1,A,2,4,8\n2,B,1,,10\n3,C,1,5,12\n")
    assert set(found.knowledge.numbers) == {"players", "minage"}
    assert found.knowledge.description.numbers["players"].unit == "players"


def test_places_name_the_columns_of_a_file_without_header(tmp_path: Path) -> None:
    found = read(
        tmp_path, "B1,Pen,ink\nB2,Pad,paper\n", "ann,B1\nbob,B2\n",
        item_columns=("id=1", "title=2", "kind=3"), interaction_columns=("user=1", "item=2"),
    )  # fmt: skip
    assert found.knowledge.titles == ["Pen", "Pad"]
    assert found.knowledge.attributes.attributes_of(0) == [("kind", "ink")]
    assert found.user_ids == ["ann", "bob"]


def test_columns_that_are_left_out(tmp_path: Path) -> None:
    found = read(tmp_path, ignore=("color",), whole=("tags",))
    assert found.knowledge.attributes.attributes_of(0) == [("tags", "a;b")]
    assert ("color", "left out (as told)") in next(iter(found.told.values()))
