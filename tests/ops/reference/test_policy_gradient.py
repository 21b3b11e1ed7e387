"""grpo_loss and linear_grpo_loss against a loop in float64, micro-batches, masks and extreme log-ratios."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch

from rerec_engine.ops import grpo_loss, linear_grpo_loss, token_logprob

pytestmark = pytest.mark.usefixtures("each_implementation")

LENGTHS = [3, 0, 1, 7, 5]
CU = torch.tensor([0, 3, 3, 4, 11, 16])
TOKENS = 16
MASK = torch.tensor([i % 5 != 2 and i != 3 for i in range(TOKENS)])  # the response of a single token is masked away
AGGREGATIONS = ("token_mean", "sequence_mean", "dr_grpo")


def make(seed: int = 0, scale: float = 0.3) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    logp = -torch.rand(TOKENS, generator=g, dtype=torch.float64) * 4
    old, ref = (logp + scale * torch.randn(TOKENS, generator=g, dtype=torch.float64) for _ in range(2))
    adv = torch.randn(TOKENS, generator=g, dtype=torch.float64)
    adv[5] = 0.0
    entropy = torch.rand(TOKENS, generator=g, dtype=torch.float64)
    return {
        "logp": logp.requires_grad_(),
        "old": old,
        "ref": ref,
        "adv": adv,
        "entropy": entropy.requires_grad_(),
    }


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


def test_metrics_by_hand() -> None:
    half = math.log(0.5)
    logp = torch.tensor([0.0, half, -half, half])
    old, adv = torch.zeros(4), torch.tensor([1.0, -1.0, 1.0, 1.0])
    _, metrics = grpo_loss(logp, old, torch.full((4,), half), adv, entropy=torch.arange(4.0))
    assert metrics["clip_fraction"] == 0.5  # ratio 0.5 with A < 0 and 2 with A > 0; 0.5 with A > 0 is not clipped
    assert metrics["ratio_mean"] == pytest.approx((1 + 0.5 + 2 + 0.5) / 4)
    assert metrics["ratio_max"] == pytest.approx(2)
    assert metrics["ratio_square_mean"] == pytest.approx((1 + 0.25 + 4 + 0.25) / 4)
    assert metrics["log_ratio_mean"] == pytest.approx(-3 * half / 4)
    assert metrics["log_ratio_max"] == pytest.approx(-half)
    assert metrics["approx_kl"] == pytest.approx((0 + 2 * (0.5 - 1 - half) + (2 - 1 + half)) / 4)
    k3 = [math.exp(x) - x - 1 for x in (half, 0.0, 2 * half, 0.0)]
    assert metrics["kl"] == pytest.approx(sum(k3) / 4)
    assert metrics["entropy"] == 1.5
    assert metrics["tokens"] == 4
    assert not any(x.requires_grad for x in metrics.values())


@pytest.mark.parametrize("kl", ["k1", "k2", "k3"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_extreme_log_ratios_stay_finite(kl: str, dtype: torch.dtype) -> None:
    extreme = torch.tensor([0.0, -1e-8, -50.0, -800.0, -1e30, -torch.inf], dtype=dtype)
    logp, other = (x.flatten() for x in torch.meshgrid(extreme, extreme[:-1], indexing="ij"))
    for sign in (1.0, -1.0, 0.0):
        leaf = logp.clone().requires_grad_()
        loss, metrics = grpo_loss(leaf, other, other, torch.full_like(logp, sign), beta=0.1, kl=kl)
        (gradient,) = torch.autograd.grad(loss, leaf)
        assert torch.isfinite(loss)
        assert torch.isfinite(gradient).all()
        assert all(torch.isfinite(x.double()) for name, x in metrics.items() if not name.startswith("log_ratio"))


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


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("tokens, bounds", [(0, [0]), (0, [0, 0]), (3, [0, 1, 3])], ids=["none", "empty", "masked"])
def test_nothing_to_train_on(aggregation: str, tokens: int, bounds: list[int]) -> None:
    logp = torch.randn(tokens, requires_grad=True)
    zeros = torch.zeros(tokens)
    options = {"mask": zeros.bool(), "cu_seqlens": torch.tensor(bounds), "aggregation": aggregation}
    loss, metrics = grpo_loss(logp, zeros, zeros, zeros, beta=0.1, **options)
    assert loss == 0
    assert all(x == 0 for x in metrics.values())
    assert not torch.autograd.grad(loss, logp)[0].any()


def test_optional_inputs_leave_out_their_metrics() -> None:
    t = make()
    _, metrics = grpo_loss(t["logp"], t["old"], None, t["adv"])
    gaps = {f"{of}_{how}" for of in ("ratio", "log_ratio") for how in ("mean", "max")}
    assert set(metrics) == {"clip_fraction", "ratio_square_mean", "approx_kl", "tokens"} | gaps


def linear_inputs() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    g = torch.Generator().manual_seed(3)
    t = make(3)
    hidden = torch.randn(TOKENS, 4, generator=g, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(9, 4, generator=g, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(0, 9, (TOKENS,), generator=g)
    inputs = {"hidden": hidden, "weight": weight, "targets": targets, **{k: t[k] for k in ("old", "ref", "adv")}}
    return inputs, {"beta": 0.04, "entropy_coef": 0.1, "cu_seqlens": CU, "mask": MASK, "aggregation": "sequence_mean"}


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


@pytest.mark.parametrize("ratio", ["token", "sequence"])
def test_linear_loss_gradcheck(ratio: str) -> None:
    inputs, options = linear_inputs()
    if ratio == "sequence":  # its value moves with all tokens of a response, its gradient goes to each alone
        options |= {"ratio": ratio}
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


@pytest.mark.parametrize(
    "change, message",
    [
        ({"old": torch.zeros(3)}, "must be \\[T\\]"),
        ({"beta": 0.1, "ref": None}, "needs ref"),
        ({"kl": "k4"}, "kl must be"),
        ({"aggregation": "sum"}, "aggregation must be"),
        ({"aggregation": "sequence_mean"}, "needs cu_seqlens"),
        ({"aggregation": "dr_grpo"}, "needs cu_seqlens"),
        ({"cu_seqlens": torch.tensor([0, 5])}, "rise from 0 to T"),
        ({"cu_seqlens": torch.tensor([0, 9, 4, 16])}, "rise from 0 to T"),
        ({"clip_low": 1.5}, "clip_low"),
        ({"entropy": None, "entropy_coef": 0.1}, "needs entropy"),
        ({"mask": torch.ones(TOKENS)}, "mask must be bool"),
        ({"denominator": 0}, "denominator"),
        ({"ratio": "sequence"}, "needs cu_seqlens"),
        ({"ratio": "word"}, "ratio must be"),
    ],
)
def test_bad_input(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        grpo_loss(**make() | change)
