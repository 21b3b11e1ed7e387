from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerec_engine.assistant.mentions import Index, words_of
from rerec_engine.data.dataset import Dataset
from rerec_engine.graph.attributes import AttributeGraph


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
        ("comedies and dramas", [], ["Drama"]),
        ("Ridley Scott's films", [], ["Ridley Scott"]),
        ("I want a Tarkovsky film", [], ["Andrei Tarkovsky"]),
        ("Mann wrote that, the mann", [], []),
        ("I just watched Gladiator and loved it", ["Gladiator (2000)"], []),
        ("a sci-fi film, scary", [], ["Horror"]),
        ("", [], []),
    ],
)
def test_names_in_a_request(films: Dataset, text: str, titles: list[str], values: list[str]) -> None:
    reading = Index(films).read(text)
    assert sorted(films.titles[i] for i in reading.titles) == sorted(titles)
    assert sorted(films.attributes.values[a] for a in reading.attributes) == sorted(values)


@settings(max_examples=100)
@given(st.text(max_size=120))
def test_mentions_are_in_order_and_do_not_overlap(films: Dataset, text: str) -> None:
    reading = Index(films).read(text)
    assert all(a.stop <= b.first for a, b in pairwise(reading.mentions))
    assert all(0 <= m.first < m.stop <= len(reading.words) for m in reading.mentions)


def test_a_value_that_the_dataset_writes_small_needs_no_capital(films: Dataset) -> None:
    """Whatever its relation is called; one with a capital might be a name, unless it is said before the noun."""
    triples = [(0, "maker", "jazz"), (1, "maker", "Moody"), (0, "category", "Party"), (1, "category", "Legacy")]
    index = Index(replace(films, attributes=AttributeGraph.from_triples(triples, films.item_count)))
    for text, values in (
        ("some jazz, and moody", ["jazz"]),
        ("something Moody", ["Moody"]),
        ("a party film, or legacies", ["Party", "Legacy"]),
    ):
        assert [triples[a][2] for a in sorted(index.read(text).attributes)] == values


def test_words_are_normalised() -> None:
    assert words_of("Amélie_Poulain, 2001") == ("amelie", "poulain", "2001")
