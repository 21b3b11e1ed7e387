"""Requests: solvable, hard enough, and no leak from test to train."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from rerec_engine.errors import UserError
from rerec_engine.types import CATEGORIES
from rerec_engine.worlds.requests import draw_query, liked_text, personal, split_of

SEED = 5


@pytest.mark.parametrize("category", CATEGORIES)
def test_queries_have_one_right_candidate_and_hard_wrong_ones(world, category):
    rng = np.random.default_rng(0)
    hard = 0
    for _ in range(60):
        query, believed = draw_query(world, category, "train", SEED, rng)
        right = [i for i in query.candidates if all(world.facts[i].get(r) == v for r, v in query.conditions.items())]
        assert right == [query.target]
        assert len(set(query.candidates)) == 20
        assert believed == query.conditions  # without beliefs, the teacher understands the query
        assert split_of(query.conditions, SEED) == "train"
        hits = world.matches(np.array([i for i in query.candidates if i != query.target]), query.conditions)
        hard += (hits > 0).sum() >= 3
        if category == "interest":
            assert query.target not in query.liked
    assert hard > 50


def test_a_condition_set_lies_in_one_split():
    sets = [{"Genre": genre, "Starring": f"A{i}"} for i in range(200) for genre in ("war", "drama")]
    splits = [split_of(own, 0) for own in sets]
    assert {name: splits.count(name) > 20 for name in ("train", "val", "test")} == dict.fromkeys(splits, True)
    assert splits == [split_of(dict(reversed(own.items())), 0) for own in sets]
    assert splits != [split_of(own, 1) for own in sets]


def test_unknown_category(world):
    with pytest.raises(ValueError, match="category must be one of"):
        draw_query(world, "song", "train", SEED, np.random.default_rng(0))


def test_a_world_that_has_no_such_request(world):
    """No two items share a value but their genre, and a set of conditions lies in one split alone."""
    facts = tuple({r: v if r == "Genre" else f"{v} {i}" for r, v in own.items()} for i, own in enumerate(world.facts))
    alone, rng = replace(world, facts=facts), np.random.default_rng(0)
    with pytest.raises(UserError, match=r"^no interest request of the val split can be made: too few of the 300 items"):
        draw_query(alone, "interest", "val", SEED, rng)
    assert draw_query(alone, "explicit", "val", SEED, rng)[0].category == "explicit"


def test_what_was_liked_is_told(world):
    assert liked_text(world, (0, 1), "Find a film") == (
        f"I liked {world.titles[0]} and {world.titles[1]} . Find a film like them"
    )


def test_personal_candidates_are_of_the_genre_asked_for(world):
    rng = np.random.default_rng(3)
    query, _ = draw_query(world, "interest", "train", SEED, rng)
    own = personal(world, query, rng, told=False, count=8)
    assert own.text in query.text
    assert "I liked" not in own.text
    assert (len(own.candidates), own.target in own.candidates) == (8, True)
    genres = [world.facts[i]["Genre"] for i in own.candidates]
    assert genres.count(query.conditions["Genre"]) >= 4
    right = [i for i in own.candidates if all(world.facts[i].get(r) == v for r, v in query.conditions.items())]
    assert right == [query.target]


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_article_is_that_of_the_next_word(world, category):
    facts = tuple({**own, "Genre": f"e{own['Genre']}"} for own in world.facts)
    groups = {group: f"e{genre}" for group, genre in world.group_genre.items()}
    own, rng = replace(world, facts=facts, group_genre=groups), np.random.default_rng(1)
    texts = [draw_query(own, category, "train", SEED, rng)[0].text for _ in range(20)]
    assert [text for text in texts if re.search(r" a e\w| an [bf]", text)] == []
    assert category == "demographics" or any(re.search(r" an e\w+ (?:film|book)", text) for text in texts)
