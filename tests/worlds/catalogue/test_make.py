"""Requests over small catalogues."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from rerec_engine.data.knowledge import Knowledge
from rerec_engine.errors import UserError
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.worlds.catalogue import make_requests
from rerec_engine.worlds.catalogue.make import Maker, draw_many
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


@pytest.mark.parametrize("form", ["chat", "sentences"])
def test_what_follows_from_an_item_stands_in_the_prompt(games: Callable[..., Knowledge], form: str) -> None:
    maker, rng = Maker(games(form), CatalogueRequestOptions()), np.random.default_rng(0)
    maker.turns = ["implicit", "misinformed", "interest"]
    titles, names = maker.shelf.knowledge.titles, maker.shelf.names
    for own in draw_many(maker, "train", [8] * 60, rng, set()):
        query = maker.query(own, "q", rng)
        assert query.named == own.draft.named
        lines = query.messages[0]["content"].split("\n")
        for item in query.named:
            line = next(
                line for line in lines if line.lstrip("- ").startswith((f"{titles[item]}: ", f"{titles[item]} : "))
            )
            following = own.draft.conditions[own.draft.inferred :]
            assert all(names[a] in line for c in following for a in c.attributes)


def test_without_facts_the_rows_are_those_of_before(games: Callable[..., Knowledge]) -> None:
    knowledge = games("chat")
    bare = replace(knowledge, description=replace(knowledge.description, facts="none"))
    with_facts, without = make_requests(knowledge, OPTIONS), make_requests(bare, OPTIONS)
    for split, queries in without.splits.items():
        assert not any(query.named for query in queries)
        assert [replace(q, messages=(), named=()) for q in with_facts.splits[split]] == [
            replace(q, messages=()) for q in queries
        ]
    assert any(query.named for query in with_facts.splits["train"])


def test_a_catalogue_without_attributes_is_refused() -> None:
    bare = Knowledge([f"Game {i}" for i in range(60)], [None] * 60, AttributeGraph.from_triples([], 60))
    with pytest.raises(UserError, match="no attribute of the 60 items is fit to be asked for"):
        make_requests(bare, OPTIONS)


def test_a_tiny_catalogue_is_refused() -> None:
    with pytest.raises(UserError, match="at least 20 items, got 7"):
        make_requests(catalogue(7), OPTIONS)
