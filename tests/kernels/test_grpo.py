"""grpo_loss' kernel against the torch reference in float64: losses, gradients and metrics over the grid of options."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch

from rerec_engine import ops

pytest.importorskip("triton", reason="no Triton: pip install .[triton]")

BOUNDS = [0, 3, 3, 4, 1500, 2100]  # an empty response, one of a single token, one longer than a block
RUNS = [0, 1, 3, 4, 5, 9, 9, 1200, 1500, *range(1501, 2101)]
NAMES = ("logp", "old", "ref", "adv", "entropy")
Error = Callable[[torch.Tensor, torch.Tensor], float]


def kernel_loss(*tensors: torch.Tensor | None, **arguments: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """`ops.grpo_loss` by the kernels; float64 takes the reference by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REREC_IMPL", "gpu")
        return ops.grpo_loss(*tensors, **arguments)


def make(device: torch.device, tokens: int = BOUNDS[-1]) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    logp = -torch.rand(tokens, generator=g) * 4
    old, ref = (logp + 0.3 * torch.randn(tokens, generator=g) for _ in range(2))
    values = [logp, old, ref, torch.randn(tokens, generator=g), torch.rand(tokens, generator=g)]
    return dict(zip(NAMES, (x.to(device) for x in values), strict=True))


def compare(t: dict[str, torch.Tensor], mask: torch.Tensor | None, error: Error, **options: Any) -> None:
    """Loss, metrics and gradients against the reference; what is masked is NaN for the kernel."""
    dirty = {k: x if mask is None else x.masked_fill(~mask, torch.nan) for k, x in t.items()}
    exact = {k: x.double() for k, x in t.items()}
    for leaves in (dirty, exact):
        leaves["logp"] = leaves["logp"].clone().requires_grad_()
        leaves["entropy"] = leaves["entropy"].clone().requires_grad_()
    loss, metrics = kernel_loss(**dirty, mask=mask, **options)
    expected, expected_metrics = ops.grpo_loss(**exact, mask=mask, **options)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-6)
    assert set(metrics) == set(expected_metrics)
    for name, x in metrics.items():
        assert x.item() == pytest.approx(float(expected_metrics[name]), rel=1e-5, abs=1e-6), name
        assert x.dtype == torch.float32 and not x.requires_grad
    (3 * loss).backward()
    (3 * expected).backward()
    for name in ("logp", "entropy"):
        ours, truth = dirty[name].grad, exact[name].grad
        if truth is None or ours is None:
            assert truth is None or (truth == 0).all()
            assert ours is None or (ours == 0).all()
        else:
            assert error(ours, truth) <= 1e-5, name
            assert mask is None or (ours[~mask] == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("aggregation", ["token_mean", "sequence_mean", "dr_grpo"])
@pytest.mark.parametrize("ratio", ["token", "entry", "sequence"])
@pytest.mark.parametrize("kl", ["k1", "k2", "k3"])
@pytest.mark.usefixtures("poison")
def test_equals_the_reference(aggregation: str, ratio: str, kl: str, device: torch.device, error: Error) -> None:
    t = make(device)
    t["adv"][5] = 0.0
    t["old"][7] -= 30.0  # beyond the clamp, as the next
    t["ref"][9] += 25.0
    half = torch.rand(BOUNDS[-1], generator=torch.Generator().manual_seed(1)) < 0.7
    half[3] = False  # a response without a token
    bounds = {"cu_seqlens": torch.tensor(BOUNDS, device=device), "cu_runs": torch.tensor(RUNS, device=device)}
    options = {**bounds, "aggregation": aggregation, "ratio": ratio, "kl": kl}
    divisors = (None, 100.0, torch.tensor(50, device=device))
    for mask, divisor, bonus in itertools.product((None, half.to(device)), divisors, (0.0, 0.1)):
        compare(t, mask, error, **options, denominator=divisor, entropy_coef=bonus, beta=0.04, clip_high=0.28)


def test_plain_options(device: torch.device, error: Error) -> None:
    t = make(device, 1025)
    compare(t, None, error)
    compare(t, torch.zeros(1025, dtype=torch.bool, device=device), error)
    compare({k: x[:1] for k, x in t.items()}, None, error)
    compare({k: x[:0] for k, x in t.items()}, None, error)
    compare({**t, "adv": torch.zeros_like(t["adv"])}, None, error)


def test_without_reference_and_entropy(device: torch.device) -> None:
    t = make(device, 100)
    _, metrics = kernel_loss(t["logp"], t["old"], None, t["adv"])
    assert "kl" not in metrics and "entropy" not in metrics


def test_a_live_nan_is_seen(device: torch.device) -> None:
    t = make(device, 100)
    t["logp"][17] = torch.nan
    loss, metrics = kernel_loss(**t)
    assert loss.isnan()
    assert all(x.isnan() for name, x in metrics.items() if "ratio" in name or name == "approx_kl")


@pytest.mark.parametrize("kl", ["k1", "k2", "k3"])
def test_extreme_log_ratios_stay_finite(kl: str, device: torch.device) -> None:
    extreme = torch.tensor([0.0, -1e-8, -50.0, -800.0, -1e30, -torch.inf], device=device)
    logp, other = (x.flatten() for x in torch.meshgrid(extreme, extreme[:-1], indexing="ij"))
    leaf = logp.clone().requires_grad_()
    loss, _ = kernel_loss(leaf, other, other, torch.ones_like(logp), beta=0.1, kl=kl)
    loss.backward()
    assert loss.isfinite()
    assert leaf.grad.isfinite().all()


def test_same_bits_again(device: torch.device) -> None:
    t = make(device)
    runs = [kernel_loss(**t, beta=0.04) for _ in range(2)]
    assert torch.equal(runs[0][0], runs[1][0])
    assert all(torch.equal(runs[0][1][k], runs[1][1][k]) for k in runs[0][1])
