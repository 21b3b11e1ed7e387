"""Templates, and which of them are kept for val and test."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.worlds.catalogue import grammar
from rerec_engine.worlds.catalogue.english import pieces_of
from rerec_engine.worlds.catalogue.grammar import Templates, seen

LISTS = {name: own for name, own in vars(grammar).items() if isinstance(own, tuple) and name.isupper()}
SLOTS = {
    "FRAMES": {"{np}"},
    "REASONS": set(),
    "CLOSINGS": set(),
    "MISINFORMED": {"{via}", "{fact}", "{wish}"},
    "INTEREST": {"{liked}", "{wish}"},
    "DEMOGRAPHICS": {"{group}", "{wish}"},
}


@pytest.mark.parametrize("name", SLOTS)
def test_templates_are_distinct_and_have_their_slots_once(name: str) -> None:
    own = LISTS[name]
    assert len({template.casefold() for template in own}) == len(own)
    for template in own:
        slots = [piece for piece in pieces_of(template) if piece.startswith("{")]
        assert sorted(slots) == sorted(SLOTS[name]), template
        assert " ".join(pieces_of(template)).replace(" ", "") == template.replace(" ", "")  # nothing gets lost


def test_no_request_begins_with_a_title() -> None:
    """In a closed form first words are tokens of their own."""
    first = {template.split()[0] for name in SLOTS for template in LISTS[name]}
    assert {word for word in first if word.startswith("{")} == {"{np}", "{np},"}


def test_every_list_is_looked_at() -> None:
    assert set(LISTS) == set(SLOTS)


@pytest.mark.parametrize("name", SLOTS)
def test_a_fifth_is_held_out(name: str) -> None:
    common, held_out = seen(LISTS[name])
    assert len(held_out) == len(LISTS[name]) // 5 >= 1
    assert sorted([*common, *held_out]) == sorted(LISTS[name])


@given(st.lists(st.text("abc {}", max_size=9), unique=True, max_size=30), st.randoms(use_true_random=False))
def test_what_is_held_out_depends_on_the_templates_alone(own: list[str], random: object) -> None:
    shuffled = sorted(own, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert set(seen(own)[1]) == set(seen(shuffled)[1])


@pytest.mark.parametrize("name", SLOTS)
@pytest.mark.parametrize("unseen", [False, True])
def test_a_split_draws_all_of_its_templates_and_no_others(name: str, unseen: bool) -> None:
    templates, rng = Templates(LISTS[name]), np.random.default_rng(0)
    drawn = {templates.draw(rng, unseen) for _ in range(40 * len(LISTS[name]))}
    assert drawn == set(seen(LISTS[name])[unseen])


@pytest.mark.parametrize("unseen", [False, True])
def test_parts_that_do_not_fit_are_avoided(unseen: bool) -> None:
    templates, rng = Templates(grammar.FRAMES), np.random.default_rng(0)
    but = ("there is", "Is there", "is {np}", "{np} ", "{np} for me")
    drawn = {templates.draw(rng, unseen, but) for _ in range(500)}
    assert not any(part in template for template in drawn for part in but)
    assert len(drawn) > 5
