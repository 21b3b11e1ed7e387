"""The records that pass between rooms."""

from __future__ import annotations

import math

import pytest

from rerec_engine.errors import UserError
from rerec_engine.types import Sampling


@pytest.mark.parametrize("temperature", [0.0, 0.01, 1.0, 5.0])
def test_a_temperature_at_which_engines_draw(temperature):
    assert Sampling(1, temperature).temperature == temperature


@pytest.mark.parametrize("temperature", [1e-39, 0.0099, -1.0, math.inf, math.nan])
def test_another_is_refused(temperature):
    with pytest.raises(UserError, match=r"temperature must be 0 \(greedy\), or 0.01 or more, got"):
        Sampling(1, temperature)


def test_a_part_of_a_call_has_its_own_candidates():
    whole = Sampling(4, 0.5, seed=3, first=10, candidates=[(1,), (), (2, 3)])
    part = whole.part(slice(1, 3))
    assert part == Sampling(4, 0.5, seed=3, first=11, candidates=[(), (2, 3)])
    assert Sampling(4).part(slice(2, 3)) == Sampling(4, first=2)
