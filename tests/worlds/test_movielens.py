"""Real films and users as a world of the demo: nothing held out is told, and every query can be answered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rerec_engine.data.dataset import load_dataset
from rerec_engine.errors import UserError
from rerec_engine.types import CATEGORIES
from rerec_engine.worlds.beliefs import Beliefs
from rerec_engine.worlds.movielens import (
    FilmOptions,
    NextItemOptions,
    _group,
    movielens_world,
    next_item,
    write_film_requests,
    write_next_item,
)
from rerec_engine.worlds.requests import draw_query
from rerec_engine.worlds.traces import trace


def test_world_of_films(folder):
    world = movielens_world(folder, min_ratings=1)
    assert len(world.titles) == 60  # the film without a year is left out
    assert world.titles[0] == "Film 1 (1950)"
    assert world.facts[0] == {"Genre": "drama", "Made_in": "1950", "Second_genre": "romance"}
    assert world.facts[1] == {"Genre": "comedy", "Made_in": "1950"}
    assert world.genres == ("comedy", "crime", "drama", "war")
    assert len(world.history) == 25  # user 25 has fewer than five
    first = [(7 + k * 5) % 60 for k in reversed(range(12))]  # user 1, oldest first
    assert world.history[0] == tuple(first[:-2])
    assert world.held_out[0] == tuple(first[-2:])
    assert world.user_group[0] == ("young", "writer")
    assert world.user_group[-1] == ("senior", "pensioner")
    assert set(world.group_genre) == {("young", "writer"), ("senior", "pensioner")}
    assert len(movielens_world(folder, min_ratings=5).titles) < 60


@pytest.mark.parametrize("category", CATEGORIES)
def test_requests_have_one_right_candidate(folder, category):
    world = movielens_world(folder, min_ratings=1)
    rng = np.random.default_rng(0)
    for _ in range(20):
        query, believed = draw_query(world, category, "train", 0, rng, candidates=8)
        right = [i for i in query.candidates if all(world.facts[i].get(r) == v for r, v in query.conditions.items())]
        assert right == [query.target]
        assert believed == query.conditions
        told = trace(world, query, believed, rng, Beliefs())
        assert world.titles[query.target] in told


def test_next_items_of_every_split(folder):
    world = movielens_world(folder, min_ratings=1)
    rng = np.random.default_rng(0)
    for user in range(len(world.history)):
        whole = (*world.history[user], *world.held_out[user])
        for split, place in (("test", len(whole) - 1), ("val", len(whole) - 2), ("train", None)):
            query = next_item(world, split, user, rng, candidates=8, length=3)
            at = whole.index(query.target) if place is None else place
            assert query.target == whole[at]
            assert query.liked == whole[max(0, at - 3) : at]
            assert at < len(whole) - 2 or split != "train"  # what is held out is never a train query's
            assert len(set(query.candidates)) == 8
            assert set(query.candidates) & set(whole) == {query.target}
            told = " and ".join(world.titles[i] for i in query.liked)
            assert query.text == f"I liked {told} . Find a movie like them"


def test_dataset_of_next_items(folder, tmp_path, small):
    write_next_item(tmp_path / "d", NextItemOptions(**small, movielens=folder, history=3, min_ratings=1))
    data, world = load_dataset(tmp_path / "d"), movielens_world(folder, min_ratings=1)
    for split, count in (("train", 30), ("val", 12), ("test", 24)):
        queries = data.queries(split)
        assert len(queries) == count
        assert {q.category for q in queries} == {"sequential"}
        for query in queries:
            val, test = world.held_out[query.user_id]
            assert query.messages[0]["content"].count("Film ") == len(query.history) + 8
            assert query.ground_truth[0] == {"val": val, "test": test}.get(split, query.ground_truth[0])
            assert split == "test" or test not in (*query.ground_truth, *query.history)
            assert split != "train" or val not in (*query.ground_truth, *query.history)
    assert len({q.user_id for q in data.queries("test")}) == 24  # everyone once before anyone twice
    met = data.interactions.toarray() > 0
    for user, (val, test) in enumerate(world.held_out):
        assert not met[user, [val, test]].any()


def test_dataset_of_requests_over_films(folder, tmp_path, small):
    write_film_requests(tmp_path / "d", FilmOptions(**small, movielens=folder, min_ratings=1))
    data, world = load_dataset(tmp_path / "d"), movielens_world(folder, min_ratings=1)
    assert {q.category for q in data.queries("train")} == set(CATEGORIES)
    assert data.titles == world.titles
    assert (data.source_ids[:2], data.user_ids[:2]) == (("1", "2"), ("1", "2"))
    assert data.item_of("60") == 59
    assert data.user_of("26") == 24
    said = data.description
    assert (said.noun, said.form, said.kinds, said.invented) == ("movie", "sentences", {}, False)
    assert list(said.relations) == ["Genre", "Made_in", "Second_genre"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"movielens": Path("nowhere")}, "nowhere: no such directory"),
        ({"min_ratings": 1000}, "0 films have 1000 ratings, a year and a genre; 40 are needed"),
    ],
)
def test_what_is_amiss_is_told(folder, tmp_path, small, options, message):
    for kind, write in ((FilmOptions, write_film_requests), (NextItemOptions, write_next_item)):
        with pytest.raises(UserError, match=message):
            write(tmp_path / "d", kind(**{**small, "movielens": folder, **options}))


def test_ratings_without_times_are_refused(shared_data):
    with pytest.raises(UserError, match="has no times"):
        movielens_world(shared_data / "ml-1m")


def test_movielens_100k(shared_data):
    world = movielens_world(shared_data / "ml-100k")
    assert len(world.titles) == len(world.facts) == 604
    assert len(world.history) == len(world.held_out) == 943
    assert len(world.group_genre) > 10
    assert all(len({*own, *last}) == len(own) + 2 for own, last in zip(world.history, world.held_out, strict=True))


@pytest.mark.parametrize(
    ("profile", "group"),
    [
        ("24 years old, male, technician", ("young", "technician")),
        ("25-34 years old, male, retired", ("young", "pensioner")),
        ("under 18 years old, female, school student", ("young", "school student")),
        ("56 or more years old, female, writer", ("senior", "writer")),
        ("45-49 years old, male", ("", "")),
        ("", ("", "")),
    ],
)
def test_groups_of_both_copies(profile, group):
    """ML-1M tells groups of ages."""
    assert _group(profile) == group
