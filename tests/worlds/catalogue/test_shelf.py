"""Masks over a catalogue, compared with a reading of the graph; what is fit to be asked for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from graph_reference import Reference, graphs
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rerec_engine.data.knowledge import Knowledge
from rerec_engine.errors import UserError
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.graph.numbers import ItemNumbers
from rerec_engine.worlds.catalogue.conditions import Condition, Span
from rerec_engine.worlds.catalogue.shelf import LONGEST, Shelf


def shelf_of(knowledge: Knowledge) -> Shelf:
    try:
        return Shelf(knowledge)
    except UserError:
        assume(False)
        raise


def catalogue(values: dict[str, list[int]], items: int = 20) -> Knowledge:
    """Items that have a value of the relation `tag`."""
    triples = [(item, "tag", value) for value, own in values.items() for item in own]
    return Knowledge([f"T{i}" for i in range(items)], [None] * items, AttributeGraph.from_triples(triples, items))


@settings(max_examples=60)
@given(graphs(), st.data())
def test_items_that_satisfy_a_condition_are_those_that_a_reading_of_the_graph_finds(
    knowledge: Knowledge, data: st.DataObject
) -> None:
    shelf, reference = shelf_of(knowledge), Reference(knowledge)
    graph = knowledge.attributes
    relation = data.draw(st.sampled_from(sorted(set(graph.relations))))
    own = [a for a, name in enumerate(graph.relations) if name == relation]
    ids = tuple(data.draw(st.lists(st.sampled_from(own), min_size=1, max_size=3, unique=True)))
    conditions = [Condition(relation, ids, data.draw(st.booleans()))]
    for field in shelf.numbers:
        first, gap = data.draw(st.integers(0, 2030)), data.draw(st.integers(0, 30))
        how = data.draw(st.sampled_from(["under", "over", "between"]))
        conditions.append(Condition(field, span=Span(how, first, first + gap if how == "between" else 0)))
    for condition in conditions:
        found = set(np.flatnonzero(shelf.mask(condition)).tolist())
        assert found == reference.right([condition.key(graph.values)])
    rest = shelf.mask(conditions[0])
    for field in shelf.numbers:
        best = Condition(field, span=Span(data.draw(st.sampled_from(["most", "least"]))))
        found = set(np.flatnonzero(shelf.mask(best, rest)).tolist())
        assert found == reference.right([conditions[0].key(graph.values), best.key(graph.values)])


@given(graphs())
def test_known_are_the_items_of_which_the_graph_tells_something(knowledge: Knowledge) -> None:
    shelf, graph = shelf_of(knowledge), knowledge.attributes
    for relation in set(graph.relations):
        told = [any(name == relation for name, _ in graph.attributes_of(i)) for i in range(knowledge.item_count)]
        assert shelf.known(Condition(relation, (0,))).tolist() == told
    for field, numbers in shelf.numbers.items():
        assert shelf.known(Condition(field, span=Span("most"))).tolist() == numbers.known.tolist()


@given(graphs())
def test_counts_and_holders_are_those_of_the_triples(knowledge: Knowledge) -> None:
    shelf, graph = shelf_of(knowledge), knowledge.attributes
    owners: list[list[int]] = [[] for _ in graph.values]
    for item in range(knowledge.item_count):
        for a in graph.ids_of(item).tolist():
            owners[a].append(item)
    assert [shelf.holders(a).tolist() for a in range(len(owners))] == owners
    assert shelf.counts.tolist() == list(map(len, owners))


@pytest.mark.parametrize(
    ("value", "fit"),
    [
        ("war", True),
        ("Days & Nights", True),
        ("yes", False),
        ("N/A", False),
        ("...", False),
        ("other", False),
        ("x" * LONGEST, True),
        ("x" * (LONGEST + 1), False),
        ("see https://a.b", False),
        ("a\\b", False),
        ("a{b}", False),
    ],
)
def test_values_that_a_request_can_name(value: str, fit: bool) -> None:
    shelf = Shelf(catalogue({value: [0, 1, 2], "plain": [3]}))
    place = list(shelf.graph.values).index(value)
    assert shelf.fit[place] == fit
    assert (place in shelf.by_relation["tag"]) == fit


def test_what_nearly_all_have_and_names_of_two_values_are_not_asked_for() -> None:
    shelf = Shelf(catalogue({"common": [*range(13)], "half": [*range(12)], "War": [0], "war": [1], "rare": [5]}))
    said = {shelf.graph.values[a] for a in shelf.by_relation["tag"]}
    assert said == {"half", "rare"}


def test_a_superlative_holds_of_one_item_or_none() -> None:
    price = np.array([3.0, 1, 1, np.nan, 2] + [9.0] * 15)
    knowledge = catalogue({"war": [0, 1, 3, 4]})
    knowledge = Knowledge(
        knowledge.titles, knowledge.years, knowledge.attributes, numbers={"price": ItemNumbers(price, price)}
    )
    shelf, least = Shelf(knowledge), Condition("price", span=Span("least"))
    assert not shelf.mask(least).any()  # two items cost 1
    rest = shelf.mask(Condition("tag", (0,)))
    assert np.flatnonzero(shelf.mask(least, rest)).tolist() == [1]
    assert np.flatnonzero(shelf.mask(Condition("price", span=Span("most")), rest)).tolist() == [0]
    assert not shelf.mask(least, np.zeros(20, bool)).any()


def test_years_are_a_number_where_some_item_has_one(games: Callable[..., Knowledge]) -> None:
    knowledge = games("chat")
    assert set(Shelf(knowledge).numbers) == {"price", "players", "year"}
    undated = Knowledge(knowledge.titles, [None] * 90, knowledge.attributes, numbers=knowledge.numbers)
    assert set(Shelf(undated).numbers) == {"price", "players"}


def test_a_poor_catalogue_is_refused() -> None:
    with pytest.raises(UserError, match="no attribute of the 20 items is fit to be asked for"):
        Shelf(catalogue({"all": [*range(20)], "yes": [1]}))
    with pytest.raises(UserError, match="at least 20 items, got 7"):
        Shelf(catalogue({"war": [1]}, 7))
