"""The English article."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.data.articles import article, with_article

AN = (
    "adventure economic action animation African Asian hour honest honour heir LGBT FBI RPG MMO X-ray 8-bit 80s 11 11th"
    " 18 18th 18-24 unusual unimportant uninhabited umbrella urban ugly usher utter odd only Oneida École Über"
    " 'old' (early) A4 LED MP3 SUV F1 i unidentified"
)
A = (
    "war European Euro ewer hand one one-way once user usual useful union unique universal unicorn USB US UK U.S. UFO"
    " ubiquitous utopian utility Ukrainian Uruguayan Ugandan 1 10 100 180 1100 LEGO HASBRO young year 'war' (late)"
    " Ñandú yes x uranium"
)


@pytest.mark.parametrize(("own", "words"), [("an", AN), ("a", A)])
def test_article_by_sound(own: str, words: str) -> None:
    assert [word for word in words.split() if article(word) != own] == []


@given(st.text())
def test_any_text_has_an_article_that_a_quote_does_not_change(text: str) -> None:
    assert article(text) in ("a", "an")
    assert article(f'"{text}') == article(text)


@pytest.mark.parametrize(
    ("opening", "following", "expected"),
    [
        ("Find a", " economic game", "Find an"),
        ("Find an", " war game", "Find a"),
        ("Find a", " war game", "Find a"),
        ("A", "art film", "An"),
        ("An", "war film", "A"),
        ("Suggest some", "art films", "Suggest some"),
        ("Pizza", "art", "Pizza"),
        ("Find a", "", "Find a"),
    ],
)
def test_an_opening_takes_the_article_of_what_follows(opening: str, following: str, expected: str) -> None:
    assert with_article(opening, following) == expected
