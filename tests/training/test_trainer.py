"""A run's parts saved and restored as one, on a queue, an optimizer and random states that have moved."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest
import torch

from rerec_engine.config import Config, CurriculumConfig, OptimConfig, RolloutConfig, TrainConfig
from rerec_engine.model.critic import Critic
from rerec_engine.model.policy import load_policy
from rerec_engine.model.ranks import Ranks
from rerec_engine.rollout.base import Follower
from rerec_engine.runs.checkpoint import checkpoint_steps
from rerec_engine.runs.run_directory import RunDir
from rerec_engine.training.curriculum import CurriculumQueue
from rerec_engine.training.rollout_worker import RolloutWorker
from rerec_engine.training.trainer import Trainer
from rerec_engine.training.update import Updater
from rerec_engine.types import Query, Rollout


class Engine(Follower):
    """Answers with the end token; `closed`: how often it was."""

    closed = 0

    def generate(self, prompts, n, sampling):
        return [Rollout([1], [-1.0], "stop", 0) for _ in prompts for _ in range(n)]

    def close(self):
        self.closed += 1


CONFIG = dataclasses.replace(
    Config(),
    curriculum=CurriculumConfig(enabled=False),
    optim=OptimConfig(learning_rate=1e-3),
    rollout=RolloutConfig(responses_per_query=1, overlap=True),
    train=TrainConfig(queries_per_step=2, keep_checkpoints=2),
)


def trainer_of(policy, path, ranks=None, critic=False):
    queries = [Query(str(i), (), (0,)) for i in range(9)]
    queue = CurriculumQueue(len(queries), CONFIG.curriculum, 2, seed=0)
    worker = RolloutWorker(Engine(list), queue, queries, [[5]] * 9, lambda batch: batch, CONFIG)
    updater = Updater(policy, CONFIG, None, Critic(policy) if critic else None)
    return Trainer(CONFIG, ranks or Ranks(), RunDir(path), None, policy, None, worker, updater)


def move(trainer):
    """A step of both optimizers and of the queue, and a draw of every generator."""
    for optimizer in trainer.updater.optimizers.values():
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.randn_like(parameter)
        optimizer.step()
        optimizer.zero_grad()
    trainer.step += 1
    return trainer.worker.queue.next_batch(), random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002


def weights(policy):
    return torch.cat([parameter.detach().flatten() for parameter in policy.model.parameters()])


@pytest.fixture
def saved(tiny_policy, tmp_path):
    """A trainer after two steps, the second saved, with responses drawn ahead."""
    trainer = trainer_of(tiny_policy(), tmp_path)
    move(trainer), move(trainer)
    trainer.worker.look_ahead(3)
    trainer.updater.skipped = 4
    trainer.save()
    return trainer


def test_restored_it_goes_on_as_the_one_that_was_saved(saved, tmp_path):
    expected = [move(saved) for _ in range(2)]
    checkpoint = tmp_path / "checkpoints" / "step_2"
    again = trainer_of(load_policy(str(checkpoint), "cpu"), tmp_path)
    torch.manual_seed(99)
    assert not again.resumed
    again.restore(checkpoint)
    assert (again.step, again.resumed, again.updater.skipped) == (2, True, 4)
    assert again.worker.state_dict()["ahead"] == saved.worker.state_dict()["ahead"] is not None
    assert [move(again) for _ in range(2)] == expected
    assert torch.equal(weights(again.policy), weights(saved.policy))  # the moments of AdamW too


@pytest.mark.slow
def test_a_critic_and_its_optimizer_come_back(tiny_policy, tmp_path):
    trainer = trainer_of(tiny_policy(), tmp_path, critic=True)
    move(trainer)
    trainer.save()
    checkpoint = tmp_path / "checkpoints" / "step_1"
    again = trainer_of(load_policy(str(checkpoint), "cpu"), tmp_path, critic=True)
    again.restore(checkpoint)
    move(trainer)
    torch.set_rng_state(torch.load(checkpoint / "trainer.pt", weights_only=True)["rng"][0]["torch"])
    move(again)
    ours, theirs = (dict(each.updater.critic.named_parameters()) for each in (again, trainer))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("critic", [False, True], ids=["alone", "with a critic"])
def test_saved_before_any_update_it_goes_on_alike(tiny_policy, tmp_path, critic):
    """As where no group has taught anything yet: there are no moments, and AdamW's own count of steps is 0."""
    trainer = trainer_of(tiny_policy(), tmp_path, critic=critic)
    trainer.save()
    move(trainer)
    checkpoint = tmp_path / "checkpoints" / "step_0"
    again = trainer_of(load_policy(str(checkpoint), "cpu"), tmp_path, critic=critic)
    again.restore(checkpoint)
    move(again)
    assert again.step == 1
    assert torch.equal(weights(again.policy), weights(trainer.policy))


def test_a_rank_that_the_run_did_not_have_keeps_its_random_states(saved, tmp_path):
    checkpoint = tmp_path / "checkpoints" / "step_2"
    again = trainer_of(load_policy(str(checkpoint), "cpu"), tmp_path, Ranks(rank=1))
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    again.restore(checkpoint)
    assert torch.equal(torch.rand(3), expected)


def test_the_newest_checkpoints_stay(saved, tmp_path):
    for _ in range(3):
        move(saved)
        saved.save()
    assert checkpoint_steps(tmp_path / "checkpoints") == [4, 5]


def test_closed_it_frees_the_engine(saved):
    saved.close()
    assert saved.worker.engine.closed == 1
    with pytest.raises(RuntimeError, match="after shutdown"):
        saved.worker.look_ahead(4)
