from __future__ import annotations

import doctest

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.data.files import cells
from rerec_engine.data.files.cells import clean, clean_column, find_separator, is_missing, parse_list, split_cell


def test_examples() -> None:
    assert doctest.testmod(cells).failed == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AT&amp;T", "AT&T"),
        ("AT&amp;amp;T", "AT&T"),
        ("&lt;p&gt;Two&lt;/p&gt;&lt;p&gt;parts&lt;/p&gt;", "Two parts"),
        ("a < b and c > d, I <3 it", "a < b and c > d, I <3 it"),
        ("<script>x = 1</script>Pen<br/>Blue <b>b</b>old", "Pen Blue bold"),
        ("<!-- .h {color: red} -->Text <!-- never closed", "Text"),
        ("tab\tline\nnul\x00 nbsp\u00a0end\u3000 ", "tab line nul nbsp end"),
        ("zero\u200bwidth soft\u00adhyphen \ufeffmark", "zerowidth softhyphen mark"),
        ("caf\u00e9 &eacute; &#39;x&#39;", "café é 'x'"),
        ('2" x 4" <2 lb>', '2" x 4" <2 lb>'),
    ],
)
def test_what_is_taken_out(text: str, expected: str) -> None:
    assert clean(text) == expected
    assert clean_column(pa.array([text, "plain", None, " \n"])).to_pylist() == [expected, "plain", None, None]


@pytest.mark.parametrize(
    "text", ["", "nan", "NaN", "None", "N/A", "null", "(no genres listed)", "\\N", "-", "NA", "Unknown"]
)
def test_what_stands_for_nothing(text: str) -> None:
    assert is_missing(text)
    assert split_cell(f"War|{text}", "|") == ["War"]


def test_what_does_not() -> None:
    assert not any(is_missing(text) for text in ("0", "na", "Nana", "No", "None of the above", "Noir"))


GENRES = ["Strategy, Card Game", "Card Game", "Family, Strategy", "Party, Card Game, Family", "Party"]


@pytest.mark.parametrize(
    ("column", "separator"),
    [
        (GENRES, ","),
        (["a;b", "c"], ";"),
        (["Rock|Pop", "Rock"], "|"),
        (["one\ntwo", "two"], "\n"),
        (["Toys > Games", "Toys > Puzzles", "Toys > Games"], " > "),
        (["['a', 'b']", "[]", "['c']"], "[]"),
        (['["a"]', "[]"], "[]"),
        (["'Books', 'Arts & Crafts'", "'Books', 'Art'"], "[]"),
        (["[{'id': 1, 'name': 'War'}]", "[{'id': 2, 'name': 'Drama'}]"], "[]"),
        (["Smith, John", "Smith, Anna", "Miller, John", "Doe, Jane"], ""),
        (["Smith, John; Doe, Jane", "Smith, John"], ";"),
        (["Acme, Inc.", "Hasbro, Inc.", "Acme, Inc.", "Lego"], ""),
        (["Paris, France", "Lyon, France", "Rome, Italy"], ""),
        (["Rock / Pop", "Rock", "Pop"], " / "),
        (["AC/DC", "Heart"], ""),
        (["A long title, with a clause in it", "Another one, without much sense", "Third"], ""),
        (["[live]", "[demo] take"], ""),
        (["plain", "cells"], ""),
        ([], ""),
    ],
    ids=range(19),
)
def test_where_cells_are_split(column: list[str], separator: str) -> None:
    assert find_separator(column).strip(" ") == separator.strip(" ")


@pytest.mark.parametrize(
    ("cell", "separator", "values"),
    [
        ("a; b ;; b;A", ";", ["a", "b", "A"]),
        ("Acme, Inc., Lego, Sammy Davis, Jr.", ",", ["Acme, Inc.", "Lego", "Sammy Davis, Jr."]),
        ("x|<b>y</b>|&amp;", "|", ["x", "y", "&"]),
        ("whole; cell", "", ["whole; cell"]),
        ("['a, b', None, \"c's\", 3]", "[]", ["a, b", "c's", "3"]),
        ("no list", "[]", []),
        ("War Drama", " ", ["War", "Drama"]),
    ],
)
def test_values_of_a_cell(cell: str, separator: str, values: list[str]) -> None:
    assert split_cell(cell, separator) == values


words = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8).filter(lambda text: not is_missing(text))


@given(st.lists(words, min_size=1, max_size=6, unique=True), st.sampled_from([";", "|", "\n"]))
def test_what_is_joined_is_split(values: list[str], separator: str) -> None:
    cell = separator.join(values)
    assert split_cell(cell, separator) == values
    assert find_separator([cell, "other"]) == (separator if len(values) > 1 else "")


@given(st.lists(words, max_size=6))
def test_lists_are_read_as_python_and_json_write_them(values: list[str]) -> None:
    assert parse_list(repr(values)) == values
    assert parse_list(str(values).replace("'", '"')) == values


@given(st.text(max_size=60))
def test_clean_text_is_one_line_and_stays(text: str) -> None:
    once = clean(text)
    assert once == " ".join(once.split())
    assert not any(char < " " for char in once)
