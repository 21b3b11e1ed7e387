"""token_logprob against log_softmax in float64: values, gradients, chunks, skipped rows, extreme logits."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from logprob_inputs import make, naive, room, upstream

from rerec_engine.ops import TokenLogprob, token_logprob

pytestmark = pytest.mark.usefixtures("each_implementation")

TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5, torch.bfloat16: 2e-5, torch.float16: 2e-5}
"""Absolute, of logp, entropy and lse (nats), against float64 on the same, already rounded inputs."""
GRADIENT_TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 4e-3, torch.float16: 4e-3}
"""Relative, by the norm of the gradient: where 16-bit values are multiplied, each entry is rounded twice."""
SHAPES = [(1, 1, 1), (1, 5, 3), (7, 3, 11), (13, 17, 101), (64, 16, 128), (130, 8, 384)]  # T, H, V


@pytest.mark.slow
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("temperature, softcap", [(1.0, None), (0.7, None), (1.3, 2.5)])
def test_equals_log_softmax(
    shape: tuple[int, int, int],
    dtype: torch.dtype,
    temperature: float,
    softcap: float | None,
    error: Callable[[torch.Tensor, torch.Tensor], float],
) -> None:
    hidden, weight, targets = make(shape, dtype)
    ours = token_logprob(
        hidden, weight, targets, temperature=temperature, softcap=softcap, workspace_mb=room(5, shape[2], dtype)
    )
    exact = [x.detach().double().requires_grad_() for x in (hidden, weight)]
    truth = naive(*exact, targets, temperature, softcap)
    for name, a, b in zip(TokenLogprob._fields, ours, truth, strict=True):
        assert a.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        torch.testing.assert_close(a.double(), b, atol=TOLERANCE[dtype], rtol=0, msg=lambda m, n=name: f"{n}: {m}")
    grads = upstream(shape[0], torch.float64)
    ours_grad = torch.autograd.grad(ours, [hidden, weight], [g.to(a.dtype) for g, a in zip(grads, ours, strict=True)])
    truth_grad = torch.autograd.grad(truth, exact, grads)
    tolerance = GRADIENT_TOLERANCE[dtype] * (2 if shape[0] == 1 else 1)  # a single row has nothing to average over
    for a, b in zip(ours_grad, truth_grad, strict=True):
        assert a.dtype == dtype
        assert error(a, b) <= tolerance


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_skipped_rows_are_exactly_zero_and_not_looked_at(dtype: torch.dtype) -> None:
    hidden, weight, targets = make((9, 4, 13), dtype)
    rows = torch.tensor([True, False, True, True, False, False, True, False, True])
    with torch.no_grad():
        hidden[~rows] = torch.nan
    targets[~rows] = -100
    ours = token_logprob(hidden, weight, targets, rows=rows, workspace_mb=room(2, 13, dtype))
    some = token_logprob(hidden[rows], weight, targets[rows], workspace_mb=room(2, 13, dtype))
    for a, b in zip(ours, some, strict=True):
        assert (a[~rows] == 0).all()
        assert torch.equal(a[rows], b)
    grads = [g.float() for g in upstream(9, dtype)]
    d_hidden, d_weight = torch.autograd.grad(ours, [hidden, weight], grads)
    some_hidden, some_weight = torch.autograd.grad(some, [hidden, weight], [g[rows] for g in grads])
    assert (d_hidden[~rows] == 0).all()
    assert torch.equal(d_hidden[rows], some_hidden[rows])
    assert torch.equal(d_weight, some_weight)


@pytest.mark.parametrize("tokens, rows", [(0, None), (3, torch.zeros(3, dtype=torch.bool))], ids=["none", "all masked"])
def test_nothing_to_compute(tokens: int, rows: torch.Tensor | None) -> None:
    hidden, weight, targets = make((tokens, 4, 5), torch.float32)
    ours = token_logprob(hidden, weight, targets, rows=rows)
    assert all(torch.equal(x, torch.zeros(tokens)) for x in ours)
    d_hidden, d_weight = torch.autograd.grad(sum(x.sum() for x in ours), [hidden, weight])
    assert not d_hidden.any()
    assert not d_weight.any()


def test_all_logits_far_below_zero() -> None:
    hidden, weight = torch.full((4, 1), -120.0, requires_grad=True), torch.ones(384, 1)
    logp, entropy, lse = token_logprob(hidden, weight, torch.arange(4))
    torch.testing.assert_close(logp, torch.full((4,), -math.log(384)))
    torch.testing.assert_close(entropy, torch.full((4,), math.log(384)))
    torch.testing.assert_close(lse, torch.full((4,), -120 + math.log(384)))
    (gradient,) = torch.autograd.grad(logp.sum() + entropy.sum(), hidden)
    assert gradient.abs().max() < 1e-5


@pytest.mark.parametrize("gap", [10.0, 60.0, 1e4])
def test_nearly_certain_target(gap: float) -> None:
    weight = torch.zeros(11, 2, requires_grad=True)
    with torch.no_grad():
        weight[3, 0] = gap
    hidden = torch.tensor([[1.0, 0.5]], requires_grad=True)
    ours = token_logprob(hidden, weight, torch.tensor([3]))
    truth = naive(hidden.double(), weight.double(), torch.tensor([3]))
    for a, b in zip(ours, truth, strict=True):
        assert torch.isfinite(a).all()
        torch.testing.assert_close(a.double(), b, atol=TOLERANCE[torch.float32], rtol=1e-7)
    gradients = torch.autograd.grad(sum(x.sum() for x in ours), [hidden, weight])
    assert all(torch.isfinite(g).all() for g in gradients)


def test_entropy_only_where_asked_and_gradients_only_where_needed() -> None:
    hidden, weight, targets = make((5, 3, 7), torch.float32)
    assert token_logprob(hidden, weight, targets, return_entropy=False).entropy is None
    frozen = token_logprob(hidden, weight.detach(), targets).logp.sum()
    full = token_logprob(hidden, weight, targets).logp.sum()
    assert torch.equal(*(torch.autograd.grad(x, hidden)[0] for x in (frozen, full)))
    with torch.no_grad():
        assert not token_logprob(hidden, weight, targets).logp.requires_grad


def test_logits_stay_float32_under_autocast_and_for_mixed_dtypes() -> None:
    hidden, weight, targets = make((6, 32, 50), torch.float32)
    plain = token_logprob(hidden, weight, targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = token_logprob(hidden, weight, targets)
    assert torch.equal(plain.logp, cast.logp)
    mixed = token_logprob(hidden.bfloat16(), weight, targets)
    truth = naive(hidden.bfloat16().double(), weight.double(), targets)
    torch.testing.assert_close(mixed.logp.double(), truth.logp, atol=2e-5, rtol=0)


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"targets": torch.tensor([0, 1, 7])}, ValueError, "0..6, got 0..7"),
        ({"targets": torch.tensor([0, -1, 2])}, ValueError, "got -1"),
        ({"targets": torch.tensor([0, 1])}, ValueError, "targets must be"),
        ({"targets": torch.zeros(3)}, TypeError, "int64"),
        ({"weight": torch.zeros(7, 3)}, ValueError, "weight"),
        ({"weight": torch.zeros(7, 2, dtype=torch.int64)}, TypeError, "floating"),
        ({"temperature": 0.0}, ValueError, "temperature"),
        ({"softcap": -1.0}, ValueError, "softcap"),
        ({"workspace_mb": 0.0}, ValueError, "workspace_mb"),
        ({"rows": torch.ones(3)}, ValueError, "bool"),
    ],
)
def test_bad_input(change: dict, error: type[Exception], message: str) -> None:
    arguments = {"hidden": torch.zeros(3, 2), "weight": torch.zeros(7, 2), "targets": torch.tensor([0, 1, 2])} | change
    with pytest.raises(error, match=message):
        token_logprob(**arguments)
