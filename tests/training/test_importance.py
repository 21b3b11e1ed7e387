"""Importance weights: the formula, bounds, and what they do to the gradient of a policy that a biased sampler drew."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.config import LossConfig
from rerec_engine.training.importance import effective_sample_size, mismatch, truncated_weights
from rerec_engine.training.loss import policy_loss

LOGPROBS = st.lists(st.tuples(*[st.floats(-60, 0)] * 2), min_size=1, max_size=20)


def pair(logprobs: list[tuple[float, float]]) -> tuple[torch.Tensor, torch.Tensor]:
    old, rollout = torch.tensor(logprobs, dtype=torch.float64).unbind(1)
    return old, rollout


@given(LOGPROBS, st.floats(0.1, 1e9))
def test_weights_equal_the_formula(logprobs: list[tuple[float, float]], cap: float) -> None:
    weights = truncated_weights(*pair(logprobs), cap)
    expected = [min(math.exp(min(max(p - q, -20.0), 20.0)), cap) for p, q in logprobs]
    assert weights.dtype == torch.float32
    assert weights.tolist() == pytest.approx(expected, rel=1e-6)
    assert float(weights.max()) <= cap * (1 + 1e-7)


@given(LOGPROBS)
def test_mismatch_equals_the_formula(logprobs: list[tuple[float, float]]) -> None:
    found = mismatch(*pair(logprobs))
    gaps = [abs(p - q) for p, q in logprobs]
    weights = [math.exp(min(max(p - q, -20.0), 20.0)) for p, q in logprobs]
    share = sum(weights) ** 2 / (len(weights) * sum(w * w for w in weights))
    assert found["logprob_mismatch_mean"] == pytest.approx(sum(gaps) / len(gaps))
    assert found["logprob_mismatch_max"] == max(gaps)
    assert found["effective_sample_size"] == pytest.approx(share)
    assert 0 < found["effective_sample_size"] <= 1


def test_equal_log_probs_weigh_one() -> None:
    logp = torch.randn(50)
    assert torch.equal(truncated_weights(logp, logp, 1.0), torch.ones(50))
    none = {"logprob_mismatch_mean": 0.0, "logprob_mismatch_max": 0.0, "effective_sample_size": 1.0}
    assert mismatch(logp, logp) == none
    assert mismatch(logp[:0], logp[:0]) == none
    assert truncated_weights(logp[:0], logp[:0], 2.0).shape == (0,)


def test_effective_sample_size_is_that_of_the_loss() -> None:
    g = torch.Generator().manual_seed(0)
    old, rollout = torch.randn(2, 40, generator=g, dtype=torch.float64)
    _, metrics = policy_loss(old, None, rollout, None, torch.ones(40, dtype=torch.float64), LossConfig(beta=0.0))
    found = effective_sample_size(float(metrics["ratio_mean"]), float(metrics["ratio_square_mean"]))
    assert found == pytest.approx(mismatch(old, rollout)["effective_sample_size"])
    assert effective_sample_size(0.0, 0.0) == 1.0
    assert effective_sample_size(1.0, 1.0 - 1e-12) == 1.0


def test_weights_have_no_gradient_and_nothing_hides_a_nan() -> None:
    old, rollout = torch.zeros(2, 3)
    assert not truncated_weights(old.requires_grad_(), rollout, 2.0).requires_grad
    rollout[1] = torch.nan
    assert truncated_weights(old, rollout, 2.0).isnan().tolist() == [False, True, False]
    assert all(math.isnan(x) for x in mismatch(old, rollout).values())


def test_extreme_log_probs_stay_finite() -> None:
    old, rollout = torch.tensor([0.0, -torch.inf, -1e30]), torch.tensor([-torch.inf, 0.0, 0.0])
    weights = truncated_weights(old, rollout, 2.0)
    assert weights.tolist() == pytest.approx([2.0, math.exp(-20), math.exp(-20)])
    assert 0 < mismatch(old, rollout)["effective_sample_size"] < 1


class Bandit:
    """One token of four, drawn by a sampler that is not the policy: 1, 2, 3 and 4 times in ten, exactly."""

    actions = torch.tensor([0, 1, 1, 2, 2, 2, 3, 3, 3, 3])
    behaviour = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64).log()
    reward = torch.tensor([2.0, -1.0, 0.5, 0.3], dtype=torch.float64)

    def __init__(self) -> None:
        self.logits = torch.tensor([1.0, 0.2, -0.3, 0.1], dtype=torch.float64, requires_grad=True)

    def logprobs(self) -> torch.Tensor:
        return self.logits.log_softmax(0)

    def exact(self) -> torch.Tensor:
        """The gradient of the expected reward."""
        return torch.autograd.grad((self.logprobs().exp() * self.reward).sum(), self.logits)[0]

    def estimate(self, old: torch.Tensor, weights: torch.Tensor | float) -> torch.Tensor:
        """The mean over the sampler's draws of the update's gradient; the ten draws are its whole distribution."""
        logp, advantages = self.logprobs()[self.actions], self.reward[self.actions] * weights
        loss, _ = policy_loss(logp, None, old[self.actions], None, advantages, LossConfig(beta=0.0))
        return -torch.autograd.grad(loss, self.logits)[0]

    def weights(self, cap: float) -> torch.Tensor:
        old = self.logprobs().detach()
        return truncated_weights(old[self.actions], self.behaviour[self.actions], cap)


def test_a_large_cap_makes_the_gradient_of_a_biased_sampler_the_policys() -> None:
    bandit = Bandit()
    own = bandit.logprobs().detach()
    torch.testing.assert_close(bandit.estimate(own, bandit.weights(100.0)), bandit.exact(), rtol=1e-6, atol=1e-7)
    assert bandit.weights(100.0).max() > 4


@pytest.mark.parametrize("against", ["trainer", "sampler"])
def test_without_weights_it_is_not(against: str) -> None:
    """Against the trainer's log-probs the draws are taken for the policy's; against the sampler's the clip acts."""
    bandit = Bandit()
    old = bandit.logprobs().detach() if against == "trainer" else bandit.behaviour
    error = (bandit.estimate(old, 1.0) - bandit.exact()).norm() / bandit.exact().norm()
    assert error > 0.3


def test_truncation_trades_bias_for_bounded_weights() -> None:
    bandit = Bandit()
    own, errors = bandit.logprobs().detach(), []
    for cap in (1.0, 2.0, 4.0, 8.0):
        weights = bandit.weights(cap)
        assert float(weights.max()) <= cap
        errors.append(float((bandit.estimate(own, weights) - bandit.exact()).norm()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-6 < errors[-2]


@pytest.mark.parametrize("cap", [0.0, -1.0, math.nan])
def test_bad_cap(cap: float) -> None:
    with pytest.raises(ValueError, match="cap must be > 0"):
        truncated_weights(torch.zeros(2), torch.zeros(2), cap)


@pytest.mark.parametrize("other", [torch.zeros(3), torch.zeros(2, 1)], ids=str)
def test_bad_shapes(other: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"must be \[T\]"):
        truncated_weights(torch.zeros(2), other, 2.0)
    with pytest.raises(ValueError, match=r"must be \[T\]"):
        mismatch(other, torch.zeros(2))
