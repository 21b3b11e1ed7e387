from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rerec_engine.data.counts import Counts
from rerec_engine.data.sources import (
    Interactions,
    SourceItems,
    no_interactions,
    parse_tab_item,
    read_attributes,
    read_id_maps,
    read_item_lists,
    read_items,
    read_kg,
    read_ratings,
)
from rerec_engine.errors import UserError

ITEM_HEADER = "item_id:token\tmovie_title:t\trelease_year:t\tclass:t\n"


@pytest.fixture
def items() -> SourceItems:
    """Three entries, two items: 10 and 30 have one title."""
    own = SourceItems()
    assert own.add("10", "Heat (1995)", 1995, ["Crime"])
    assert own.add("20", "Emma", None)
    assert not own.add("30", "Heat (1995)", 1995, ["War"])
    return own


def test_entries_of_one_title_are_one_item(items: SourceItems) -> None:
    assert items.titles == ["Heat (1995)", "Emma"]
    assert items.index == {"10": 0, "20": 1, "30": 0}
    assert items.source_ids == ["10", "20"]  # the first's
    assert items.triples == [(0, "genre", "Crime"), (0, "genre", "War")]
    with pytest.raises(ValueError, match="id 10 occurs twice"):
        items.add("10", "Other", None)


def test_the_year_of_a_tab_separated_item() -> None:
    assert parse_tab_item("B1\tEmma (1815)") == ("B1", "Emma (1815)", 1815, [])
    assert parse_tab_item("B1\tEmma\t1815") == ("B1", "Emma", 1815, [])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("movies.dat", "1::Heat (1995)::Crime|War\n2::Emma (1996)::Drama\n"),
        (
            "ml.item",
            ITEM_HEADER + "1\tHeat\t1995\tCrime\n2\tEmma\t1996\tDrama\n",
        ),
        ("items.tsv", "id\ttitle\tyear\n1\tHeat (1995)\t\n2\tEmma (1996)\t1996\n"),
    ],
)
def test_catalogues_of_three_forms(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    counts = Counts()
    read = read_items(tmp_path / name, counts)
    counts.check()
    assert (read.titles, read.years) == (["Heat (1995)", "Emma (1996)"], [1995, 1996])
    assert read.source_ids == ["1", "2"]


def test_attributes_of_unknown_items_are_broken_rows(items: SourceItems, tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("id\trelation\tvalue\n30\tstarring\tdbr:Al_Pacino\n99\tstarring\tX\n")
    with pytest.raises(UserError, match=r"a\.tsv:3: item 99 is not in the catalogue"):
        read_attributes(path, items, Counts())
    counts = Counts()
    assert read_attributes(path, items, counts, skip_bad=True) == [(0, "starring", "Al Pacino")]
    counts.check()


def test_a_value_that_is_none_is_no_attribute(items: SourceItems, tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("10\tgenre\t(no genres listed)\n20\tmaker\tN/A\n20\tmaker\tAcme\n")
    counts = Counts()
    assert read_attributes(tmp_path / "a.tsv", items, counts) == [(1, "maker", "Acme")]
    counts.check()
    assert counts.dropped("attributes (a.tsv)") == {"no value": 2}


def test_ratings_are_interactions_once(items: SourceItems, tmp_path: Path) -> None:
    path = tmp_path / "ratings.dat"
    path.write_text("7::20::1::50\n8::10::5::40\n7::10::5::30\n7::30::5::60\n")
    counts = Counts()
    read = read_ratings(path, items, counts)
    counts.check()
    assert counts.dropped("ratings (ratings.dat)") == {"repeated (user, item)": 1}
    assert read.user_ids == ["7", "8"]
    assert [read.item[edges].tolist() for edges in read.sequences()] == [[0, 1], [0]]  # by time
    assert read.matrix(2).toarray().tolist() == [[1, 1], [1, 0]]
    assert read.matrix(2, np.array([True, True, False])).toarray().tolist() == [[0, 1], [1, 0]]


def test_without_times_the_order_is_the_sources() -> None:
    read = Interactions({"b": 1, "a": 0}, np.array([1, 0, 1]), np.array([2, 1, 0]))
    assert [edges.tolist() for edges in read.sequences()] == [[1], [0, 2]]
    assert read.user_ids == ["a", "b"]
    assert no_interactions(3).shape == (0, 3)


def test_lists_of_internal_ids(items: SourceItems, tmp_path: Path) -> None:
    (tmp_path / "item_map.txt").write_text("10 1\n20 0\n")
    (tmp_path / "user_map.txt").write_text("u5 1\nu6 0\n")
    (tmp_path / "train.txt").write_text("1 0 1\n0 1\n")
    counts = Counts()
    maps = read_id_maps(tmp_path, counts)
    read = read_item_lists(tmp_path / "train.txt", maps, items, counts)
    counts.check()
    assert read.user_ids == ["u6", "u5"]
    assert read.matrix(2).toarray().tolist() == [[1, 0], [1, 1]]
    (tmp_path / "item_map.txt").write_text("10 1\n20 1\n")
    with pytest.raises(UserError, match=r"item_map\.txt: an id occurs twice"):
        read_id_maps(tmp_path, Counts())


def test_an_edge_that_ends_at_an_item_is_an_inverse(items: SourceItems, tmp_path: Path) -> None:
    (tmp_path / "x.link").write_text("item_id:token\tentity_id:token\n10\tm.1\n20\tm.2\n")
    (tmp_path / "x.kg").write_text(
        "head_id:t\trelation_id:t\ttail_id:t\nm.1\tactor\tm.9\nm.9\tacts\tm.2\nm.8\tr\tm.9\n"
    )
    counts = Counts()
    assert read_kg(tmp_path / "x.kg", tmp_path / "x.link", items, counts) == [(0, "actor", "m.9")]
    counts.check()
    assert counts.dropped("attributes (x.kg)") == {"inverse of an item's edge": 1, "of no item": 1}


def test_links_of_other_ids_are_refused_as_a_whole(tmp_path: Path) -> None:
    """RecBole's ml-100k.link: 313 is Titanic there, and The Swan Princess in ML-1M, whose entity it has."""
    (tmp_path / "x.link").write_text("item_id:token\tentity_id:token\n313\tm.0b8l01\n5\tm.1\n")
    (tmp_path / "x.kg").write_text("head_id:token\trelation_id:token\ttail_id:token\nm.1\tactor\tm.9\n")
    for title, count in (("Titanic (1997)", 0), ("Swan Princess, The (1994)", 1)):
        items, counts = SourceItems(), Counts()
        items.add("313", title, None)
        items.add("5", "Heat", None)
        assert len(read_kg(tmp_path / "x.kg", tmp_path / "x.link", items, counts)) == count
        counts.check()
        assert sum(counts.dropped("links (x.link)").values()) == 2 - 2 * count
