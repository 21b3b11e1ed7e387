"""The curriculum queue: no query lost, order, mastery, probes, restarts, exact state."""

from __future__ import annotations

import json
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.config import CurriculumConfig
from rerec_engine.errors import UserError
from rerec_engine.training.curriculum import CurriculumQueue, query_difficulty

SETTINGS = st.fixed_dictionaries(
    {
        "num_queries": st.integers(1, 30),
        "queries_per_step": st.integers(1, 12),
        "seed": st.integers(-3, 2**40),
        "tau": st.sampled_from([0.0, 0.1, 0.5, 1.0]),
        "probe_share": st.sampled_from([0.0, 0.05, 0.3, 1.0]),
        "enabled": st.booleans(),
    }
)
GRADES = st.sampled_from([0.0, 0.05, 0.1, 0.3, 0.5, 0.9, 1.0, 1.5])


def make(num_queries: int, queries_per_step: int, seed: int = 0, **config: object) -> CurriculumQueue:
    return CurriculumQueue(num_queries, CurriculumConfig(**config), queries_per_step, seed)


def run(queue: CurriculumQueue, steps: int, difficulty: dict[int, float]) -> list[list[int]]:
    batches = []
    for _ in range(steps):
        batches.append(queue.next_batch())
        queue.report(batches[-1], [difficulty[i] for i in batches[-1]])
    return batches


@pytest.mark.slow
@given(SETTINGS, st.data())
def test_no_query_is_lost_and_no_mastered_one_asked_without_reason(settings: dict, data: st.DataObject) -> None:
    queue = make(**settings)
    everyone, size = set(range(queue.num_queries)), min(settings["queries_per_step"], settings["num_queries"])
    last_seen = dict.fromkeys(everyone, 0)
    for _ in range(25):
        before = queue.counts()
        batch = queue.next_batch()
        state = queue.state_dict()
        mastered = set(state["mastered"])
        assert len(batch) == len(set(batch)) == size
        assert set(batch) <= everyone
        asked_again = [q for q in batch if q in mastered]
        assert not asked_again or (settings["enabled"] and settings["probe_share"] > 0)
        assert len(asked_again) + len(mastered & set(state["pending"])) <= state["probed"]
        assert len(state["pending"]) == len(set(state["pending"]))
        last_seen |= dict.fromkeys(batch, state["epoch"])
        for query in everyone - mastered:  # an active query waits in the queue, or had its turn this epoch or the last
            assert query in state["pending"] or state["epoch"] - last_seen[query] <= 1
        after = queue.counts()
        assert after["active"] + after["mastered"] == queue.num_queries
        assert after["active"] >= size
        assert after["epoch"] - before["epoch"] in (0, 1)
        queue.report(batch, data.draw(st.lists(GRADES, min_size=size, max_size=size)))


@pytest.mark.slow
@given(SETTINGS, st.data())
def test_order_is_ascending_behind_the_rest_of_the_last_epoch(settings: dict, data: st.DataObject) -> None:
    queue = make(**settings | {"enabled": True})
    grades = data.draw(st.lists(GRADES, min_size=queue.num_queries, max_size=queue.num_queries))
    for _ in range(20):
        old = queue.state_dict()
        batch = queue.next_batch()
        new = queue.state_dict()
        if new["epoch"] > old["epoch"]:
            order = batch + new["pending"]
            assert order[: len(old["pending"])] == old["pending"]
            known = [np.inf if new["difficulty"][q] is None else new["difficulty"][q] for q in order]
            assert known[len(old["pending"]) :] == sorted(known[len(old["pending"]) :])
        queue.report(batch, [grades[q] for q in batch])


@given(SETTINGS, st.integers(0, 12), st.booleans(), st.integers(0, 2**32 - 1))
def test_state_continues_exactly_from_any_point(settings: dict, steps: int, between: bool, seed: int) -> None:
    grades = np.random.default_rng(seed).uniform(-0.5, 1.5, settings["num_queries"]).tolist()
    queue = make(**settings)
    run(queue, steps, dict(enumerate(grades)))
    pending = queue.next_batch() if between else None
    other = make(**settings | {"seed": 5})
    other.load_state_dict(json.loads(json.dumps(queue.state_dict())))
    assert other.state_dict() == queue.state_dict()
    for q in (queue, other):
        if pending is not None:
            q.report(pending, [grades[i] for i in pending])
    assert run(other, 15, dict(enumerate(grades))) == run(queue, 15, dict(enumerate(grades)))
    assert other.counts() == queue.counts()


def test_state_shares_nothing_with_the_queue() -> None:
    queue = make(10, 3)
    state = queue.state_dict()
    text = json.dumps(state)
    run(queue, 7, dict.fromkeys(range(10), 0.2))
    assert json.dumps(state) == text


def test_first_epoch_is_a_seeded_shuffle() -> None:
    orders = {tuple(chain(*run(make(12, 4, seed), 3, dict.fromkeys(range(12), 1.0)))) for seed in range(5)}
    assert len(orders) == 5
    assert all(sorted(order) == list(range(12)) for order in orders)
    assert make(12, 4, 3).next_batch() == make(12, 4, 3).next_batch()


@pytest.mark.parametrize("seed", range(4))
def test_mastered_are_dropped_and_the_rest_sorted(seed: int) -> None:
    difficulty = {q: q / 10 for q in range(10)}  # 0 is below tau, 1 is exactly tau and stays
    queue = make(10, 3, seed, tau=0.1, probe_share=0.0)
    first = run(queue, 3, difficulty)
    (left,) = set(range(10)) - set(chain(*first))
    second = run(queue, 3, difficulty)
    rest = [q for q in range(10) if q != left and q != 0]
    assert list(chain(*second)) == [left, *rest][:9]
    assert queue.counts()["mastered"] == (0 if left == 0 else 1)


def test_after_a_restart_an_old_difficulty_masters_nothing() -> None:
    queue = make(4, 4)
    run(queue, 1, dict.fromkeys(range(4), 0.0))
    queue.next_batch()
    assert queue.counts()["restarts"] == 1
    queue.report([0, 1, 2], [0.5, 0.5, 0.5])
    queue.next_batch()
    assert queue.counts()["restarts"] == 1
    assert queue.counts()["mastered"] == 0


def test_forgotten_query_is_readmitted_by_a_probe_and_all_are_probed_in_turn() -> None:
    queue = make(20, 5, tau=0.1, probe_share=0.25)
    difficulty = {q: 0.0 if q < 8 else 0.5 for q in range(20)}
    run(queue, 4, difficulty)
    queue.next_batch()
    assert queue.counts()["mastered"] == 8
    assert queue.counts()["probed"] == 2
    asked = set()
    for _ in range(16):
        asked |= set(run(queue, 1, difficulty)[0]) & set(range(8))
    assert asked == set(range(8))
    difficulty |= dict.fromkeys(range(8), 0.4)  # all forgotten
    readmitted = 0
    epoch = queue.counts()["epoch"]
    for _ in range(40):
        run(queue, 1, difficulty)
        if queue.counts()["epoch"] > epoch:
            epoch = queue.counts()["epoch"]
            readmitted += queue.counts()["readmitted"]
    assert readmitted == 8
    assert queue.counts()["mastered"] == 0


def test_start_again_when_less_than_a_batch_is_left() -> None:
    queue = make(10, 4, probe_share=0.0)
    difficulty = dict.fromkeys(range(10), 0.0)
    run(queue, 2, difficulty)
    queue.next_batch()
    assert queue.counts()["restarts"] == 1
    assert queue.counts()["active"] == 10


def test_fewer_queries_than_a_batch() -> None:
    queue = make(3, 8)
    assert [sorted(batch) for batch in run(queue, 5, dict.fromkeys(range(3), 0.0))] == [[0, 1, 2]] * 5


def test_disabled_shuffles_every_epoch_and_drops_nothing() -> None:
    queue = make(40, 40, enabled=False)
    epochs = run(queue, 3, dict.fromkeys(range(40), 0.0))
    assert all(sorted(epoch) == list(range(40)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert queue.counts() == {
        "epoch": 2,
        "active": 40,
        "mastered": 0,
        "readmitted": 0,
        "probed": 0,
        "restarts": 0,
        "easy": 40,
        "medium": 0,
        "hard": 0,
        "unmeasured": 0,
        "mean_difficulty": 0.0,
    }


def test_queries_never_reported_come_last_and_stay() -> None:
    queue = make(6, 6)
    batch = queue.next_batch()
    queue.report([4, 2], [0.9, 0.3])
    assert sorted(batch) == list(range(6))
    assert [queue.counts()[name] for name in ("easy", "medium", "hard", "unmeasured")] == [1, 0, 1, 4]
    assert queue.next_batch() == [2, 4, 0, 1, 3, 5]


@pytest.mark.parametrize(
    "indices, difficulties, message",
    [
        ([1, 2], [0.1, np.nan], "query 2"),
        ([7], [0.1], "query 7"),
        ([-1], [0.1], "query -1"),
        ([0], [np.inf], "query 0"),
    ],
)
def test_bad_report_names_the_query_and_records_nothing(indices: list, difficulties: list, message: str) -> None:
    queue = make(5, 2)
    before = queue.state_dict()
    with pytest.raises(ValueError, match=message):
        queue.report(indices, difficulties)
    assert queue.state_dict() == before
    with pytest.raises(ValueError):
        queue.report([1, 2], [0.1])


@pytest.mark.parametrize("change", [{"num_queries": 6}, {"version": 0}])
def test_state_of_another_run_is_refused(change: dict) -> None:
    with pytest.raises(UserError, match="does not fit"):
        make(5, 2).load_state_dict(make(5, 2).state_dict() | change)
    with pytest.raises(UserError, match="does not fit"):
        make(5, 2).load_state_dict({})


def test_query_difficulty_is_the_mean_over_the_group() -> None:
    found = query_difficulty(np.array([1.0, 0.0, -0.5, -0.5], dtype=np.float32), np.array([0, 0, 1, 1]))
    np.testing.assert_array_equal(found, [0.5, 1.5])
    with pytest.raises(ValueError, match="response 1"):
        query_difficulty(np.array([1.0, np.nan]), np.array([0, 0]))
    with pytest.raises(ValueError, match="group 1 has no response"):
        query_difficulty(np.array([1.0, 0.5]), np.array([0, 2]))
    with pytest.raises(ValueError, match="group 1 has no response"):
        query_difficulty(np.array([1.0]), np.array([0]), num_queries=2)
