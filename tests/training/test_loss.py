"""policy_loss and value_loss carry the settings; KL in loss or reward; micro-batches add up to the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rerec_engine import ops
from rerec_engine.config import LossConfig
from rerec_engine.training.loss import (
    join_losses,
    kl_penalty,
    linear_policy_loss,
    loss_denominator,
    merge_metrics,
    policy_loss,
    value_loss,
)

LENGTHS = np.array([3, 0, 5, 4])
CU = torch.tensor([0, 3, 3, 8, 12])
TOKENS = 12


def inputs(seed: int = 0) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    logp, old, ref, adv, entropy = torch.randn(5, TOKENS, generator=g, dtype=torch.float64) * 0.5
    return {
        "logp": logp.requires_grad_(),
        "entropy": entropy.abs().requires_grad_(),
        "old_logprobs": old,
        "ref_logprobs": ref,
        "advantages": adv,
    }


def test_every_setting_reaches_the_op() -> None:
    t = inputs()
    config = LossConfig(clip_low=0.1, clip_high=0.4, beta=0.3, kl="k2", entropy=0.07, aggregation="sequence_mean")
    loss, metrics = policy_loss(**t, config=config, cu_seqlens=CU, denominator=2.5)
    expected, expected_metrics = ops.grpo_loss(
        t["logp"],
        t["old_logprobs"],
        t["ref_logprobs"],
        t["advantages"],
        entropy=t["entropy"],
        cu_seqlens=CU,
        clip_low=0.1,
        clip_high=0.4,
        beta=0.3,
        kl="k2",
        entropy_coef=0.07,
        aggregation="sequence_mean",
        denominator=2.5,
    )
    assert torch.equal(loss, expected)
    assert metrics == expected_metrics
    for change in ({"clip_low": 0.6}, {"clip_high": 0.1}, {"beta": 0.1}, {"kl": "k3"}, {"entropy": 0.0}):
        other = LossConfig(**{**vars(config), **change})
        assert policy_loss(**t, config=other, cu_seqlens=CU, denominator=2.5)[0] != loss, change


def test_linear_form_equals_the_plain_one() -> None:
    t = inputs()
    g = torch.Generator().manual_seed(5)
    hidden = torch.randn(TOKENS, 3, generator=g, dtype=torch.float64)
    weight = torch.randn(7, 3, generator=g, dtype=torch.float64)
    targets = torch.randint(0, 7, (TOKENS,), generator=g)
    config = LossConfig(beta=0.3, entropy=0.07)
    rest = {k: t[k] for k in ("old_logprobs", "ref_logprobs", "advantages")}
    linear, metrics = linear_policy_loss(hidden, weight, targets, **rest, config=config, temperature=0.8)
    logp, entropy, _ = ops.token_logprob(hidden, weight, targets, temperature=0.8)
    plain, plain_metrics = policy_loss(logp, entropy, **rest, config=config)
    torch.testing.assert_close(linear, plain)
    torch.testing.assert_close(metrics, plain_metrics)


def test_kl_in_the_reward_is_not_in_the_loss() -> None:
    t = inputs()
    config = LossConfig(beta=0.3, kl_in="reward")
    loss, metrics = policy_loss(**t, config=config)
    without, _ = policy_loss(**{**t, "ref_logprobs": None}, config=LossConfig(beta=0.0))
    assert torch.equal(loss, without)
    assert metrics["kl"] == policy_loss(**t, config=LossConfig(beta=0.3))[1]["kl"]
    g = torch.Generator().manual_seed(5)
    hidden, weight = torch.randn(TOKENS, 3, generator=g), torch.randn(7, 3, generator=g)
    rest = {k: t[k].float() for k in ("old_logprobs", "ref_logprobs", "advantages")}
    targets = torch.randint(0, 7, (TOKENS,), generator=g)
    options = {"config": config, "temperature": 1.0}
    linear, metrics = linear_policy_loss(hidden, weight, targets, **rest, **options)
    without, _ = linear_policy_loss(hidden, weight, targets, **{**rest, "ref_logprobs": None}, **options)
    assert torch.equal(linear, without)
    assert metrics["kl"] > 0


def test_kl_penalty() -> None:
    config = LossConfig(beta=0.3, kl_in="reward", kl="k3")
    old, ref = torch.tensor([-1.0, -2.0, 0.0, -torch.inf]), torch.tensor([-3.0, -1.5, -50.0, 0.0])
    found = kl_penalty(old.requires_grad_(), ref, config)
    torch.testing.assert_close(found, 0.3 * torch.tensor([2.0, -0.5, 20.0, -20.0]))
    assert not found.requires_grad
    assert found.dtype == torch.float32
    with pytest.raises(ValueError, match="loss.kl_in reward, got 'loss'"):
        kl_penalty(old, ref, LossConfig())
    with pytest.raises(ValueError, match=r"must be \[T\]"):
        kl_penalty(old, ref[:2], config)


@pytest.mark.parametrize("how", ["reward", "k1", "k2"])
def test_gradient_of_the_kl(how: Any) -> None:
    """The KL as a penalty on the reward, and k2 in the loss, have the gradient of reward - beta KL; k1 in the loss has
    no KL in it. A token of four is drawn 1, 2, 3 and 4 times in ten by the policy itself: means over draws are exact.
    """
    counts, reward = torch.tensor([1, 2, 3, 4]), torch.tensor([2.0, -1.0, 0.5, 0.3], dtype=torch.float64)
    logits = (counts / counts.sum()).double().log().requires_grad_()
    reference = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64).log()
    logp = logits.log_softmax(0)
    draws = torch.arange(4).repeat_interleave(counts)
    beta = 0.0 if how == "k1" else 0.3
    objective = (logp.exp() * (reward - beta * (logp - reference))).sum()
    (expected,) = torch.autograd.grad(objective, logits, retain_graph=True)
    config = LossConfig(beta=0.3, kl_in="reward") if how == "reward" else LossConfig(beta=0.3, kl=how)
    old, ref, advantages = logp.detach()[draws], reference[draws], reward[draws]
    if how == "reward":
        advantages = advantages - kl_penalty(old, ref, config)
    loss, _ = policy_loss(logp[draws], None, old, ref, advantages, config)
    (found,) = torch.autograd.grad(-loss, logits)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    "aggregation, expected", [("token_mean", 12.0), ("sequence_mean", 3.0), ("dr_grpo", 4 * 768.0)]
)
def test_denominator(aggregation: Any, expected: float) -> None:
    config = LossConfig(aggregation=aggregation)
    assert loss_denominator(config, LENGTHS, 768) == expected
    assert loss_denominator(config, torch.tensor(LENGTHS), 768) == expected
    assert loss_denominator(config, [], 768) == loss_denominator(config, [0], 1) == 1.0


@pytest.mark.parametrize("aggregation", ["token_mean", "sequence_mean", "dr_grpo"])
def test_micro_batches_of_an_update_equal_the_whole(aggregation: Any) -> None:
    t = inputs(3)
    config = LossConfig(beta=0.3, entropy=0.07, aggregation=aggregation)
    denominator = loss_denominator(config, LENGTHS, 5)
    whole, whole_metrics = policy_loss(**t, config=config, cu_seqlens=CU, denominator=denominator)
    leaves = [t["logp"], t["entropy"]]
    expected = torch.autograd.grad(whole, leaves)
    parts = []
    for first, last in ((0, 2), (2, 3), (3, 4)):
        start, end = int(CU[first]), int(CU[last])
        part = {name: x[start:end] for name, x in t.items()}
        loss, metrics = policy_loss(
            **part, config=config, cu_seqlens=CU[first : last + 1] - start, denominator=denominator
        )
        loss.backward()
        parts.append(metrics)
    torch.testing.assert_close([x.grad for x in leaves], list(expected), rtol=1e-12, atol=0)
    merged = merge_metrics(parts)
    assert merged == pytest.approx({name: float(x) for name, x in whole_metrics.items()})
    if aggregation != "dr_grpo":  # whose own denominator is the longest response, not a constant
        torch.testing.assert_close(whole, policy_loss(**t, config=config, cu_seqlens=CU)[0])


def test_losses_of_parts_of_the_tokens_add_up_to_the_whole() -> None:
    generator = torch.Generator().manual_seed(0)
    logp, old, adv = (torch.randn(12, generator=generator) * 0.3 for _ in range(3))
    entropy = torch.rand(12, generator=generator)
    config, some = LossConfig(beta=0.0), torch.rand(12, generator=generator) < 0.4
    whole, metrics = policy_loss(logp, entropy, old, None, adv, config, denominator=12.0)
    parts = [policy_loss(logp, entropy, old, None, adv, config, mask=m, denominator=12.0) for m in (some, ~some)]
    loss, joined = join_losses(parts)
    assert float(loss) == pytest.approx(float(whole), rel=1e-6)
    assert {name: float(x) for name, x in joined.items()} == pytest.approx({n: float(x) for n, x in metrics.items()})


def test_merge_metrics() -> None:
    parts = [
        {"tokens": torch.tensor(1), "kl": torch.tensor(4.0), "ratio_max": torch.tensor(2.0)},
        {"tokens": torch.tensor(3), "kl": torch.tensor(0.0), "ratio_max": torch.tensor(1.0)},
    ]
    assert merge_metrics(parts) == {"tokens": 4.0, "kl": 1.0, "ratio_max": 2.0}
    assert merge_metrics([]) == {}
    assert merge_metrics([{"tokens": torch.tensor(0), "kl": torch.tensor(0.0)}]) == {"tokens": 0.0, "kl": 0.0}


def test_value_loss_by_hand() -> None:
    config = LossConfig(value_clip=0.2, value_weight=0.5)
    values = torch.tensor([1.0, 0.1, -1.0, 9.0], requires_grad=True)
    old, returns = torch.tensor([0.0, 0.0, 0.0, torch.nan]), torch.tensor([0.5, 1.0, -2.0, torch.nan])
    mask = torch.tensor([True, True, True, False])
    loss, metrics = value_loss(values, old, returns, config, mask=mask)
    # errors: free 0.25, 0.81, 1.0; clipped (0.2 - 0.5)^2 = 0.09, 0.81, (-0.2 + 2)^2 = 3.24
    assert loss.item() == pytest.approx(0.5 * (0.25 + 0.81 + 3.24) / 3)
    assert metrics["value_clip_fraction"] == pytest.approx(1 / 3)
    assert metrics["value_error"].item() == pytest.approx((0.25 + 0.81 + 1.0) / 3)
    assert metrics["tokens"] == 3
    (gradient,) = torch.autograd.grad(loss, values)
    torch.testing.assert_close(gradient, torch.tensor([0.5, -0.9, 0.0, 0.0]) / 3)


@pytest.mark.parametrize("clip", [0.05, 0.2, 1e9])
def test_value_loss_equals_the_formula(clip: float) -> None:
    g = torch.Generator().manual_seed(1)
    values, old, returns = torch.randn(3, 200, generator=g, dtype=torch.float64)
    values = (old + 0.3 * values).requires_grad_()
    loss, metrics = value_loss(values, old, returns, LossConfig(value_clip=clip, value_weight=0.7))
    total, clipped, slopes = 0.0, 0, []
    for v, o, r in zip(values.tolist(), old.tolist(), returns.tolist(), strict=True):
        free, held = (v - r) ** 2, (min(max(v, o - clip), o + clip) - r) ** 2
        total, clipped = total + max(free, held), clipped + (held > free)
        slopes.append(0.0 if held > free else 2 * (v - r))
    assert loss.item() == pytest.approx(0.7 * total / 200)
    assert metrics["value_clip_fraction"].item() == pytest.approx(clipped / 200)
    expected = 0.7 * torch.tensor(slopes, dtype=torch.float64) / 200
    torch.testing.assert_close(torch.autograd.grad(loss, values)[0], expected)
    assert (clipped > 0) == (clip < 1)


def test_value_loss_micro_batches_and_nothing() -> None:
    g = torch.Generator().manual_seed(0)
    values, old, returns = torch.randn(3, 10, generator=g, dtype=torch.float64)
    config = LossConfig()
    whole = value_loss(values, old, returns, config)[0]
    parts = [value_loss(values[s], old[s], returns[s], config, denominator=10)[0] for s in (slice(0, 3), slice(3, 10))]
    torch.testing.assert_close(sum(parts), whole)
    none = torch.zeros(0, requires_grad=True)
    assert value_loss(none, none, none, config)[0] == 0
    with pytest.raises(ValueError, match="returns must be"):
        value_loss(values, old, returns[:3], config)
