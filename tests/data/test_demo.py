"""The demo's world and queries: solvable, hard enough, and no leak from test to train."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest

from rerec_engine.data.dataset import load_dataset
from rerec_engine.data.demo import write_demo
from rerec_engine.data.demo_queries import Beliefs, draw_query, split_of, trace
from rerec_engine.data.demo_world import make_world
from rerec_engine.data.traces import read_traces
from rerec_engine.errors import UserError
from rerec_engine.types import CATEGORIES

SEED = 5


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
