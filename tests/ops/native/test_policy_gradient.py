"""The loss of log-probs on a CPU against float64: instruction sets, parts, responses, gradients kept for one pass."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from linear_problem import OPTIONS, assert_relative, runs

from rerec_engine import _core, ops
from rerec_engine.ops.native.policy_gradient import LossSums, Precomputed, grpo_loss, shared_ratios
from rerec_engine.ops.objective import Objective
from rerec_engine.ops.types import LossTokens

CU = torch.tensor([0, 2, 2, 5, 6])
MASK = torch.tensor([True, False, True, True, True, False])


def six_tokens() -> tuple[torch.Tensor, LossTokens]:
    g = torch.Generator().manual_seed(2)
    logp, old, ref, adv = torch.randn(4, 6, generator=g) * 0.3
    return logp, LossTokens(old, ref, adv, MASK, CU)


@pytest.mark.parametrize(
    "options", [o for o in OPTIONS if not {"temperature", "skip_zero_advantage"} & set(o)], ids=str
)
@pytest.mark.parametrize("tokens", [1, 7, 16, 17, 1100])
def test_loss_of_log_probs_equals_float64(level: str, tokens: int, options: dict) -> None:
    """Every instruction set, whole vectors and rests of them, blocks and a rest; log-ratios beyond the clamp."""
    g = torch.Generator().manual_seed(tokens)
    names = ("logp", "old", "ref", "adv", "entropy")
    t = dict(zip(names, torch.randn(len(names), tokens, generator=g) * 0.3, strict=True))
    t["old"][::11] -= 25.0
    t["ref"][::13] += 25.0
    bounds = {"cu_seqlens": torch.tensor([0, tokens // 3, tokens]), "cu_runs": runs(tokens)}
    options = {"mask": torch.arange(tokens) % 6 != 5, **bounds, **options}
    exact = {k: x.double() for k, x in t.items()}
    for leaves in (t, exact):
        leaves["logp"].requires_grad_()
        leaves["entropy"].requires_grad_()
    loss, metrics = ops.grpo_loss(**t, **options)
    expected, expected_metrics = ops.grpo_loss(**exact, **options)
    assert loss.item() == pytest.approx(expected.item(), rel=2e-6, abs=2e-6)
    assert metrics.keys() == expected_metrics.keys()
    for name, x in metrics.items():
        assert x.item() == pytest.approx(float(expected_metrics[name]), rel=1e-5, abs=1e-6), name
    asked = ["logp", "entropy"] if "entropy_coef" in options else ["logp"]
    found = torch.autograd.grad(loss, [t[name] for name in asked])
    for a, b in zip(found, torch.autograd.grad(expected, [exact[name] for name in asked]), strict=True):
        assert_relative(a, b, 1e-5)


@pytest.mark.parametrize("place", [0, 16, 36])
def test_nan_in_a_token_reaches_loss_and_metrics(level: str, place: int) -> None:
    logp, old = torch.zeros(2, 37)
    logp[place] = torch.nan
    loss, metrics = ops.grpo_loss(logp, old, None, torch.ones(37))
    assert loss.isnan()
    assert all(x.isnan() for name, x in metrics.items() if "ratio" in name or name == "approx_kl")


@pytest.mark.parametrize("aggregation", ["token_mean", "sequence_mean", "dr_grpo"])
@pytest.mark.parametrize("parts", [[[0], [2, 3, 4]], [[4, 0], [], [3, 2]]], ids=str)
def test_parts_add_up_to_the_batch(aggregation: Any, parts: list[list[int]]) -> None:
    logp, tokens = six_tokens()
    objective = Objective(beta=0.1, entropy_coef=0.2, aggregation=aggregation)
    entropy = torch.linspace(0.5, 1.5, 6)
    leaves = [x.clone().requires_grad_() for x in (logp, entropy)]
    loss, metrics = grpo_loss(*leaves, tokens, objective)
    expected = torch.autograd.grad(loss, leaves)
    sums, found = LossSums(tokens, objective), [torch.zeros(6), torch.zeros(6)]
    for part in parts:
        index = torch.tensor(part, dtype=torch.int64)
        for whole, gradient in zip(found, sums.add(index, logp[index], entropy[index]), strict=True):
            whole[index] = gradient
    torch.testing.assert_close(sums.loss(), loss.detach(), rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(found, list(expected))
    assert sums.metrics(entropy=True).keys() == metrics.keys()
    for name, x in sums.metrics(entropy=True).items():
        assert x.item() == pytest.approx(metrics[name].item(), rel=1e-6), name


def test_metrics_of_two_tokens_by_hand() -> None:
    """Ratios 2, which is clipped, and 1/2, which is not: its advantage is positive too, and the minimum is the free."""
    tokens = LossTokens(torch.zeros(2), torch.zeros(2), torch.ones(2))
    sums = LossSums(tokens, Objective())
    gradient, bonus = sums.add(None, torch.tensor([math.log(2), -math.log(2)]), torch.tensor([0.25, 0.75]))
    assert bonus is None
    torch.testing.assert_close(gradient, torch.tensor([0.0, -0.25]))  # -h A / 2
    assert sums.loss().item() == pytest.approx(-(1.2 + 0.5) / 2)
    found = {name: x.item() for name, x in sums.metrics(entropy=True).items()}
    k3 = (2 - math.log(2) - 1 + 0.5 + math.log(2) - 1) / 2
    ratios = {"ratio_mean": 1.25, "ratio_square_mean": (4 + 0.25) / 2, "ratio_max": 2.0}
    gaps = {"log_ratio_mean": math.log(2), "log_ratio_max": math.log(2)}
    expected = {**ratios, **gaps, "clip_fraction": 0.5, "approx_kl": k3, "kl": k3, "entropy": 0.5, "tokens": 2}
    assert found == pytest.approx(expected)


def test_log_ratio_of_a_response_is_the_mean_of_its_kept_tokens() -> None:
    logp, tokens = six_tokens()
    dirty = logp.masked_fill(~MASK, torch.nan)
    difference = (logp.double() - tokens.old.double()).tolist()
    middle = sum(difference[2:5]) / 3
    found = shared_ratios(dirty, tokens, "sequence")
    assert found.dtype == torch.float32
    assert found.tolist() == pytest.approx([difference[0]] * 2 + [middle] * 3 + [0.0], rel=1e-6)
    found = shared_ratios(dirty, tokens._replace(cu_runs=torch.tensor([0, 1, 2, 4, 6])), "entry")
    pair = (difference[2] + difference[3]) / 2
    assert found.tolist() == pytest.approx([difference[0], 0.0, pair, pair, difference[4], difference[4]], rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_narrow_log_probs_are_widened_and_their_gradient_is_narrow(dtype: torch.dtype) -> None:
    logp, tokens = six_tokens()
    narrow = logp.to(dtype).requires_grad_()
    wide = narrow.detach().double().requires_grad_()
    exact = LossTokens(*(x.double() for x in tokens[:3]), MASK, CU)
    loss, _ = grpo_loss(narrow, None, tokens, Objective(beta=0.1))
    expected, _ = ops.grpo_loss(wide, *exact[:3], mask=MASK, beta=0.1)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    (found,), (truth,) = torch.autograd.grad(loss, narrow), torch.autograd.grad(expected, wide)
    assert found.dtype == dtype
    assert torch.equal(found, truth.float().to(dtype))


def test_every_second_number_of_a_longer_row() -> None:
    logp, tokens = six_tokens()
    given = [logp, logp.exp(), *tokens[:3]]
    strided = [torch.stack([x, torch.full_like(x, 9.0)], 1)[:, 0] for x in given]
    assert not any(x.is_contiguous() for x in strided)
    objective = Objective(beta=0.1, entropy_coef=0.1)
    (found, metrics), (expected, same) = (grpo_loss(*x[:2], LossTokens(*x[2:]), objective) for x in (strided, given))
    assert torch.equal(found, expected)
    assert metrics == same


@pytest.mark.parametrize("aggregation", ["token_mean", "sequence_mean", "dr_grpo"])
def test_a_given_denominator_takes_the_place_of_the_batchs_own(aggregation: Any) -> None:
    """4 tokens are kept; 2 responses have some; 4 responses of at most 3 tokens."""
    logp, tokens = six_tokens()
    own = {"token_mean": 4, "sequence_mean": 2, "dr_grpo": 12}[aggregation]
    objective = Objective(aggregation=aggregation)
    whole, _ = grpo_loss(logp, None, tokens, objective)
    for denominator in (7.0, torch.tensor(7.0)):
        found, _ = grpo_loss(logp, None, tokens._replace(denominator=denominator), objective)
        assert found.item() == pytest.approx(whole.item() * own / 7, rel=1e-6)


def test_a_known_gradient_is_scaled_and_given_out_once() -> None:
    first, second = torch.zeros(2, requires_grad=True), torch.zeros(1, dtype=torch.bfloat16, requires_grad=True)
    loss = Precomputed.apply(torch.tensor(5.0), torch.tensor([1.0, -2.0]), torch.tensor([3.0]), first, second)
    (3 * loss).backward(retain_graph=True)
    assert loss.item() == 5.0
    assert first.grad.tolist() == [3.0, -6.0]
    assert second.grad.dtype == torch.bfloat16
    assert second.grad.tolist() == [9.0]
    with pytest.raises(
        RuntimeError, match="gradients of this loss were kept for one backward pass, and it has been made"
    ):
        loss.backward()


def test_sums_of_another_length_are_refused() -> None:
    x = np.zeros(1, np.float32)
    with pytest.raises(ValueError, match="sums must be"):
        _core.policy_tokens(x, x, x, x, None, None, None, 0.2, 0.2, 0.0, "k3", 0.0, x.copy(), np.zeros(8))
