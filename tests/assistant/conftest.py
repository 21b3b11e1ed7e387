"""A dataset of eleven films, two users and three queries; and one of board games with numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from rerec_engine.data.dataset import Dataset, load_dataset, write_dataset
from rerec_engine.data.description import DatasetDescription, Number
from rerec_engine.data.prompts import chat_prompt
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.graph.numbers import ItemNumbers
from rerec_engine.types import Query

FILMS = (
    ("Heat (1995)", "Crime", "Michael Mann"),
    ("The Insider (1999)", "Drama", "Michael Mann"),
    ("Collateral (2004)", "Crime", "Michael Mann"),
    ("It (1990)", "Horror", "Tommy Lee Wallace"),
    ("The Room (2003)", "Drama", "Tommy Wiseau"),
    ("Amélie (2001)", "Romance", "Jean-Pierre Jeunet"),
    ("Alien (1979)", "Horror", "Ridley Scott"),
    ("Gladiator (2000)", "Drama", "Ridley Scott"),
    ("Solaris (1972)", "Science fiction", "Andrei Tarkovsky"),
    ("Solaris (2002)", "Science fiction", "Steven Soderbergh"),
    ("Stalker (1979)", "Science fiction", "Andrei Tarkovsky"),
)


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path: Path = tmp_path_factory.mktemp("films") / "data"
    titles = [film[0] for film in FILMS]
    triples = [(i, "Genre", f[1]) for i, f in enumerate(FILMS)] + [
        (i, "Directed_by", f[2]) for i, f in enumerate(FILMS)
    ]
    graph = AttributeGraph.from_triples(triples, len(FILMS))
    interactions = np.zeros((2, len(FILMS)), dtype=np.float32)
    interactions[0, [8, 9, 10]] = interactions[1, [6, 7, 10]] = 1
    angles = np.linspace(0, np.pi / 2, len(FILMS))
    queries = [
        Query(
            id=name,
            request=text,
            messages=chat_prompt(text, candidates=[titles[i] for i in candidates], item="movie"),
            ground_truth=candidates[:1],
            candidates=candidates,
            category="explicit",
        )
        for name, text, candidates in (
            ("a", "A crime film by Michael Mann, please!", (0, 5, 6)),
            ("b", "Something slow and quiet about space and memory", (8, 10, 3)),
        )
    ]
    write_dataset(
        path,
        titles=titles,
        years=[int(title[-5:-1]) for title in titles],
        relations=graph.relations,
        values=graph.values,
        item_attributes=graph.item_attributes,
        interactions=sp.csr_matrix(interactions),
        item_embeddings=np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32),
        splits={"train": queries},
        data_source="test/films",
        description=DatasetDescription(noun="movie"),
    )
    return load_dataset(path)


UNKNOWN = float("nan")
GAMES = (  # title, category, price, players, minutes, rating
    ("Amber Road (1995)", "Trade", 39.99, (3, 4), 75, 7.1),
    ("Bridge Builders (2004)", "Family", 24.95, (2, 5), 45, 8.2),
    ("Copper Valley (2012)", "Trade", 59.5, (1, 4), 120, 8.6),
    ("Dragon Dice (2019)", "Dice", 12.0, (2, 6), 20, 6.4),
    ("Evening Duel (2016)", "Card", 18.0, (2, 2), 30, 7.5),
    ("Forest Paths (2021)", "Family", UNKNOWN, (1, 5), 60, 7.9),
    ("Ghost Manor (2009)", "Card", 30.0, (4, 8), 90, UNKNOWN),
)


@pytest.fixture(scope="session")
def games(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path: Path = tmp_path_factory.mktemp("games") / "data"
    titles = [game[0] for game in GAMES]
    graph = AttributeGraph.from_triples([(i, "category", game[1]) for i, game in enumerate(GAMES)], len(GAMES))
    price, players, minutes, rating = zip(*(game[2:] for game in GAMES), strict=True)
    ends = np.array(players, dtype=float).T
    plain = {"price": price, "playing_time": minutes, "rating": rating}
    numbers = {name: ItemNumbers(np.array(own, dtype=float), np.array(own, dtype=float)) for name, own in plain.items()}
    description = DatasetDescription(
        noun="board game",
        numbers={
            "price": Number("euros", "price"),
            "playing_time": Number("minutes", "playing time"),
            "rating": Number("", "rating"),
            "players": Number("players", "players"),
        },
    )
    numbers["players"] = ItemNumbers(ends[0], ends[1])
    return written(path, titles, [int(title[-5:-1]) for title in titles], graph, description, numbers)


def written(
    path: Path,
    titles: Sequence[str],
    years: Sequence[int | None],
    graph: AttributeGraph,
    description: DatasetDescription,
    numbers: Mapping[str, ItemNumbers] | None = None,
) -> Dataset:
    """A dataset without queries, of two users who took an item each."""
    write_dataset(
        path,
        titles=titles,
        years=years,
        relations=graph.relations,
        values=graph.values,
        item_attributes=graph.item_attributes,
        interactions=sp.csr_matrix(np.eye(2, len(titles), dtype=np.float32)),
        item_embeddings=np.zeros((len(titles), 2), dtype=np.float32),
        splits={"train": []},
        data_source="test",
        numbers=numbers,
        description=description,
    )
    return load_dataset(path)


SHOP = (
    ("Catan", "Klaus Teuber", ("Economic", "Family")),
    ("Azul", "Michael Kiesling", ("Puzzle", "Family")),
    ("6 nimmt!", "Wolfgang Kramer", ("Card Game",)),
    ("El Grande", "Wolfgang Kramer", ("Medieval",)),
    ("Codenames", "Vlaada Chvátil", ("Party", "Word Game")),
    ("Rite in the Rain All-Weather Durable Clicker Pen - Black Ink, 2 Pack of Refills Included (No. 93K)", "", ()),
)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Titles of one word, with marks inside, and long ones; categories written with capitals."""
    path: Path = tmp_path_factory.mktemp("shop") / "data"
    triples = [(i, "category", value) for i, game in enumerate(SHOP) for value in game[2]]
    triples += [(i, "designer", game[1]) for i, game in enumerate(SHOP) if game[1]]
    graph = AttributeGraph.from_triples(triples, len(SHOP))
    return written(path, [game[0] for game in SHOP], [None] * len(SHOP), graph, DatasetDescription(noun="board game"))
