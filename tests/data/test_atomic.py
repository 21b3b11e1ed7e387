"""RecBole's atomic files: columns found by their names, years and classes as they are written."""

from __future__ import annotations

import doctest
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.data import atomic
from rerec_engine.data.atomic import check_header, header_of, item_parser, parse_rating
from rerec_engine.errors import UserError

ML100K = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"


def test_examples() -> None:
    assert doctest.testmod(atomic).failed == 0


def write(folder: Path, header: str) -> Path:
    (folder / "x.item").write_text(header + "\n")
    return folder / "x.item"


@pytest.mark.parametrize(
    ("header", "line", "row"),
    [
        (ML100K, "1\tHeat\t1995\tCrime War", ("1", "Heat (1995)", 1995, ["Crime", "War"])),
        (ML100K, "1\tLand III (1995)\tV\tDrama", ("1", "Land III (1995)", 1995, ["Drama"])),
        (ML100K, "1\tunkonwn\tunkonwn\tunknown", ("1", "unkonwn", None, [])),
        (ML100K, "1\tHeat (1995)\t1995\t", ("1", "Heat (1995)", 1995, [])),
        (ML100K, "1\tHeat\t\t(no genres listed)", ("1", "Heat", None, [])),
        # RecSysDatasets' ml-1m and its kin
        ("item_id:token\tmovie_title:token_seq\trelease_year:float\tgenre:token_seq", "1\tHeat\t1951.0\tWar",
         ("1", "Heat (1951)", 1951, ["War"])),
        ("item_id\tmovie_name\ttype", "1\tHeat (1995)\tCrime|Film noir",
         ("1", "Heat (1995)", 1995, ["Crime", "Film noir"])),
        ("genre:token\ttitle:token\titem_id:token", "Board Game\tGo\tB1", ("B1", "Go", None, ["Board Game"])),
        ("item_id:token\tname:token_seq\tprice:float", "1\tPen\t3.5", ("1", "Pen", None, [])),
    ],
    ids=range(9),
)  # fmt: skip
def test_items(tmp_path: Path, header: str, line: str, row: atomic.ItemRow) -> None:
    assert item_parser(write(tmp_path, header))(line) == row


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1\tHeat\t1995", "expected 4 fields separated by tabs, got 3"),
        ("1\tHeat\t1995\tWar\tx", "got 5"),
        ("\tHeat\t1995\tWar", "the item_id is empty"),
        ("1\t \t1995\tWar", "the title is empty"),
    ],
)
def test_a_broken_line(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        item_parser(write(tmp_path, ML100K))(line)


@given(st.text(st.sampled_from("0123456789:\t |-.ae٣¹\x85é"), max_size=40) | st.text(max_size=40))
def test_any_line_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, line: str) -> None:
    for parse in (item_parser(write(tmp_path_factory.getbasetemp(), ML100K)), parse_rating):
        with suppress(ValueError):
            parse(line)


def test_headers(tmp_path: Path) -> None:
    path = write(tmp_path, "user_id:token\titem_id:token\trating")
    assert header_of(path) == [("user_id", "token"), ("item_id", "token"), ("rating", "")]
    check_header(path, ("user_id", "item_id"))
    with pytest.raises(UserError, match=r"x\.item:1: expected the header item_id, got 'user_id, item_id, rating'"):
        check_header(path, ("item_id",))
    with pytest.raises(
        UserError, match=r"x\.item:1: expected a header with item_id and movie_title, got 'user_id, item"
    ):
        item_parser(path)


def test_ratings() -> None:
    assert parse_rating("u1\tB2\t3.5\t8.812e8\tmore") == ("u1", "B2", 3.5, 881200000)
    with pytest.raises(ValueError, match="got 3 fields"):
        parse_rating("1\t2\t3")
