"""Requests over small catalogues."""

from __future__ import annotations

import numpy as np
import pytest

from rerec_engine.data.knowledge import Knowledge
from rerec_engine.errors import UserError
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.worlds.catalogue import make_requests
from rerec_engine.worlds.options import CatalogueRequestOptions

OPTIONS = CatalogueRequestOptions(train_queries=20, val_queries=5, test_queries=10)


def catalogue(items: int, seed: int = 0) -> Knowledge:
    rng = np.random.default_rng(seed)
    triples = [(i, "designer", f"Designer {rng.integers(12)}") for i in range(items)]
    triples += [(i, "category", f"category {rng.integers(5)}") for i in range(items)]
    graph = AttributeGraph.from_triples(triples, items)
    return Knowledge([f"Game {i}" for i in range(items)], [None] * items, graph)


def test_each_split_has_its_number_of_requests() -> None:
    made = make_requests(catalogue(60), OPTIONS)
    assert {split: len(queries) for split, queries in made.splits.items()} == OPTIONS.counts


def test_a_catalogue_without_attributes_is_refused() -> None:
    bare = Knowledge([f"Game {i}" for i in range(60)], [None] * 60, AttributeGraph.from_triples([], 60))
    with pytest.raises(UserError, match="no attribute of the 60 items is fit to be asked for"):
        make_requests(bare, OPTIONS)


def test_a_tiny_catalogue_is_refused() -> None:
    with pytest.raises(UserError, match="at least 20 items, got 7"):
        make_requests(catalogue(7), OPTIONS)
