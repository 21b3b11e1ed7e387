"""The critic: one value a response token, learnt without touching the policy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rerec_engine.config import AdvantageConfig, LossConfig
from rerec_engine.model.critic import Critic
from rerec_engine.training.advantage import token_advantages
from rerec_engine.training.loss import value_loss

ROWS = [([5, 6, 7], [8, 9]), ([5], [10]), ([6, 7], np.array([9, 11, 12]))]
CU = np.array([0, 2, 3, 6])


def test_starts_at_zero_and_is_called_as_a_module(tiny_policy):
    critic = Critic(tiny_policy())
    called = []
    critic.register_forward_pre_hook(lambda *_: called.append(1))  # as FSDP does
    values = critic(ROWS)
    assert torch.equal(values, torch.zeros(6))
    assert values.dtype == torch.float32
    assert called


def test_a_value_sees_the_tokens_before_its_own_and_none_after(tiny_policy):
    critic = Critic(tiny_policy())
    torch.nn.init.normal_(critic.head.weight)
    with torch.no_grad():
        values = critic(ROWS)
        torch.testing.assert_close(critic(ROWS[:1]), values[:2])
        other = critic([([5, 6, 7], [8, 13]), ([5], [12]), ([7, 7], ROWS[2][1])])
    torch.testing.assert_close(other[:3], values[:3])  # only tokens that are drawn later differ
    assert (other[3:] - values[3:]).abs().min() > 1e-4


def test_gradient_flows_into_the_critic_alone(tiny_policy):
    policy = tiny_policy()
    critic = Critic(policy)
    torch.nn.init.normal_(critic.head.weight)
    assert not {p.data_ptr() for p in critic.parameters()} & {p.data_ptr() for p in policy.model.parameters()}
    loss, _ = value_loss(critic(ROWS), torch.zeros(6), torch.ones(6), LossConfig())
    loss.backward()
    assert all(p.grad is None for p in policy.model.parameters())
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in critic.head.parameters())
    assert sum(float(p.grad.abs().max()) > 0 for p in critic.body.parameters() if p.grad is not None) > 5


@pytest.mark.slow
@pytest.mark.parametrize("lam", [1.0, 0.95])
def test_learns_the_value_of_what_was_drawn(tiny_policy, lam):
    """The reward is 1 after token 8 or 10 as a response's first token, else 0: not known before it, known behind it."""
    rows = [([5, 6], [first, 20, 21]) for first in (8, 9, 10, 11)]
    cu, rewards = np.arange(5) * 3, np.array([1.0, 0.0, 1.0, 0.0], dtype=np.float32)
    critic = Critic(tiny_policy())
    config = AdvantageConfig(estimator="gae", gae_lambda=lam)
    optimizer = torch.optim.AdamW(critic.parameters(), lr=1e-2)
    errors = []
    for _ in range(60):
        old = critic(rows).detach()
        returns = token_advantages(None, rewards, cu, np.zeros(4, int), config, values=old).returns
        for _ in range(2):
            loss, metrics = value_loss(critic(rows), old, returns, LossConfig())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        errors.append(float(metrics["value_error"]))
    assert np.mean(errors[-5:]) < errors[0] / 3
    values = critic(rows).detach().view(4, 3)
    torch.testing.assert_close(values[:, 0], torch.full((4,), 0.5), atol=0.15, rtol=0)
    torch.testing.assert_close(values[:, 2], torch.from_numpy(rewards), atol=0.15, rtol=0)
