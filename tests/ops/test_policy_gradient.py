"""What the public losses promise whatever computes them: finite extremes, metrics, nothing to train on, and errors."""

from __future__ import annotations

import math

import pytest
import torch
from loss_inputs import AGGREGATIONS, TOKENS, make

from rerec_engine.ops import grpo_loss, linear_grpo_loss

pytestmark = pytest.mark.usefixtures("each_implementation")


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
        ({"ratio": "entry"}, "ratio entry needs cu_runs"),
        ({"cu_runs": torch.tensor([0, 5])}, "cu_runs must rise from 0 to T"),
        ({"cu_runs": torch.tensor([0.0, 16.0])}, "cu_runs must be int"),
    ],
)
def test_bad_input(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        grpo_loss(**make() | change)


def hidden_states() -> dict[str, torch.Tensor]:
    numbers = {name: torch.zeros(3) for name in ("old", "ref", "adv")}
    return {
        "hidden": torch.zeros(3, 7),
        "weight": torch.zeros(101, 7),
        "targets": torch.arange(3),
        "cu_seqlens": torch.tensor([0, 3]),
        "cu_runs": torch.tensor([0, 1, 3]),
        **numbers,
    }


@pytest.mark.parametrize(
    "change", [{"beta": 0.1}, {"entropy_coef": 0.1}, {"ratio": "sequence"}, {"ratio": "entry"}], ids=str
)
def test_skipping_is_refused_where_it_would_not_be_exact(change: dict) -> None:
    with pytest.raises(ValueError, match="skip_zero_advantage needs"):
        linear_grpo_loss(**hidden_states(), **change, skip_zero_advantage=True)


@pytest.mark.parametrize(
    "buffer", [torch.zeros(3, 3), torch.zeros(101, 7, dtype=torch.float64), torch.zeros(7, 101).T], ids=str
)
def test_buffer_for_the_weights_gradient_must_fit(buffer: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="grad_weight_out must be"):
        linear_grpo_loss(**hidden_states(), grad_weight_out=buffer)
