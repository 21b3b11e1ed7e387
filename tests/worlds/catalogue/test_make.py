"""Requests over small catalogues."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from rerec_engine.data.knowledge import Knowledge
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.worlds.catalogue import make_requests
from rerec_engine.worlds.catalogue.drafts import Draft
from rerec_engine.worlds.catalogue.make import Maker, draw_many
from rerec_engine.worlds.catalogue.traces import Teacher
from rerec_engine.worlds.options import CatalogueRequestOptions

OPTIONS = CatalogueRequestOptions(train_queries=20, val_queries=5, test_queries=10, traces=20)


def catalogue(items: int, seed: int = 0) -> Knowledge:
    rng = np.random.default_rng(seed)
    triples = [(i, "designer", f"Designer {rng.integers(12)}") for i in range(items)]
    triples += [(i, "category", f"category {rng.integers(5)}") for i in range(items)]
    graph = AttributeGraph.from_triples(triples, items)
    return Knowledge([f"Game {i}" for i in range(items)], [None] * items, graph)


def test_each_split_has_its_number_of_requests() -> None:
    made = make_requests(catalogue(60), OPTIONS)
    assert {split: len(queries) for split, queries in made.splits.items()} == OPTIONS.counts
    assert len(made.traces) == 20


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


def test_condition_sets_never_cross_splits_and_those_of_val_and_test_are_in_no_trace(
    games: Callable[..., Knowledge], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As extra_info tells them, and as the teacher is asked to reason about them."""
    knowledge, reasoned = games("sentences"), list[tuple[str, ...]]()
    values, reason = knowledge.attributes.values, Teacher.reason

    def recorded(teacher: Teacher, draft: Draft, truth: Sequence[int], candidates: Sequence[int]) -> str:
        reasoned.append(tuple(sorted({condition.key(values) for condition in draft.conditions})))
        return reason(teacher, draft, truth, candidates)

    monkeypatch.setattr(Teacher, "reason", recorded)
    options = CatalogueRequestOptions(train_queries=150, val_queries=60, test_queries=90, traces=400, candidates=8)
    made = make_requests(knowledge, options)
    sets = {
        split: {tuple(made.extra_info[query.id]["conditions"]) for query in queries}
        for split, queries in made.splits.items()
    }
    assert min(map(len, sets.values())) > 30
    assert not sets["train"] & sets["val"]
    assert not (sets["train"] | sets["val"]) & sets["test"]
    assert len(reasoned) == len(made.traces) == 400
    assert not set(reasoned) & (sets["val"] | sets["test"])
    assert set(reasoned) & sets["train"]  # so the keys are comparable
