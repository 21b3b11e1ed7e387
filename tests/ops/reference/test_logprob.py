"""The specification of log-probs: gradients by finite differences, chunks of any size, widened types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from logprob_inputs import make, naive, room, upstream

from rerec_engine.ops import TokenLogprob
from rerec_engine.ops.reference.logprob import chunk_rows, token_logprob


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


def test_logits_are_never_whole() -> None:
    hidden, weight, _ = make((1, 4, 1000), torch.float32)
    assert chunk_rows(hidden, weight, None) * 1000 * 4 <= 2**21
    assert chunk_rows(hidden, weight.new_empty(200_000, 4), None) == 128
    assert chunk_rows(hidden, weight, 1.0) == 2**20 // (2 * 1000 * 4)
    with pytest.raises(ValueError, match="workspace_mb must hold a row of logits"):
        chunk_rows(hidden, weight, 0.001)


@pytest.mark.parametrize("rows", [1, 3, 5, None])
@pytest.mark.parametrize("temperature, softcap", [(1.0, None), (0.7, None), (1.3, 2.5)])
def test_values_and_gradients_of_rows_that_are_not_contiguous(
    rows: int | None, temperature: float, softcap: float | None
) -> None:
    """Vocabulary and rows that no chunk divides, every second column of hidden states and weight."""
    hidden, weight, targets = make((7, 8, 31), torch.float64)
    views = hidden[:, ::2], weight[:, 1::2]
    scaling: dict[str, Any] = {"temperature": temperature, "softcap": softcap}
    ours = token_logprob(*views, targets, **scaling, workspace_mb=None if rows is None else room(rows, 31))
    truth = naive(*views, targets, **scaling)
    torch.testing.assert_close(ours, truth, atol=1e-12, rtol=0)
    found, expected = (torch.autograd.grad(x, [hidden, weight], upstream(7, torch.float64)) for x in (ours, truth))
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("mixed", [(torch.bfloat16, torch.float32), (torch.float16, torch.float64)], ids=str)
def test_the_wider_of_two_types_is_computed_and_each_gradient_keeps_its_own(
    mixed: tuple[torch.dtype, torch.dtype], error: Callable[[torch.Tensor, torch.Tensor], float]
) -> None:
    hidden, weight, targets = make((5, 4, 13), torch.float64)
    hidden, weight = (x.detach().to(d).requires_grad_() for x, d in zip((hidden, weight), mixed, strict=True))
    ours = token_logprob(hidden, weight, targets)
    truth = naive(hidden.double(), weight.double(), targets)
    assert ours.logp.dtype == mixed[1]
    torch.testing.assert_close(ours.logp.double(), truth.logp, atol=2e-6, rtol=0)
    found, expected = (torch.autograd.grad(x.logp.sum(), [hidden, weight]) for x in (ours, truth))
    for a, b, dtype in zip(found, expected, mixed, strict=True):
        assert a.dtype == dtype
        assert error(a, b) < 4e-3


def test_rows_all_asked_for_are_no_rows_left_out() -> None:
    hidden, weight, targets = make((5, 4, 13), torch.float64)
    some = token_logprob(hidden, weight, targets, rows=torch.ones(5, dtype=torch.bool))
    assert all(torch.equal(a, b) for a, b in zip(some, token_logprob(hidden, weight, targets), strict=True))


def test_a_gradient_is_taken_once() -> None:
    """The second derivative is not there, and is not silently zero."""
    hidden, weight, targets = make((2, 3, 5), torch.float64)
    logp = token_logprob(hidden, weight, targets).logp
    (first,) = torch.autograd.grad(logp.square().sum(), hidden, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()
