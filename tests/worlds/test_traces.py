"""The teacher's reasoning."""

from __future__ import annotations

import numpy as np

from rerec_engine.types import CATEGORIES
from rerec_engine.worlds.beliefs import Beliefs
from rerec_engine.worlds.options import TraceOptions
from rerec_engine.worlds.requests import DemoQuery, draw_query, split_of
from rerec_engine.worlds.traces import asked, make_traces, trace

SEED = 5


def test_a_teacher_without_beliefs_is_always_right(world):
    rng = np.random.default_rng(1)
    for i in range(200):
        query, believed = draw_query(world, CATEGORIES[i % 5], "train", SEED, rng)
        assert trace(world, query, believed, rng).endswith(f"\\boxed{{ {world.titles[query.target]}}}")


def test_a_teacher_with_beliefs_is_often_wrong(world):
    rng = np.random.default_rng(1)
    beliefs = Beliefs.about(world, 0.5, 0.65, 0)
    right = 0
    for i in range(300):
        query, believed = draw_query(world, CATEGORIES[i % 5], "train", SEED, rng, beliefs=beliefs)
        right += trace(world, query, believed, rng, beliefs).endswith(f"\\boxed{{ {world.titles[query.target]}}}")
    assert 90 < right < 210


def test_a_trace_checks_candidate_by_candidate(world):
    facts, titles = world.facts, world.titles
    wanted = {"Genre": facts[3]["Genre"], "Directed_by": facts[3]["Directed_by"]}
    wrong = next(i for i in range(200) if facts[i]["Genre"] != wanted["Genre"])
    same = [i for i in range(200) if facts[i]["Genre"] == wanted["Genre"]]
    half = next(i for i in same if facts[i]["Directed_by"] != wanted["Directed_by"])
    query = DemoQuery("explicit", "Find it", wanted, "", 3, (wrong, half, 3, 9), 0)
    genre, director = wanted.values()
    assert trace(world, query, wanted, np.random.default_rng(0)).split("\n") == [
        f" need {genre} {director}",
        f"1) {titles[wrong]} {facts[wrong]['Genre']} no",
        f"2) {titles[half]} {genre} yes {facts[half]['Directed_by']} no",
        f"3) {titles[3]} {genre} yes {director} yes",
        f"\\boxed{{ {titles[3]}}}",
    ]


def test_a_list_goes_on_with_what_came_nearest(world):
    facts, titles = world.facts, world.titles
    wanted = {"Genre": facts[3]["Genre"], "Directed_by": facts[3]["Directed_by"]}
    wrong = next(i for i in range(200) if facts[i]["Genre"] != wanted["Genre"])
    same = [i for i in range(200) if facts[i]["Genre"] == wanted["Genre"]]
    half = next(i for i in same if facts[i]["Directed_by"] != wanted["Directed_by"])
    query = DemoQuery("explicit", "Find it", wanted, "", 3, (wrong, half, 3, 9), 0)
    for listed, named in ((1, [3]), (3, [3, half, wrong]), (4, [3, half, wrong, 9]), (9, [3, half, wrong, 9])):
        last = trace(world, query, wanted, np.random.default_rng(0), listed=listed).split("\n")[-1]
        assert last == f"\\boxed{{ {' ; '.join(titles[i] for i in named)}}}"
    assert (asked("Find it", 1), asked("Find it", 3)) == ("Find it", "Find it ; name 3")


def test_phases_come_in_order_and_leak_nothing(world):
    options = TraceOptions(short_traces=10, medium_traces=5, full_traces=5, biased_traces=5)
    made = make_traces(world, options, 12, SEED)
    assert [t.phase for t in made] == ["short"] * 10 + ["medium"] * 5 + ["full"] * 5 + ["biased"] * 5
    shown = [t.prompt[0]["content"].count("\n") for t in made]
    assert max(shown[:10]) <= 6
    assert set(shown[15:]) == {12}
    assert made == make_traces(world, options, 12, SEED)
    assert {split_of({"Genre": "war"}, seed) for seed in range(50)} == {"train", "val", "test"}
