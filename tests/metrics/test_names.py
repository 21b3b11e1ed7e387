"""Plain text, its words, and the items that a line names."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerec_engine.graph.titles import words
from rerec_engine.metrics.names import Names, listed, plain, tokens

PIECES = [
    "Amélie",
    "½",
    "Æon",
    "’s",
    "'",
    "`",
    "&",
    "é",
    "ß",
    "ŉ",
    "ĿL",
    "（",
    "…",
    "–",
    "“",
    "\xa0",
    "ж",
    "★",
    " ",
    "(",
    "9",
]


@settings(max_examples=300)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=12).map("".join)))
def test_plain_text_has_the_words_of_the_text(text: str) -> None:
    found = tokens(plain(text))
    assert [word.text for word in found] == [word.text for word in words(text)]


@pytest.mark.parametrize(
    ("line", "rest"),
    [
        ("1) Heat", "Heat"),
        (" 12. Heat", "Heat"),
        ("- Heat", "Heat"),
        ("* Heat", "Heat"),
        ("2001: A", "2001: A"),
        ("Heat", "Heat"),
    ],
)
def test_a_line_begins_behind_its_number(line: str, rest: str) -> None:
    assert line[listed(line) :] == rest


TITLES = ["Heat (1995)", "Long Goodbye, The (1973)", "Game, The (1997)", "Alien (1979)", "Alien Nation (1988)"]


@pytest.mark.parametrize(
    ("line", "items"),
    [
        ("Heat (1995)", [0]),
        ("Heat (1996)", [0]),  # a year beside
        ("Heat (1986)", [-1]),
        ("heat (1995)", []),
        ("Heat is on", []),
        ("We saw Heat again", [0]),
        ("1) Heat", [0]),
        ("*Heat*", [0]),
        ("The Long Goodbye, Long Goodbye, The (1973)", [1, 1]),
        ("the long goodbye", []),
        ("We saw The Game and the Game", [2, 2]),
        ("We saw Game again", []),
        ("Alien Nation (1988) and Alien (1979)", [4, 3]),
    ],
)
def test_items(line: str, items: list[int]) -> None:
    names = Names(TITLES, [None] * len(TITLES), [], [])
    assert [found.items[0] if found.items else -1 for found in names.items_in(line, tokens(line))] == items


@pytest.mark.parametrize(
    ("value", "any_case", "text", "size"),
    [
        ("Comedy", True, "comedies", 1),
        ("Comedy", False, "comedy", 0),
        ("card game", False, "card games", 2),
        ("Robert Evans (producer)", False, "Robert Evans", 2),
        ("HP", False, "HP", 1),
        ("HP", False, "Hp", 0),
        ("Up", False, "Up", 0),
        ("X", False, "X", 0),
        ("Fi", False, "Sci-Fi", 0),
        ("Sci-Fi", True, "sci-fi", 2),
    ],
)
def test_values(value: str, any_case: bool, text: str, size: int) -> None:
    line = tokens(text)
    names = Names([], [], [value], [any_case])
    assert max(names.value_at(text, line, i, len(line)) for i in range(len(line))) == size
