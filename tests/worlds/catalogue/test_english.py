"""Pieces of English."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.worlds.catalogue.english import (
    DECADES,
    ONES,
    Atom,
    filled,
    in_words,
    joined,
    listed,
    pieces_of,
    sentences,
)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("Any tips? I want {np}", ["Any", "tips", "?", "I", "want", "{np}"]),
        ("{liked}. {wish} like them", ["{liked}", ".", "{wish}", "like", "them"]),
        ("25 to 34 years old, a man", ["25", "to", "34", "years", "old", ",", "a", "man"]),
        ("for 24.95 euros.", ["for", "24.95", "euros", "."]),
        ("I'd like", ["I'd", "like"]),
    ],
)
def test_a_text_falls_into_pieces(template: str, expected: list[str]) -> None:
    assert list(pieces_of(template)) == expected


def test_slots_are_filled_in_their_places() -> None:
    said = filled("I liked {a}. {b}, please", a=["X", "and", "Y"], b=["More"])
    assert joined(said) == "I liked X and Y. More, please"


NAMES = st.lists(st.lists(st.from_regex(r"[A-Z][a-z]{1,4}", fullmatch=True), min_size=1, max_size=3), max_size=6)


@given(NAMES, st.sampled_from(["and", "or"]))
def test_a_list_has_commas_and_one_word_before_the_last(parts: list[list[str]], word: str) -> None:
    said = listed(parts, word)
    assert [piece for piece in said if piece not in (",", word)] == [piece for part in parts for piece in part]
    assert said.count(word) == (len(parts) > 1)
    assert said.count(",") == max(0, len(parts) - 2)


def test_sentences_begin_with_capitals_and_names_stay() -> None:
    pieces = sentences(
        [*pieces_of("find me a film, please? thanks."), Atom("eXistenZ"), "is", "fine", ".", Atom("two")]
    )
    assert joined(pieces) == "Find me a film, please? Thanks. eXistenZ is fine. Two"


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["by", Atom("Warner Bros."), "."], "by Warner Bros."),
        (["like", Atom("Help!"), "."], "like Help!"),
        (["like", Atom("Help!"), ",", "please", "?"], "like Help!, please?"),
        (["know", Atom("Help!"), "?"], "know Help!?"),
        ([Atom("Inc."), "and", "more", "."], "Inc. and more."),
        ([], ""),
    ],
)
def test_a_title_with_a_mark_of_its_own_gets_no_second_full_stop(pieces: list[str], expected: str) -> None:
    assert joined(pieces) == expected


@given(st.lists(st.sampled_from(["a", "film", ",", ".", "?", "Bros."]), max_size=9))
def test_spaced_pieces_can_be_read_back(pieces: list[str]) -> None:
    assert joined(pieces, spaced=True).split() == pieces
    assert joined(pieces).replace(" ", "").startswith(pieces[0] if pieces else "")


@given(st.integers(0, 10**12))
def test_whole_numbers_up_to_twelve_are_words(number: int) -> None:
    said = in_words(number)
    assert (ONES.index(said) if number <= 12 else int(said)) == number


@pytest.mark.parametrize(("number", "expected"), [(12, "twelve"), (13, "13"), (24.95, "24.95"), (2.5, "2.5")])
def test_numbers_in_words(number: float, expected: str) -> None:
    assert in_words(number) == expected


def test_decades_have_their_names() -> None:
    assert (DECADES[1920], DECADES[1990], len(DECADES)) == ("twenties", "nineties", 8)
