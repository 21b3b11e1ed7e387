"""Requests of which a part follows from items or users."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from graph_reference import Reference

from rerec_engine.data.knowledge import Knowledge
from rerec_engine.worlds.catalogue import inferred
from rerec_engine.worlds.catalogue.drafts import Draft, Picker
from rerec_engine.worlds.catalogue.shelf import MOST, Shelf

DRAWS = {"implicit": inferred.draw_implicit, "misinformed": inferred.draw_misinformed,
         "interest": inferred.draw_interest, "demographics": inferred.draw_demographics}  # fmt: skip


@pytest.fixture(scope="module")
def drawn(picker: Picker) -> dict[str, list[Draft]]:
    rng = np.random.default_rng(0)
    return {kind: [own for _ in range(200) if (own := draw(picker, rng))] for kind, draw in DRAWS.items()}


def values_of(picker: Picker, item: int, relation: str) -> set[int]:
    graph = picker.shelf.graph
    return {a for a in graph.ids_of(item).tolist() if graph.relations[a] == relation}


@pytest.mark.parametrize("kind", DRAWS)
def test_the_target_satisfies_all_and_is_not_named(picker: Picker, drawn: dict[str, list[Draft]], kind: str) -> None:
    reference, values = Reference(picker.shelf.knowledge), picker.shelf.graph.values
    assert len(drawn[kind]) > 50
    for draft in drawn[kind]:
        assert draft.category == kind
        assert draft.target in reference.right([c.key(values) for c in draft.conditions])
        assert draft.target not in draft.named
        assert 0 <= draft.inferred < len(draft.conditions)


@pytest.mark.parametrize("kind", ["implicit", "misinformed"])
def test_the_condition_is_any_of_what_the_other_item_has(
    picker: Picker, drawn: dict[str, list[Draft]], kind: str
) -> None:
    for draft in drawn[kind]:
        hop = draft.conditions[draft.inferred]
        assert draft.inferred == len(draft.conditions) - 1
        assert set(hop.attributes) == values_of(picker, draft.via, hop.name)
        assert picker.shelf.mask(hop).sum() <= MOST * picker.shelf.size
        told = {a for c in draft.conditions[:-1] for a in c.attributes if not c.excluded}
        assert not told & set(hop.attributes)


def test_some_implicit_requests_exclude_something(drawn: dict[str, list[Draft]]) -> None:
    outs = [any(c.excluded for c in draft.conditions) for draft in drawn["implicit"]]
    assert [draft.form == "exclusion" for draft in drawn["implicit"]] == outs
    assert 0.03 < np.mean(outs) < 2 * inferred.EXCLUDING


def test_the_claim_is_false_and_of_the_relation(picker: Picker, drawn: dict[str, list[Draft]]) -> None:
    for draft in drawn["misinformed"]:
        hop = draft.conditions[draft.inferred]
        assert picker.shelf.graph.relations[draft.false] == hop.name
        assert draft.false not in values_of(picker, draft.via, hop.name)
    assert {draft.false for kind in DRAWS if kind != "misinformed" for draft in drawn[kind]} == {-1}


def test_interest_is_in_what_both_liked_items_have(picker: Picker, drawn: dict[str, list[Draft]]) -> None:
    graph, counts = picker.shelf.graph, picker.shelf.counts
    users = 0
    for draft in drawn["interest"]:
        a, b = draft.liked
        both = set(graph.ids_of(a).tolist()) & set(graph.ids_of(b).tolist())
        asked = {c.attributes[0] for c in draft.conditions[draft.inferred :]}
        assert asked == {x for x in both if counts[x] <= MOST * picker.shelf.size}
        assert 1 <= len(asked) <= inferred.MOST_SHARED
        if draft.user >= 0:
            users += 1
            assert {a, b} <= set(picker.shelf.knowledge.histories[draft.user].tolist())
    assert users > len(drawn["interest"]) / 2


def test_demographics_ask_what_the_users_group_likes(picker: Picker, drawn: dict[str, list[Draft]]) -> None:
    groups = {group.name: group for group in picker.groups}
    for draft in drawn["demographics"]:
        group = groups[draft.group]
        assert draft.conditions[draft.inferred :] == (picker.condition(group.attribute),)
        assert draft.user in group.members
    assert {draft.group for draft in drawn["demographics"]} == set(groups)


def test_without_users_two_items_of_one_value_are_liked(games: Callable[..., Knowledge]) -> None:
    own = games("chat")
    picker = Picker(Shelf(Knowledge(own.titles, own.years, own.attributes)))
    drafts = [draft for i in range(60) if (draft := inferred.draw_interest(picker, np.random.default_rng(i)))]
    assert len(drafts) > 10
    assert {draft.user for draft in drafts} == {-1}
