"""The worker between queue and engine: what is asked, what is reported, what a bad engine leads to."""

from __future__ import annotations

import dataclasses
import threading

import pytest
import torch

from rerec_engine.config import Config, CurriculumConfig, RolloutConfig, TrainConfig
from rerec_engine.errors import RunError
from rerec_engine.training.batches import ScoredBatch
from rerec_engine.training.clock import Clock
from rerec_engine.training.curriculum import CurriculumQueue
from rerec_engine.training.rollout_worker import RolloutWorker
from rerec_engine.types import Query, Rollout


class Counting:
    """An engine whose response to prompt [i] is [i, step of its weights]."""

    def __init__(self):
        self.weight_version, self.weights, self.calls, self.slept, self.closed = 0, 0, [], 0, False
        self.may_answer = threading.Event()
        self.may_answer.set()

    def generate(self, prompts, n, sampling):
        assert self.may_answer.wait(10)
        self.calls.append((list(prompts), sampling))
        return [
            Rollout([p[0], self.weights], [-1.0, -1.0], "stop", self.weight_version) for p in prompts for _ in range(n)
        ]

    def update_weights(self, version):
        self.weights += 1
        self.weight_version = version

    def sleep(self):
        self.slept += 1

    def close(self):
        self.closed = True


def score(batch):
    even = batch.token_ids[batch.cu_seqlens[:-1]] % 2 == 0
    first = torch.arange(len(even)) % 2 == 0
    scores = {"reward": (even & first).float(), "ndcg": even.float()}
    return ScoredBatch(**vars(batch), scores=scores, token_rewards=torch.zeros(len(batch.token_ids)))


class Numbering:
    """Orders whose prompt tells the seed that they were drawn from: [the query's number, seed]."""

    def draw(self, query, prompt, seed):
        return dataclasses.replace(query, candidates=(seed,)), [*prompt, seed]


def worker_of(engine=None, queries=12, orders=None, **rollout):
    config = dataclasses.replace(
        Config(),
        rollout=RolloutConfig(responses_per_query=2, **rollout),
        train=TrainConfig(queries_per_step=4, steps=3),
        curriculum=CurriculumConfig(enabled=False),
    )
    asked = [Query(str(i), (), (0,)) for i in range(queries)]
    queue = CurriculumQueue(queries, config.curriculum, 4, seed=0)
    return RolloutWorker(engine or Counting(), queue, asked, [[i] for i in range(queries)], score, config, None, orders)


def test_results_go_back_to_the_queue():
    worker = worker_of()
    clock = Clock()
    batch = worker.next_batch(1, clock)
    asked = [int(query.id) for query in batch.queries]
    expected = [i % 2 for i in asked]  # difficulty 1 - ndcg
    assert worker.queue._difficulty[asked].tolist() == expected
    assert clock.seconds().keys() == {"rollout", "reward", "total"}
    assert batch.weight_version.tolist() == [0] * 8
    assert worker.engine.slept == 1


def test_one_step_ahead_is_drawn_with_the_weights_before_the_update():
    engine = Counting()
    worker = worker_of(engine, overlap=True)
    first = worker.next_batch(1, Clock())
    engine.may_answer.clear()
    worker.look_ahead(2)
    assert len(engine.calls) == 1  # it has not been answered, and nobody waits
    engine.may_answer.set()
    worker.update_weights(1)
    second = worker.next_batch(2, Clock())
    assert second.token_ids[1::2].tolist() == [0] * 8
    assert (second.weight_version == 0).all()
    assert not {q.id for q in first.queries} & {q.id for q in second.queries}
    worker.look_ahead(3)
    worker.update_weights(2)
    third = worker.next_batch(3, Clock())
    assert third.token_ids[1::2].tolist() == [1] * 8
    assert (third.weight_version == 1).all()
    worker.look_ahead(4)
    assert len(engine.calls) == 3  # the run has three steps


def test_what_was_drawn_ahead_is_part_of_the_state():
    worker, other = worker_of(overlap=True), worker_of(overlap=True)
    worker.next_batch(1, Clock())
    worker.look_ahead(2)
    state = worker.state_dict()
    other.load_state_dict(state)
    a, b = worker.next_batch(2, Clock()), other.next_batch(2, Clock())
    assert torch.equal(a.token_ids, b.token_ids)
    assert other.engine.calls == []


def test_dynamic_sampling_draws_on_up_to_the_cap():
    worker = worker_of(dynamic_sampling=True, max_draws=3)
    batch = worker.next_batch(1, Clock())
    assert len(worker.engine.calls) in (2, 3)
    assert len(batch.queries) <= 4
    assert all(int(query.id) % 2 == 0 for query in batch.queries)
    assert len({sampling.seed for _, sampling in worker.engine.calls}) == len(worker.engine.calls)


@pytest.mark.parametrize("rollout", [{}, {"overlap": True}, {"dynamic_sampling": True, "max_draws": 3}])
def test_a_fresh_order_is_what_is_asked_scored_and_drawn_again_after_a_resume(rollout):
    worker, other = (worker_of(orders=Numbering(), **rollout) for _ in range(2))
    first = worker.next_batch(1, Clock())
    worker.look_ahead(2)
    worker.update_weights(1)
    other.load_state_dict(worker.state_dict())
    second, again = worker.next_batch(2, Clock()), other.next_batch(2, Clock())
    assert second.prompt_ids == again.prompt_ids
    asked = {tuple(prompt) for prompts, _ in worker.engine.calls for prompt in prompts}
    for batch in (first, second):
        assert {tuple(prompt) for prompt in batch.prompt_ids} <= asked
        assert [query.candidates for query in batch.queries] == [(seed,) for _, seed in batch.prompt_ids]
    seeds = [seed for _, seed in asked]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("spoil", [lambda r: [], lambda r: r[:-1], lambda r: [*r[:-1], Rollout([], [], "stop", 0)]])
@pytest.mark.parametrize("overlap", [False, True])
def test_an_engine_that_returns_nothing_is_a_clear_error(spoil, overlap):
    engine = Counting()
    worker = worker_of(engine, overlap=overlap)
    worker.next_batch(1, Clock())
    whole = engine.generate
    engine.generate = lambda *arguments: spoil(whole(*arguments))
    worker.look_ahead(2)
    with pytest.raises(RunError, match="the rollout engine returned"):
        worker.next_batch(2, Clock())


def test_an_error_in_the_background_comes_up_and_close_ends_the_engine():
    engine = Counting()
    worker = worker_of(engine, overlap=True)

    def fails(*_):
        raise RunError("the engine is gone")

    engine.generate = fails
    worker.look_ahead(1)
    with pytest.raises(RunError, match="gone"):
        worker.next_batch(1, Clock())
    worker.close()
    assert engine.closed
