from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerec_engine.assistant.shortlist import Shortlister, find_query, request_of, words_of
from rerec_engine.data.dataset import Dataset
from rerec_engine.types import Message, Query


@pytest.mark.parametrize(
    ("text", "titles", "values"),
    [
        ("A crime film by michael mann", [], ["Crime", "Michael Mann"]),
        ("Like Heat (1995), but a drama", ["Heat (1995)"], ["Drama"]),
        ('I liked "Heat" and "Alien"', ["Heat (1995)", "Alien (1979)"], []),
        ("It is for the room of my son; the heat is on", [], []),
        ("as good as The Insider", ["The Insider (1999)"], []),
        ("the insider", [], []),
        ("I saw Solaris (2002)", ["Solaris (2002)"], []),
        ("science-fiction by Jean Pierre Jeunet", [], ["Science fiction", "Jean-Pierre Jeunet"]),
        ("amelie (2001)!", ["Amélie (2001)"], []),
        ("", [], []),
    ],
)
def test_names_in_a_request(films: Dataset, text: str, titles: list[str], values: list[str]) -> None:
    items, attributes = Shortlister(films).named(text)
    assert sorted(films.titles[i] for i in items) == sorted(titles)
    assert sorted(films.attributes.values[a] for a in attributes) == sorted(values)


def test_named_values_come_first_then_what_shares_most_with_named_titles(films: Dataset) -> None:
    chosen = Shortlister(films).choose("A crime film by Michael Mann", count=4)
    assert {films.titles[i] for i in chosen.items[:2]} == {"Heat (1995)", "Collateral (2004)"}
    assert films.titles[chosen.items[2]] == "The Insider (1999)"
    assert "Crime, Michael Mann" in chosen.reason

    like = Shortlister(films).choose('More like "Stalker"', count=3)
    assert films.titles[like.items[0]] == "Solaris (1972)"  # genre and director
    assert films.titles[like.items[1]] == "Solaris (2002)"  # genre
    assert films.titles.index("Stalker (1979)") not in like.items


def test_nothing_named_is_filled_by_popularity_or_by_the_history(films: Dataset) -> None:
    popular = Shortlister(films).choose("anything", count=3)
    assert films.titles[popular.items[0]] == "Stalker (1979)"  # both users
    assert "popularity" in popular.reason
    near = Shortlister(films).choose("anything", history=(0,), count=3)
    assert near.items == (1, 2, 3)  # the embeddings lie on an arc, in the order of the items
    assert "history" in near.reason


@settings(max_examples=100)
@given(st.text(max_size=80), st.integers(1, 30), st.sets(st.integers(0, 10), max_size=4))
def test_any_request_gets_distinct_candidates_without_the_history(
    films: Dataset, text: str, count: int, history: set[int]
) -> None:
    items = Shortlister(films).choose(text, tuple(history), count).items
    assert len(set(items)) == len(items) <= count
    assert not set(items) & history


def test_request_is_read_from_both_prompt_forms(films: Dataset) -> None:
    assert request_of(films.queries("train")[0]) == "A crime film by Michael Mann, please!"
    demo = Query(id="d", messages=(Message(role="user", content="Find a drama\n A\n B\n"),), ground_truth=(0,))
    assert request_of(demo) == "Find a drama"


def test_query_is_found_by_its_words(films: Dataset) -> None:
    queries = films.queries("train")
    assert find_query(queries, "a crime film by MICHAEL MANN please") == (queries[0], True)
    assert find_query(queries, "Something quiet and slow about space and a memory") == (queries[1], False)
    assert find_query(queries, "A crime film by Ridley Scott") == (None, False)
    assert find_query(queries, "?!") == (None, False)


def test_words_are_normalised() -> None:
    assert words_of("Amélie_Poulain, 2001") == ("amelie", "poulain", "2001")
