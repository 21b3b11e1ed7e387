"""The words that the parser knows: roles of relations, counts, new starts, and that the lists fit each other."""

from __future__ import annotations

import pytest

from rerec_engine.assistant.lexicon import (
    COUNT,
    COUNTS,
    FRESH,
    GENRE_WORDS,
    PERSON_ROLES,
    PREPOSITION_ROLES,
    ROLES,
    role_of,
    role_words,
)
from rerec_engine.graph.titles import normalise


@pytest.mark.parametrize(
    ("relation", "role"),
    [
        ("Genre", "genre"),
        ("Directed_by", "director"),
        ("musicComposer", "music"),
        ("has_Genres", "genre"),
        ("Starring", "starring"),
        ("Set_in", "place"),
        ("author", "writer"),
        ("Written by", "writer"),
        ("CINEMATOGRAPHY", "cinematography"),
        ("Colour", "colour"),
        ("releaseYear", "release year"),
        ("shot_in", "cinematography"),
        ("", ""),
    ],
)
def test_role_of_a_relation(relation: str, role: str) -> None:
    assert role_of(relation) == role


def test_every_role_names_itself() -> None:
    assert {role: role_of(role) for role in ROLES} == {role: role for role in ROLES}


def test_a_word_has_one_role() -> None:
    assert [word for word in set().union(*ROLES.values()) if sum(word in known for known in ROLES.values()) > 1] == []


def test_words_of_a_datasets_roles() -> None:
    words = role_words(["Directed_by", "Colour", "release_year"])
    assert words["filmmaker"] == words["director"] == "director"
    assert words["colour"] == "colour"
    assert "actor" not in words  # no relation has this role
    assert not any(" " in word for word in words)
    assert role_words([]) == {}


def test_roles_that_other_lists_name_exist() -> None:
    assert set(PERSON_ROLES) <= set(ROLES)
    assert {role for roles in PREPOSITION_ROLES.values() for role in roles} <= set(ROLES)


def test_genre_words_are_normalised_as_requests_are() -> None:
    assert {w: g for w, g in GENRE_WORDS.items() if (normalise(w), normalise(g)) != (w, g)} == {}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("give me three dramas", 3),
        ("recommend 12 films", 12),
        ("top 5", 5),
        ("find me up to ten books", 10),
        ("show me the two best", 2),
        ("i want 2 hours of fun", None),
        ("a film of 90 minutes", None),
        ("give me one", None),  # an item, not a count
        ("i saw two films", None),
        ("find 100 films", None),
        ("wanted 3", None),
    ],
)
def test_how_many_are_asked_for(text: str, count: int | None) -> None:
    found = COUNT.search(text)
    assert (None if found is None else COUNTS.get(found[1]) or int(found[1])) == count


@pytest.mark.parametrize(
    "text", ["something completely different", "start over", "never mind", "nevermind", "forget about it", "new search"]
)
def test_asks_for_a_new_start(text: str) -> None:
    assert FRESH.search(text)


@pytest.mark.parametrize("text", ["something different", "restart overnight", "unforgettable", "a new film", "mind"])
def test_asks_for_no_new_start(text: str) -> None:
    assert not FRESH.search(text)
