"""The specification of the linear loss is a composition: log_softmax in float64, skipped rows, a given buffer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from loss_inputs import AGGREGATIONS, MASK, RUNS, TOKENS, linear_inputs

from rerec_engine.ops import grpo_loss, linear_grpo_loss, token_logprob


def test_linear_loss_is_the_composition() -> None:
    inputs, options = linear_inputs()
    leaves = [inputs["hidden"], inputs["weight"]]
    loss, metrics = linear_grpo_loss(**inputs, **options, temperature=0.7, softcap=5.0, workspace_mb=5e-4)
    z = 5 * torch.tanh(inputs["hidden"] @ inputs["weight"].T / 5) / 0.7
    full = torch.log_softmax(z, -1)
    logp, entropy = full.gather(1, inputs["targets"][:, None]).squeeze(1), -(full.exp() * full).sum(1)
    expected, expected_metrics = grpo_loss(
        logp, inputs["old"], inputs["ref"], inputs["adv"], entropy=entropy, **options
    )
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(metrics, expected_metrics)
    found = torch.autograd.grad(loss, leaves)
    torch.testing.assert_close(found, torch.autograd.grad(expected, leaves))
    assert not found[0][~MASK].any()


@pytest.mark.parametrize("ratio", ["token", "entry", "sequence"])
def test_linear_loss_gradcheck(ratio: str) -> None:
    inputs, options = linear_inputs()
    if ratio != "token":  # its value moves with all tokens that share it, its gradient goes to each alone
        options |= {"ratio": ratio, "cu_runs": RUNS}
        found, composed = (f(inputs, options) for f in (linear_gradient, composed_gradient))
        torch.testing.assert_close(found, composed)
        return

    def f(hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return linear_grpo_loss(**{**inputs, "hidden": hidden, "weight": weight}, **options, workspace_mb=1e-3)[0]

    assert torch.autograd.gradcheck(f, (inputs["hidden"], inputs["weight"]))


def linear_gradient(inputs: dict[str, torch.Tensor], options: dict[str, Any]) -> tuple[torch.Tensor, ...]:
    loss, _ = linear_grpo_loss(**inputs, **options)
    return torch.autograd.grad(loss, [inputs["hidden"], inputs["weight"]])


def composed_gradient(inputs: dict[str, torch.Tensor], options: dict[str, Any]) -> tuple[torch.Tensor, ...]:
    logp, entropy, _ = token_logprob(inputs["hidden"], inputs["weight"], inputs["targets"], rows=options["mask"])
    loss, _ = grpo_loss(logp, inputs["old"], inputs["ref"], inputs["adv"], entropy=entropy, **options)
    return torch.autograd.grad(loss, [inputs["hidden"], inputs["weight"]])


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_skipped_rows_change_metrics_alone(aggregation: str) -> None:
    inputs, options = linear_inputs()
    options |= {"beta": 0.0, "entropy_coef": 0.0, "aggregation": aggregation}
    inputs["adv"][6:9] = 0.0
    loss, _ = linear_grpo_loss(**inputs, **options)
    skipped, metrics = linear_grpo_loss(**inputs, **options, skip_zero_advantage=True)
    torch.testing.assert_close(skipped, loss)
    leaves = [inputs["hidden"], inputs["weight"]]
    torch.testing.assert_close(torch.autograd.grad(skipped, leaves), torch.autograd.grad(loss, leaves))
    rows = MASK & (inputs["adv"] != 0)
    assert int(metrics["tokens"]) == int(rows.sum())
    logp = token_logprob(inputs["hidden"], inputs["weight"], inputs["targets"]).logp.detach()
    assert metrics["log_ratio_max"] == pytest.approx((logp - inputs["old"])[rows].abs().max().item())


def test_weight_gradient_goes_into_a_given_buffer() -> None:
    inputs, options = linear_inputs()
    expected = linear_gradient(inputs, options)
    buffer = torch.ones(9, 4)
    loss, _ = linear_grpo_loss(**inputs, **options, grad_weight_out=buffer)
    torch.testing.assert_close(buffer, 1 + expected[1].float())
    torch.testing.assert_close(torch.autograd.grad(loss, inputs["hidden"])[0], expected[0])


def test_entropy_bonus_has_its_gradient() -> None:
    """With zero advantages and no KL, what is left is the gradient of the mean entropy."""
    inputs, _ = linear_inputs()
    inputs |= {"adv": torch.zeros(TOKENS, dtype=torch.float64)}
    loss, _ = linear_grpo_loss(**inputs, entropy_coef=1.0)
    entropy = token_logprob(inputs["hidden"], inputs["weight"], inputs["targets"]).entropy
    found = torch.autograd.grad(loss, inputs["hidden"])[0]
    assert found.abs().max() > 1e-3
    torch.testing.assert_close(found, -torch.autograd.grad(entropy.mean(), inputs["hidden"])[0])
