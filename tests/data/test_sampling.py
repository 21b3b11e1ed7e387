from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.data.sampling import TooFewItems, asked_attributes, assign_splits, sample_negatives
from rerec_engine.graph.attributes import AttributeGraph

ITEMS = 40


def world() -> AttributeGraph:
    """Item i: genre War where even, starring A for i < 12, director B for 6 <= i < 18."""
    triples = [(i, "genre", "War") for i in range(0, ITEMS, 2)]
    triples += [(i, "starring", "Ann Able (actor)") for i in range(12)]
    triples += [(i, "director", "Bo Boone") for i in range(6, 18)]
    return AttributeGraph.from_triples(triples, ITEMS)


@given(st.integers(0, 2**32 - 1))
def test_negatives_keep_their_promises(seed: int) -> None:
    graph = world()
    shared = graph.shared_by([6, 8]).tolist()
    asked = [graph.find("starring", "Ann Able (actor)"), graph.find("director", "Bo Boone")]
    rng = np.random.default_rng(seed)
    negatives = sample_negatives(rng, graph, 6, excluded=(8, 39), shared=shared, asked=asked)
    assert len(set(negatives)) == len(negatives) == 19
    assert not set(negatives) & {6, 7, 8, 9, 10, 11, 39}  # right answers: positive, excluded, all that is asked
    hard = [item for item in negatives if graph.count_shared(shared)[item] > 0]
    assert len(hard) >= 10


def test_negatives_depend_on_the_seed_alone() -> None:
    graph = world()
    draws = [sample_negatives(np.random.default_rng(s), graph, 0, excluded=()) for s in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_too_few_items_are_refused() -> None:
    with pytest.raises(TooFewItems, match="only 18 of 19"):
        sample_negatives(np.random.default_rng(0), world(), 0, excluded=range(19, ITEMS))


def test_asked_attributes() -> None:
    graph = world()
    able, boone = graph.find("starring", "Ann Able (actor)"), graph.find("director", "Bo Boone")
    war = graph.find("genre", "War")
    shared = [war, able, boone]
    assert asked_attributes(graph, shared, "", ["bo boone"]) == [boone]
    assert asked_attributes(graph, shared, "A WAR film with Ann Able?", ["unknown"]) == [war, able]
    assert asked_attributes(graph, shared, "No award, no Ann Ablething", []) == [able, boone]
    assert asked_attributes(graph, [war], "something", []) == [war]


keys = st.lists(st.lists(st.integers(0, 25), min_size=1, max_size=2), min_size=1, max_size=60)


@given(keys, st.integers(0, 5))
def test_queries_with_a_common_key_stay_together(keys: list[list[int]], seed: int) -> None:
    categories = ["ab"[len(own) - 1] for own in keys]
    split = assign_splits(keys, categories, {"train": 0.8, "val": 0.1, "test": 0.1}, seed)
    place: dict[int, str] = {}
    for own, name in zip(keys, split, strict=True):
        assert name in ("train", "val", "test")
        for key in own:
            assert place.setdefault(key, name) == name


def test_shares_are_met_in_every_category() -> None:
    categories = ["explicit"] * 100 + ["implicit"] * 50
    split = assign_splits([[i] for i in range(150)], categories, {"train": 0.8, "val": 0.1, "test": 0.1}, 3)
    assert [split[:100].count(s) for s in ("train", "val", "test")] == [80, 10, 10]
    assert [split[100:].count(s) for s in ("train", "val", "test")] == [40, 5, 5]
    assert split != assign_splits([[i] for i in range(150)], categories, {"train": 0.8, "val": 0.1, "test": 0.1}, 4)
    assert set(assign_splits([[1], [2]], ["a", "a"], {"train": 1.0, "val": 0.0, "test": 0.0}, 0)) == {"train"}
