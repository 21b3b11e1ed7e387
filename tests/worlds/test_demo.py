"""The demo's world and queries: solvable, hard enough, and no leak from test to train."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest

from rerec_engine.data.dataset import load_dataset
from rerec_engine.data.traces import read_traces
from rerec_engine.errors import UserError
from rerec_engine.types import CATEGORIES
from rerec_engine.worlds.demo import write_demo
from rerec_engine.worlds.requests import Beliefs, draw_query, split_of, trace
from rerec_engine.worlds.world import make_world

SEED = 5
SMALL = {"films": 40, "books": 40, "users": 40, "train_queries": 15, "val_queries": 5, "test_queries": 15} | {
    "short_traces": 5, "medium_traces": 5, "full_traces": 5, "biased_traces": 5, "embedding_epochs": 1, "candidates": 10
}  # fmt: skip


@pytest.fixture(scope="module")
def world():
    return make_world(SEED)


def test_world_is_the_seeds(world):
    assert make_world(SEED) == world
    assert make_world(SEED + 1) != world
    assert len(set(world.titles)) == len(world.titles) == 300
    bare = {title.removeprefix("The ").split(" (")[0] for title in world.titles}
    assert len(bare) == 300  # no two titles differ in the article or the year alone
    assert world.interactions().shape == (300, 300)


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


@pytest.mark.parametrize("domain", ["film", "book"])
def test_queries_of_one_domain(tmp_path, domain):
    write_demo(tmp_path / "d", SEED, **SMALL, domain=domain)
    dataset = load_dataset(tmp_path / "d")
    world = make_world(SEED, 40, 40, 40)
    for split in ("train", "test"):
        queries = dataset.queries(split)
        assert {query.category for query in queries} == set(CATEGORIES)
        assert {world.domain[i] for query in queries for i in (*query.ground_truth, *query.candidates)} == {domain}


def test_taste_told_and_untold_are_the_same_queries(tmp_path):
    for taste in ("told", "untold"):
        write_demo(tmp_path / taste, SEED, **SMALL, taste=taste)
    world = make_world(SEED, 40, 40, 40)
    told, untold = (load_dataset(tmp_path / taste).queries("test") for taste in ("told", "untold"))
    for with_taste, without in zip(told, untold, strict=True):
        assert (with_taste.candidates, with_taste.ground_truth) == (without.candidates, without.ground_truth)
        text, bare = (query.messages[0]["content"].split("\n")[0] for query in (with_taste, without))
        genre = world.facts[with_taste.ground_truth[0]]["Genre"]
        assert text.startswith("I liked ")
        assert text.endswith(f". {bare} like them")
        assert bare.split()[-2] == genre
        tempting = [i for i in without.candidates if world.facts[i]["Genre"] == genre]
        assert len(tempting) >= 2  # the words alone do not decide


def test_unknown_domain_or_taste(tmp_path):
    for options in ({"domain": "song"}, {"taste": "bad"}):
        with pytest.raises(UserError, match="domain is film or book and taste told or untold"):
            write_demo(tmp_path / "d", **options)


def test_a_teacher_without_beliefs_is_always_right(world):
    rng = np.random.default_rng(1)
    for i in range(200):
        query, believed = draw_query(world, CATEGORIES[i % 5], "train", SEED, rng)
        assert trace(world, query, believed, rng).endswith(f"\\boxed{{ {world.titles[query.target]}}}")


def test_a_teacher_with_beliefs_is_often_wrong_in_a_systematic_way(world):
    rng = np.random.default_rng(1)
    beliefs = Beliefs.about(world, 0.5, 0.65, 0)
    assert 120 < len(beliefs.genre) < 250
    confused = {world.facts[item]["Genre"]: genre for item, genre in beliefs.genre.items()}
    assert len(confused) == 4
    assert all(confused[world.facts[item]["Genre"]] == genre for item, genre in beliefs.genre.items())
    assert all(world.facts[item]["Genre"] != genre for item, genre in beliefs.genre.items())
    right = 0
    for i in range(300):
        query, believed = draw_query(world, CATEGORIES[i % 5], "train", SEED, rng, beliefs=beliefs)
        right += trace(world, query, believed, rng, beliefs).endswith(f"\\boxed{{ {world.titles[query.target]}}}")
    assert 90 < right < 210


def test_dataset_directory(mini_demo):
    dataset = load_dataset(mini_demo)
    assert dataset.splits == ("train", "val", "test")
    sets = {}
    for split in dataset.splits:
        rows = pq.read_table(mini_demo / f"{split}.parquet").to_pylist()
        sets[split] = {tuple(row["extra_info"]["conditions"]) for row in rows}
        queries = dataset.queries(split)
        assert Counter(q.category for q in queries) == dict.fromkeys(CATEGORIES, len(queries) // 5)
        for query in queries:
            assert len(query.candidates) == 6
            assert set(query.ground_truth) <= set(query.candidates)
            assert all(dataset.titles[i] in query.messages[0]["content"] for i in query.candidates)
    assert not sets["train"] & (sets["val"] | sets["test"])
    assert not sets["val"] & sets["test"]
    phases = [t.phase for t in read_traces(mini_demo / "warm_start.parquet")]
    assert list(dict.fromkeys(phases)) == ["short", "medium", "full", "biased"]


def test_sizes_that_cannot_be(tmp_path):
    with pytest.raises(UserError, match="40 or more films"):
        write_demo(tmp_path / "x", films=10)
