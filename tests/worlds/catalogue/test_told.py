"""Explicit requests before they have words."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from graph_reference import Reference

from rerec_engine.worlds.catalogue import told
from rerec_engine.worlds.catalogue.drafts import Draft, Picker

DRAWS = {"plain": told.draw_explicit, "exclusion": told.draw_exclusion, "years": told.draw_years,
         "numbers": told.draw_numbers, "several": told.draw_several}  # fmt: skip


@pytest.fixture(scope="module")
def drawn(picker: Picker) -> dict[str, list[Draft]]:
    rng = np.random.default_rng(0)
    return {form: [own for _ in range(150) if (own := draw(picker, rng))] for form, draw in DRAWS.items()}


@pytest.mark.parametrize("form", DRAWS)
def test_the_target_satisfies_all_by_a_reading_of_the_graph(
    picker: Picker, drawn: dict[str, list[Draft]], form: str
) -> None:
    reference, values = Reference(picker.shelf.knowledge), picker.shelf.graph.values
    assert len(drawn[form]) > 75
    for draft in drawn[form]:
        best = [c for c in draft.conditions if c.span and c.span.best]
        keys = [c.key(values) for c in draft.conditions]
        assert (draft.category, draft.form) == ("explicit", form)
        # where two share the best number there is no right answer, and no such draft is made
        assert draft.target in reference.right(keys), keys
        assert len(best) <= 1


def test_one_to_three_values(drawn: dict[str, list[Draft]]) -> None:
    assert set(Counter(len(draft.conditions) for draft in drawn["plain"])) == {1, 2, 3}


def test_what_is_excluded_is_what_something_else_has(picker: Picker, drawn: dict[str, list[Draft]]) -> None:
    reference, graph = Reference(picker.shelf.knowledge), picker.shelf.graph
    twice = 0
    for draft in drawn["exclusion"]:
        wish = [c.key(graph.values) for c in draft.conditions if not c.excluded]
        outs = [c for c in draft.conditions if c.excluded]
        others = reference.right(wish) - {draft.target}
        twice += len(outs) == 2
        assert 1 <= len(outs) <= 2
        for out in outs:
            assert any(out.attributes[0] in graph.ids_of(item) for item in others)
            assert out.name in {name for name, _ in graph.attributes_of(draft.target)}  # it has another one
    assert 0 < twice < len(drawn["exclusion"]) / 2


@pytest.mark.parametrize(("form", "fields"), [("years", {"year"}), ("numbers", {"price", "players"})])
def test_spans_are_of_their_fields(drawn: dict[str, list[Draft]], form: str, fields: set[str]) -> None:
    spans = [[c for c in draft.conditions if c.span] for draft in drawn[form]]
    assert {c.name for own in spans for c in own} == fields
    assert {len(own) for own in spans} == set(range(1, len(fields) + 1))
    hows = {c.span.how for own in spans for c in own if c.span}
    assert hows >= ({"most", "least", "decade", "before"} if form == "years" else {"most", "least", "under", "exactly"})
    assert any(len(own) == len(draft.conditions) for own, draft in zip(spans, drawn[form], strict=True))


def test_two_to_five_items(drawn: dict[str, list[Draft]]) -> None:
    assert {draft.count for draft in drawn["several"]} == {2, 3, 4, 5}
    assert {draft.count for form in DRAWS if form != "several" for draft in drawn[form]} == {1}


def test_nothing_is_excluded_where_no_other_item_satisfies_the_rest(picker: Picker) -> None:
    shelf, rng = picker.shelf, np.random.default_rng(0)
    own = [picker.condition(int(a)) for a in shelf.graph.ids_of(4)]
    assert told.draw_excluded(picker, rng, own[:1], 4) is not None
    others = np.flatnonzero(shelf.mask(own[0])).tolist()
    assert told.draw_excluded(picker, rng, own[:1], 4, banned=others) is None
