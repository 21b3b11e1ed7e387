"""A dataset of eleven films, two users and three queries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from rerec_engine.data.dataset import Dataset, load_dataset, write_dataset
from rerec_engine.data.description import DatasetDescription
from rerec_engine.data.prompts import chat_prompt
from rerec_engine.graph.attributes import AttributeGraph
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
