"""Small catalogues."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rerec_engine.data.description import DatasetDescription, Number
from rerec_engine.data.knowledge import Knowledge
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.graph.numbers import ItemNumbers
from rerec_engine.worlds.catalogue.drafts import Picker
from rerec_engine.worlds.catalogue.shelf import Shelf

sys.path.insert(0, str(Path(__file__).parent))  # test files import the reference as a plain module

PEOPLE = "Ann Able,Bo Bent,Cy Cole,Di Dorn,Ed Ekin,Flo Finn,Gil Goth,Hal Hood".split(",")
CATEGORIES = "war,economic,party,cooperative,adventure,Viking,dice & cards".split(",")
HOUSES = "Amber,Blue Door,Cobalt,Days & Nights".split(",")


def make_games(form: str, items: int = 90, seed: int = 0) -> Knowledge:
    """Board games with designers, categories, publishers, years, prices, players, users and their profiles."""
    rng = np.random.default_rng(seed)
    triples: list[tuple[int, str, str]] = []
    for item in range(items):
        chosen = ((PEOPLE, "designer", 1 + (item % 4 == 0)), (CATEGORIES, "category", 1 + item % 2))
        for values, relation, count in chosen:
            triples += [(item, relation, values[i]) for i in rng.permutation(len(values))[:count]]
        if item % 9:
            triples.append((item, "publisher", HOUSES[rng.integers(len(HOUSES))]))
    price = rng.choice([9.95, 14.5, 19.99, 29.0, 39.95, 59.9], items)
    least = rng.integers(1, 4, items).astype(float)
    numbers = {"price": ItemNumbers(price, price), "players": ItemNumbers(least, least + rng.integers(0, 4, items))}
    said = {"price": Number("euros", "price"), "players": Number("players", "players")}
    return Knowledge(
        titles=[f"Game of {i}, the {'Sequel' if i % 2 else 'First'}" for i in range(items)],
        years=[int(year) if year % 7 else None for year in rng.integers(1975, 2024, items)],
        attributes=AttributeGraph.from_triples(triples, items),
        description=DatasetDescription(noun="board game", form=form, facts="asked", order="fresh", numbers=said),
        numbers=numbers,
        histories=[rng.choice(items, 12, replace=False) for _ in range(60)],
        profiles=["25-34 years old, female, programmer", "56 or more years old, male, retired"] * 30,
    )


@pytest.fixture(scope="session")
def games() -> Callable[..., Knowledge]:
    """(form, items, seed) -> a catalogue."""
    return make_games


@pytest.fixture(scope="session")
def picker(games: Callable[..., Knowledge]) -> Picker:
    return Picker(Shelf(games("chat")))
