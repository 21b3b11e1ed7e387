"""The demo's invented world."""

from __future__ import annotations

import numpy as np
import pytest

from rerec_engine.errors import UserError
from rerec_engine.worlds.world import WORDING, make_world

SEED = 5


def test_world_is_the_seeds(world):
    assert make_world(SEED) == world
    assert make_world(SEED + 1) != world
    assert len(set(world.titles)) == len(world.titles) == 300
    bare = {title.removeprefix("The ").split(" (")[0] for title in world.titles}
    assert len(bare) == 300  # no two titles differ in the article or the year alone
    assert world.interactions().shape == (300, 300)


def test_matches_counts_the_conditions_that_hold(world):
    facts = world.facts[0]
    (other,) = {*world.relations[world.domain[0]]} - {"Genre", *list(facts)[1:2]}
    items = np.array([0, 1, 2])
    asked = {"Genre": facts["Genre"], other: facts[other]}
    expected = [sum(world.facts[i].get(r) == v for r, v in asked.items()) for i in items]
    assert expected[0] == 2
    assert world.matches(items, asked).tolist() == expected


def test_every_relation_can_be_said(world):
    assert {relation for facts in world.facts for relation in facts} <= set(WORDING)


def test_sizes_that_cannot_be():
    with pytest.raises(UserError, match="40 or more films"):
        make_world(0, films=10)
    with pytest.raises(UserError, match="at most 400 items, got 300 \\+ 101"):
        make_world(0, films=300, books=101)
