"""The specification of the loss against a loop in float64: formula, GSPO, gradients, micro-batches, masks."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from loss_inputs import AGGREGATIONS, CU, LENGTHS, MASK, RUNS, TOKENS, make

from rerec_engine.ops import grpo_loss


def by_hand(t: dict[str, torch.Tensor], mask: torch.Tensor, **o: Any) -> float:
    """The documented loss, token by token, from Python floats."""
    total, tokens, sequences = 0.0, 0, 0
    for start, end in pairwise(CU.tolist()):
        terms = []
        for i in range(start, end):
            if mask[i]:
                logp, old, ref, adv, entropy = (t[k][i].item() for k in ("logp", "old", "ref", "adv", "entropy"))
                h, x = math.exp(logp - old), ref - logp
                clipped = min(max(h, 1 - o["clip_low"]), 1 + o["clip_high"])
                kl = {"k1": -x, "k2": x * x / 2, "k3": math.exp(x) - x - 1}[o["kl"]]
                terms.append(-min(h * adv, clipped * adv) + o["beta"] * kl - o["entropy_coef"] * entropy)
        tokens += len(terms)
        sequences += bool(terms)
        if terms:
            total += sum(terms) / (len(terms) if o["aggregation"] == "sequence_mean" else 1)
    divisor = {"token_mean": tokens, "sequence_mean": sequences, "dr_grpo": len(LENGTHS) * max(LENGTHS)}
    return total / divisor[o["aggregation"]]


@pytest.mark.slow
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("kl", ["k1", "k2", "k3"])
@pytest.mark.parametrize("clip_high", [0.2, 0.28])
@pytest.mark.parametrize("mask", [torch.ones(TOKENS).bool(), MASK], ids=["all", "masked"])
def test_equals_the_formula(aggregation: str, kl: str, clip_high: float, mask: torch.Tensor) -> None:
    options = {"clip_low": 0.2, "clip_high": clip_high, "beta": 0.04, "kl": kl, "entropy_coef": 0.1}
    t = make()
    loss, _ = grpo_loss(**t, **options, mask=mask, cu_seqlens=CU, aggregation=aggregation)
    assert loss.item() == pytest.approx(by_hand(t, mask, **options, aggregation=aggregation), rel=1e-12)


@pytest.mark.parametrize("mask", [torch.ones(TOKENS).bool(), MASK], ids=["all", "masked"])
def test_sequence_ratio_is_gspo(mask: torch.Tensor) -> None:
    """With one advantage a response, loss and gradient are those of GSPO's own objective (arXiv 2507.18071, eq. 5)."""
    t = make(4)
    adv = torch.tensor([0.7, 9.0, -1.3, 0.4, -0.2], dtype=torch.float64)
    t["adv"] = adv.repeat_interleave(CU.diff())
    loss, metrics = grpo_loss(
        t["logp"], t["old"], None, t["adv"], mask=mask, cu_seqlens=CU, aggregation="sequence_mean", ratio="sequence"
    )
    terms, ratios = [], []
    for i, (start, end) in enumerate(pairwise(CU.tolist())):
        live = mask[start:end]
        if live.any():
            s = (t["logp"] - t["old"])[start:end][live].mean().exp()
            terms.append(-torch.minimum(s * adv[i], s.clamp(0.8, 1.2) * adv[i]))
            ratios += [s.item()] * int(live.sum())
    expected = torch.stack(terms).mean()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(*(torch.autograd.grad(x, t["logp"])[0] for x in (loss, expected)))
    assert metrics["ratio_mean"] == pytest.approx(sum(ratios) / len(ratios))
    assert metrics["ratio_max"] == pytest.approx(max(ratios))
    assert metrics["ratio_square_mean"] == pytest.approx(sum(r * r for r in ratios) / len(ratios))
    gaps = (t["logp"] - t["old"])[mask].abs()  # of the tokens, whatever the ratio
    assert metrics["log_ratio_max"] == pytest.approx(gaps.max().item())
    assert metrics["log_ratio_mean"] == pytest.approx(gaps.mean().item())


def test_sequence_ratio_lets_advantages_differ_within_a_response() -> None:
    """GSPO-token: each token's log-prob gets s A_t, and a clipped token nothing."""
    t = make(5, scale=0.01)
    loss, _ = grpo_loss(t["logp"], t["old"], None, t["adv"], cu_seqlens=CU, ratio="sequence")
    (gradient,) = torch.autograd.grad(loss, t["logp"])
    for start, end in pairwise(CU.tolist()):
        s = (t["logp"] - t["old"])[start:end].mean().exp()
        torch.testing.assert_close(gradient[start:end], (-s * t["adv"][start:end] / TOKENS).detach())


@pytest.mark.parametrize("mask", [torch.ones(TOKENS).bool(), MASK], ids=["all", "masked"])
def test_entry_ratio_is_rank_grpo(mask: torch.Tensor) -> None:
    """Of a run with one advantage, value and gradient are those of its geometric mean, as often as it has tokens
    (arXiv 2510.20150); a token alone has its own ratio."""
    t = make(6)
    t["adv"] = torch.randn(len(RUNS) - 1, dtype=torch.float64).repeat_interleave(RUNS.diff())
    loss, metrics = grpo_loss(t["logp"], t["old"], None, t["adv"], mask=mask, cu_runs=RUNS, ratio="entry")
    terms, ratios = [], []
    for start, end in pairwise(RUNS.tolist()):
        live = mask[start:end]
        if live.any():
            w = (t["logp"] - t["old"])[start:end][live].sum().div(int(live.sum())).exp()
            adv = t["adv"][start]
            terms.append(-torch.minimum(w * adv, w.clamp(0.8, 1.2) * adv) * int(live.sum()))
            ratios += [w.item()] * int(live.sum())
    expected = torch.stack(terms).sum() / int(mask.sum())
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(*(torch.autograd.grad(x, t["logp"])[0] for x in (loss, expected)))
    assert metrics["ratio_mean"] == pytest.approx(sum(ratios) / len(ratios))
    assert metrics["ratio_max"] == pytest.approx(max(ratios))


def test_runs_of_one_token_and_of_responses_are_the_other_ratios() -> None:
    t = make(7)
    for other, runs in (("token", torch.arange(TOKENS + 1)), ("sequence", CU)):
        found = [
            grpo_loss(**t, cu_seqlens=CU, cu_runs=runs, mask=MASK, ratio=ratio, entropy_coef=0.1)
            for ratio in ("entry", other)
        ]
        torch.testing.assert_close(found[0], found[1])
        gradients = [torch.autograd.grad(loss, t["logp"])[0] for loss, _ in found]
        torch.testing.assert_close(*gradients)


@pytest.mark.slow
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("kl", ["k1", "k2", "k3"])
def test_gradcheck(aggregation: str, kl: str) -> None:
    t = make(1)

    def f(logp: torch.Tensor, entropy: torch.Tensor) -> torch.Tensor:
        values = {**t, "logp": logp, "entropy": entropy}
        options = {"beta": 0.04, "entropy_coef": 0.1, "aggregation": aggregation, "kl": kl}
        return grpo_loss(**values, **options, mask=MASK, cu_seqlens=CU)[0]

    assert torch.autograd.gradcheck(f, (t["logp"], t["entropy"]))


def test_gradient_on_policy_is_the_policy_gradient() -> None:
    """With old = logp the ratio is 1, and the gradient is -A / T for every token."""
    t = make()
    loss, metrics = grpo_loss(t["logp"], t["logp"].detach(), None, t["adv"])
    (gradient,) = torch.autograd.grad(loss, t["logp"])
    torch.testing.assert_close(gradient, -t["adv"] / TOKENS)
    assert metrics["clip_fraction"] == 0
    assert metrics["ratio_mean"] == metrics["ratio_max"] == metrics["ratio_square_mean"] == 1
    assert metrics["approx_kl"] == metrics["log_ratio_mean"] == 0


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_micro_batches_add_up_to_the_whole(aggregation: str) -> None:
    t = make(2)
    options = {"beta": 0.04, "entropy_coef": 0.1, "aggregation": aggregation}
    whole, metrics = grpo_loss(**t, **options, mask=MASK, cu_seqlens=CU)
    expected = torch.autograd.grad(whole, [t["logp"], t["entropy"]])
    divisor = {"token_mean": int(MASK.sum()), "sequence_mean": 3, "dr_grpo": len(LENGTHS) * max(LENGTHS)}[aggregation]
    total, weighted = 0.0, 0.0
    for first, last in ((0, 1), (1, 3), (3, 4), (4, 5)):
        start, end = int(CU[first]), int(CU[last])
        part = {name: x[start:end] for name, x in t.items()}
        loss, found = grpo_loss(
            **part, **options, mask=MASK[start:end], cu_seqlens=CU[first : last + 1] - start, denominator=divisor
        )
        loss.backward()
        total += loss.item()
        weighted += float(found["kl"] * found["tokens"])
    assert total == pytest.approx(whole.item(), rel=1e-12)
    assert weighted / int(MASK.sum()) == pytest.approx(metrics["kl"].item(), rel=1e-12)
    torch.testing.assert_close((t["logp"].grad, t["entropy"].grad), expected, rtol=1e-12, atol=0)


def test_masked_tokens_may_be_anything() -> None:
    t = make()
    options = {"beta": 0.04, "entropy_coef": 0.1, "aggregation": "sequence_mean", "mask": MASK, "cu_seqlens": CU}
    clean, clean_metrics = grpo_loss(**t, **options)
    dirty = {name: x.detach().masked_fill(~MASK, torch.nan) for name, x in t.items()}
    leaves = [dirty[name].requires_grad_() for name in ("logp", "entropy")]
    loss, metrics = grpo_loss(**dirty, **options)
    assert torch.equal(loss, clean)
    assert metrics == clean_metrics
    for gradient in torch.autograd.grad(loss, leaves):
        assert torch.isfinite(gradient).all()
        assert not gradient[~MASK].any()


def test_nan_in_a_live_token_is_not_hidden() -> None:
    t = make()
    with torch.no_grad():
        t["logp"][4] = torch.nan
    loss, metrics = grpo_loss(**t)
    assert torch.isnan(loss)
    assert {name for name, x in metrics.items() if torch.isnan(x)} >= {x for x in metrics if "ratio" in x}


def test_effective_sample_size() -> None:
    """ratio_mean^2 / ratio_square_mean: 1 for equal ratios, 1 / T where one token has all the weight."""
    t = make()
    for log_ratio, expected in ((torch.full((TOKENS,), 0.7), 1.0), (torch.eye(TOKENS)[3] * 40 - 20, 1 / TOKENS)):
        _, metrics = grpo_loss(t["old"] + log_ratio, t["old"], None, t["adv"])
        assert metrics["ratio_mean"] ** 2 / metrics["ratio_square_mean"] == pytest.approx(expected)
