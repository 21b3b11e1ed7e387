"""Every positive is right and every negative wrong, by a reference that reads the graph on its own; no condition set is
in two splits."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from graph_reference import Reference, graphs
from hypothesis import given, settings
from hypothesis import strategies as st

from rerec_engine.data.knowledge import Knowledge
from rerec_engine.errors import UserError
from rerec_engine.worlds.catalogue import MadeRequests, make, make_requests
from rerec_engine.worlds.options import CatalogueRequestOptions

SMALL = CatalogueRequestOptions(train_queries=20, val_queries=5, test_queries=10, candidates=12, traces=0)
TEST_ALONE = CatalogueRequestOptions(train_queries=1, val_queries=1, test_queries=200, traces=0)


def check(knowledge: Knowledge, made: MadeRequests) -> None:
    reference, splits = Reference(knowledge), dict[tuple[str, ...], str]()
    for split, queries in made.splits.items():
        for query in queries:
            conditions = made.extra_info[query.id]["conditions"]
            assert splits.setdefault(tuple(conditions), split) == split
            right = reference.right(conditions)
            assert set(query.candidates) & right == set(query.ground_truth), (query.request, conditions)
            assert len(set(query.candidates)) == len(query.candidates)
            assert {re.split(r"[=<>:]", c.removeprefix("not "))[0] for c in conditions} == set(query.asked)


@pytest.mark.parametrize("form", ["sentences", "chat"])
def test_of_every_kind(games: Callable[..., Knowledge], form: str) -> None:
    knowledge = games(form)
    made = make_requests(
        knowledge, CatalogueRequestOptions(train_queries=150, val_queries=40, test_queries=120, traces=0)
    )
    check(knowledge, made)
    kinds = {(query.category, made.extra_info[query.id]["form"]) for query in made.splits["test"]}
    extra = {("explicit", form) for form in ("plain", "exclusion", "years", "numbers", "several")}
    assert extra | {(c, "plain") for c in ("implicit", "misinformed", "interest", "demographics")} <= kinds


@settings(max_examples=25, deadline=None)
@given(knowledge=graphs(), seed=st.integers(0, 5))
def test_of_any_graph(knowledge: Knowledge, seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make, "TRIES", 50)  # a poor graph's kinds are given up sooner
        try:
            made = make_requests(knowledge, replace(SMALL, seed=seed))
        except UserError:  # a graph may be too poor for so many requests
            return
    check(knowledge, made)


def test_hard_negatives_miss_one_condition_alone(games: Callable[..., Knowledge]) -> None:
    knowledge = games("chat", 200)
    made = make_requests(knowledge, TEST_ALONE)
    reference, shares = Reference(knowledge), []
    for query in made.splits["test"]:
        conditions = made.extra_info[query.id]["conditions"]
        if len(conditions) == 2 and not any(c.endswith(("most", "least")) for c in conditions):
            hits = [sum(reference.holds(c, i) for c in conditions) for i in query.candidates]
            shares.append(hits.count(1) / len(hits))
    assert 0.3 < np.mean(shares) < 0.6


def test_what_is_excluded_stands_among_the_candidates(games: Callable[..., Knowledge]) -> None:
    knowledge = games("chat", 200)
    made = make_requests(knowledge, replace(TEST_ALONE, kinds="exclusion", test_queries=100))
    reference = Reference(knowledge)
    for query in made.splits["test"]:
        wish = [c for c in made.extra_info[query.id]["conditions"] if not c.startswith("not ")]
        assert len(reference.right(wish) & set(query.candidates)) > 1


def test_one_seed_gives_one_dataset(games: Callable[..., Knowledge]) -> None:
    options = CatalogueRequestOptions(train_queries=30, val_queries=10, test_queries=10, traces=30)
    first, again = (make_requests(games("sentences"), options) for _ in range(2))
    assert first == again
    other = make_requests(games("sentences"), replace(options, seed=1))
    assert other.splits != first.splits
