"""token_logprob against log_softmax in float64: values, gradients, chunks, skipped rows, extreme logits."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from rerec_engine.ops import TokenLogprob, token_logprob
from rerec_engine.ops.reference.logprob import chunk_rows

pytestmark = pytest.mark.usefixtures("each_implementation")

TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5, torch.bfloat16: 2e-5, torch.float16: 2e-5}
"""Absolute, of logp, entropy and lse (nats), against float64 on the same, already rounded inputs."""
GRADIENT_TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 4e-3, torch.float16: 4e-3}
"""Relative, by the norm of the gradient: where 16-bit values are multiplied, each entry is rounded twice."""
SHAPES = [(1, 1, 1), (1, 5, 3), (7, 3, 11), (13, 17, 101), (64, 16, 128), (130, 8, 384)]  # T, H, V


def naive(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    temperature: float = 1.0,
    softcap: float | None = None,
) -> TokenLogprob:
    logits = hidden @ weight.T
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    logits = logits / temperature
    full = torch.log_softmax(logits, -1)
    logp = full.gather(1, targets[:, None]).squeeze(1)
    return TokenLogprob(logp, -(full.exp() * full).sum(1), torch.logsumexp(logits, 1))


def room(rows: int, vocabulary: int, dtype: torch.dtype = torch.float64) -> float:
    """MB in which the reference forms chunks of so many rows."""
    return 2 * rows * vocabulary * max(dtype.itemsize, 4) / 2**20


def make(shape: tuple[int, int, int], dtype: torch.dtype, seed: int = 0) -> tuple[torch.Tensor, ...]:
    tokens, width, vocabulary = shape
    g = torch.Generator().manual_seed(seed)
    hidden = torch.randn(tokens, width, generator=g, dtype=torch.float64).to(dtype).requires_grad_()
    weight = torch.randn(vocabulary, width, generator=g, dtype=torch.float64).to(dtype).requires_grad_()
    return hidden, weight, torch.randint(0, vocabulary, (tokens,), generator=g)


def upstream(tokens: int, dtype: torch.dtype) -> list[torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    return [torch.randn(tokens, generator=g, dtype=torch.float64).to(dtype) for _ in range(3)]


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


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"temperature": 0.6}, {"softcap": 3.0, "temperature": 1.4}], ids=str)
@pytest.mark.parametrize("output", [0, 1, 2], ids=TokenLogprob._fields)
@pytest.mark.parametrize("masked", [False, True])
def test_gradcheck(options: dict, output: int, masked: bool) -> None:
    hidden, weight, targets = make((5, 3, 7), torch.float64)
    rows = torch.tensor([True, False, True, True, False]) if masked else None

    def f(hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return token_logprob(hidden, weight, targets, rows=rows, workspace_mb=room(2, 7), **options)[output]

    assert torch.autograd.gradcheck(f, (hidden, weight))


@pytest.mark.parametrize("rows", [1, 2, 3, 12, 13, 100, None])
def test_chunks_change_nothing_but_rounding(rows: int | None) -> None:
    hidden, weight, targets = make((13, 4, 31), torch.float64)
    whole = token_logprob(hidden, weight, targets, workspace_mb=room(13, 31))
    ours = token_logprob(hidden, weight, targets, workspace_mb=None if rows is None else room(rows, 31))
    grads = upstream(13, torch.float64)
    torch.testing.assert_close(ours, whole, atol=1e-13, rtol=0)
    torch.testing.assert_close(
        torch.autograd.grad(ours, [hidden, weight], grads), torch.autograd.grad(whole, [hidden, weight], grads)
    )


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


def test_logits_are_never_whole() -> None:
    hidden, weight, _ = make((1, 4, 1000), torch.float32)
    assert chunk_rows(hidden, weight, None) * 1000 * 4 <= 2**21
    assert chunk_rows(hidden, weight.new_empty(200_000, 4), None) == 128
    assert chunk_rows(hidden, weight, 1.0) == 2**20 // (2 * 1000 * 4)
    with pytest.raises(ValueError, match="workspace_mb must hold a row of logits"):
        chunk_rows(hidden, weight, 0.001)


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
