"""Seeds that are the same everywhere, and the engine of a rank that has none."""

from __future__ import annotations

import itertools

import pytest
import torch

from rerec_engine.rollout.base import Follower, derive_seed


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((), 5911644737314724887),
        ((0,), 3582888934675442504),
        ((0, "rollout", 0, 0), 959161616827510963),
        ((7, "rollout", 3, 1), 3360299880825804410),
    ],
    ids=str,
)
def test_a_seed_is_what_it_always_was(parts, expected):
    """A run that is resumed, and one on another machine, draw the same."""
    assert derive_seed(*parts) == expected


def test_every_part_and_its_place_count():
    parts = [(), (1,), (12,), (1, 2), (2, 1), (1, 2, 0), ("1", 2), (1, "2"), ("12",), ((1, 2),)]
    assert len({derive_seed(*each) for each in parts}) == len(parts)


def test_a_seed_has_63_bits_as_torch_takes_them():
    seeds = [derive_seed(*parts) for parts in itertools.product(range(20), repeat=2)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert max(seed.bit_length() for seed in seeds) == 63
    assert [torch.Generator().manual_seed(seed).initial_seed() for seed in seeds] == seeds


def test_a_rank_without_an_engine_gathers_weights_and_generates_nothing():
    gathered = []
    follower = Follower(lambda: (gathered.append(i) or (str(i), None) for i in range(3)))
    follower.update_weights(4)
    assert (gathered, follower.weight_version) == ([0, 1, 2, 0, 1, 2], 4)
    assert follower.generate([], 5, None) == []
    with pytest.raises(ValueError, match="without an engine"):
        follower.generate([[1]], 5, None)


def test_a_follower_gathers_at_its_start_too_with_the_version_it_is_given():
    gathered = []
    follower = Follower(lambda: (gathered.append(name) or (name, None) for name in "ab"), version=5)
    assert (gathered, follower.weight_version) == (["a", "b"], 5)
    follower.sleep()
    follower.close()
    assert gathered == ["a", "b"]
