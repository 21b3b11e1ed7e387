"""Draws that all kinds of requests share."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from graph_reference import Reference, graphs
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rerec_engine.data.knowledge import Knowledge
from rerec_engine.errors import UserError
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.worlds.catalogue.conditions import Condition, Span
from rerec_engine.worlds.catalogue.drafts import SAME_RELATION, Draft, Picker, how_many
from rerec_engine.worlds.catalogue.shelf import Shelf


@settings(max_examples=50)
@given(graphs(), st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_a_wish_is_what_its_target_has(knowledge: Knowledge, seed: int, count: int) -> None:
    try:
        shelf = Shelf(knowledge)
    except UserError:
        assume(False)
        return
    conditions, target = Picker(shelf).wish(np.random.default_rng(seed), count)
    assert 1 <= len(conditions) <= count
    assert len({condition.attributes for condition in conditions}) == len(conditions)
    assert all(shelf.fit[list(condition.attributes)].all() for condition in conditions)
    assert target in Reference(knowledge).right([condition.key(shelf.graph.values) for condition in conditions])


def test_a_value_is_drawn_by_the_root_of_how_often_it_occurs(picker: Picker) -> None:
    rng, shelf = np.random.default_rng(0), picker.shelf
    drawn = Counter(picker.attribute(rng) for _ in range(6000))
    own = shelf.by_relation["publisher"]
    roots = np.sqrt(shelf.counts[own])
    shares = np.array([drawn[a] for a in own]) / sum(drawn[a] for a in own)
    assert np.abs(shares - roots / roots.sum()).max() < 0.04
    sums = {relation: np.sqrt(shelf.counts[ids].sum()) for relation, ids in shelf.by_relation.items()}
    told = Counter(shelf.graph.relations[a] for a in drawn.elements())
    for relation, root in sums.items():
        assert abs(told[relation] / 6000 - root / sum(sums.values())) < 0.03


def test_a_holder_has_the_attribute_and_each_is_drawn(picker: Picker) -> None:
    rng, owners = np.random.default_rng(0), picker.shelf.holders(3)
    assert {picker.holder(rng, 3) for _ in range(40 * len(owners))} == set(owners.tolist())


def test_a_further_value_is_mostly_of_another_relation(picker: Picker) -> None:
    rng, graph = np.random.default_rng(0), picker.shelf.graph
    item = next(i for i in range(90) if Counter(graph.relations[a] for a in graph.ids_of(i))["designer"] == 2)
    first = next(a for a in graph.ids_of(item).tolist() if graph.relations[a] == "designer")
    drawn = [picker.further(rng, item, [first]) for _ in range(1000)]
    assert set(drawn) <= set(graph.ids_of(item).tolist()) - {first}
    same = sum(graph.relations[a] == "designer" for a in drawn) / 1000
    assert 0.2 * SAME_RELATION < same < SAME_RELATION  # of the draws that may, one in three does


def test_nothing_further_is_minus_one(picker: Picker) -> None:
    own = picker.shelf.graph.ids_of(0).tolist()
    assert {picker.further(np.random.default_rng(i), 0, own) for i in range(20)} == {-1}


@pytest.mark.parametrize("shares", [(1.0,), (0.35, 0.45, 0.2), (0.7, 0.3)])
def test_how_many_has_its_chances(shares: tuple[float, ...]) -> None:
    rng = np.random.default_rng(0)
    drawn = Counter(how_many(rng, shares) for _ in range(4000))
    assert sorted(drawn) == list(range(1, len(shares) + 1))
    assert max(abs(drawn[i + 1] / 4000 - share) for i, share in enumerate(shares)) < 0.03


def test_what_a_draft_names_and_asks() -> None:
    conditions = (Condition("by", (1,)), Condition("year", span=Span("most")), Condition("by", (2,), excluded=True))
    draft = Draft("implicit", "plain", conditions, via=7)
    graph = AttributeGraph.from_triples([(0, "by", "Ann"), (1, "by", "Bo"), (2, "by", "Cy")], 3)
    assert (draft.named, draft.asked(graph)) == ((7,), ("by", "year"))
    assert Draft("interest", "plain", conditions, liked=(3, 4)).named == (3, 4)
    assert Draft("explicit", "plain", ()).named == ()
