from __future__ import annotations

import numpy as np

from rerec_engine.worlds.beliefs import NOTHING, Beliefs


def test_a_share_of_the_genres_is_taken_for_another(world):
    beliefs = Beliefs.about(world, 0.5, 0.65, 0)
    assert 120 < len(beliefs.genre) < 250
    confused = {world.facts[item]["Genre"]: genre for item, genre in beliefs.genre.items()}
    assert len(confused) == 4
    assert all(confused[world.facts[item]["Genre"]] == genre for item, genre in beliefs.genre.items())
    assert all(world.facts[item]["Genre"] != genre for item, genre in beliefs.genre.items())


def test_wrong_genres_are_told_at_the_rate(world):
    beliefs, rng = Beliefs({0: "opera"}, 0.65), np.random.default_rng(0)
    told = [beliefs.tell(world, 0, "Genre", rng) for _ in range(1000)]
    assert 600 < told.count("opera") < 700
    assert set(told) == {"opera", world.facts[0]["Genre"]}
    assert beliefs.tell(world, 1, "Genre", rng) == world.facts[1]["Genre"]
    assert beliefs.tell(world, 0, "Song", rng) == NOTHING
