from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.data import atomic, profiles, sources, tables
from rerec_engine.data.counts import Counts
from rerec_engine.data.files.cells import is_missing
from rerec_engine.errors import UserError

PARSERS: list[Callable[[str], object]] = [
    tables.parse_movie,
    tables.parse_rating,
    tables.parse_user,
    tables.parse_item_list,
    tables.parse_id_pair,
    tables.parse_triple,
    sources.parse_tab_item,
    atomic.parse_rating,
    profiles.parse_profile,
    profiles.parse_atomic_profile,
]
words = (
    st.text(st.characters(exclude_characters="\t\n\r:|", exclude_categories=["Cs"]), min_size=1)
    .map(str.strip)
    .filter(bool)
)
noise = st.text(st.sampled_from("0123456789:\t |-.ae٣¹\x85é"), max_size=40) | st.text(max_size=40)


@pytest.mark.parametrize("parse", PARSERS)
@given(line=noise)
def test_a_parser_returns_or_raises_value_error(parse: Callable[[str], object], line: str) -> None:
    with suppress(ValueError):
        parse(line)


@given(st.integers(0, 10**9), words, st.lists(words, min_size=1, max_size=4))
def test_movie_lines(number: int, title: str, genres: list[str]) -> None:
    known = [genre for genre in genres if not is_missing(genre)]
    assert tables.parse_movie(f"{number}::{title}::{'|'.join(genres)}") == (str(number), title, known)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 5), st.integers(0, 2**40))
def test_rating_lines(user: int, item: int, rating: int, time: int) -> None:
    assert tables.parse_rating(f"{user}::{item}::{rating}::{time}") == (str(user), str(item), float(rating), time)
    assert atomic.parse_rating(f"{user}\t{item}\t{rating}\t{time}") == (str(user), str(item), float(rating), time)


@pytest.mark.parametrize(
    ("parse", "line", "message"),
    [
        (tables.parse_movie, "1::Heat (1995)", "expected 3 fields"),
        (tables.parse_movie, "x::Heat (1995)::Crime", "MovieID must be an integer"),
        (tables.parse_movie, "1_0::Heat (1995)::Crime", "MovieID must be an integer"),
        (tables.parse_movie, "1::  ::Crime", "field 2 is empty"),
        (tables.parse_rating, "1::2::nan::3", "finite"),
        (tables.parse_rating, "1::2::five::3", "Rating must be a number"),
        (tables.parse_user, "1::X::25::3::123", "Gender"),
        (tables.parse_item_list, "1 2 x", "ids"),
        (profiles.parse_profile, "1::F::26::3::123", "age code 26"),
        (atomic.parse_rating, "1\t2\t\t4", "expected user_id"),
    ],
)
def test_a_fault_is_explained(parse: Callable[[str], object], line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(line)


@pytest.mark.parametrize("genres", ["(no genres listed)", "", "nan", "N/A|None"])
def test_a_genre_that_is_none(genres: str) -> None:
    assert tables.parse_movie(f"1::Heat::{genres or '|'}") == ("1", "Heat", [])


def test_the_year_ends_a_title() -> None:
    assert tables.title_year("Associate, The (L'Associe)(1982)") == 1982
    assert tables.title_year("1984") is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_lines_of_any_encoding(tmp_path: Path, encoding: str) -> None:
    """As MovieLens' Windows-1252: an apostrophe is one, and no character but a line feed ends a line."""
    path = tmp_path / "movies.dat"
    end = "\x85" if encoding != "cp1252" else "\xa0"
    path.write_bytes(f"1::Schindler’s List (1993)::Drama\r\n\n2::Next{end}Line (1990)::War".encode(encoding))
    lines = [(1, "1::Schindler’s List (1993)::Drama"), (3, f"2::Next{end}Line (1990)::War")]
    assert list(tables.lines_of(path)) == lines


def test_bytes_that_are_no_text_break_their_line_alone(tmp_path: Path) -> None:
    path = tmp_path / "movies.dat"
    path.write_bytes("1::Misérables, Les (1995)::Drama\n2::Caf".encode() + b"\xe9 (1990)::War\n3::Zo\xc3\xab::War")
    with pytest.raises(UserError, match=r"movies\.dat:2: bytes that are no text in the encoding of the rest"):
        list(tables.parse_lines(path, tables.parse_movie, Counts(), "items"))
    counts = Counts()
    parsed = list(tables.parse_lines(path, tables.parse_movie, counts, "items", skip_bad=True))
    assert [title for _, (_, title, _) in parsed] == ["Misérables, Les (1995)", "Zoë"]
    assert counts.dropped("items") == {"broken row": 1}


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert list(tables.lines_of(tmp_path / "empty")) == []
    with pytest.raises(UserError, match="gone: no such file"):
        list(tables.lines_of(tmp_path / "gone"))


def test_a_broken_line_is_named_or_counted(tmp_path: Path) -> None:
    path = tmp_path / "movies.dat"
    path.write_text("1::Heat (1995)::Crime\nbroken\n2::Casino (1995)::Crime\n")
    with pytest.raises(UserError, match=r"movies\.dat:2: expected 3 fields"):
        list(tables.parse_lines(path, tables.parse_movie, Counts(), "items"))
    counts = Counts()
    rows = list(tables.parse_lines(path, tables.parse_movie, counts, "items", skip_bad=True))
    assert [line for line, _ in rows] == [1, 3]
    counts.keep("items", len(rows))
    counts.check()
    assert counts.dropped("items") == {"broken row": 1}
    assert "movies.dat:2" in counts.examples["items: broken row"][0]


def test_dbpedia_names_become_readable() -> None:
    assert tables.attribute_label("dbr:Adam_Brooks_(filmmaker)") == "Adam Brooks (filmmaker)"
    assert tables.attribute_label("Film-Noir") == "Film-Noir"
