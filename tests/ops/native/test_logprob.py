"""Log-probs on a CPU against float64: what is computed, widened and skipped, and which gradients are formed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from logprob_inputs import exact

from rerec_engine.ops.native.logprob import token_logprob

ROWS = torch.tensor([True, False, True, True, False])


def inputs(dtype: torch.dtype = torch.float32, vocabulary: int = 301) -> list[torch.Tensor]:
    g = torch.Generator().manual_seed(vocabulary)
    hidden, weight = torch.randn(5, 4, generator=g).to(dtype), torch.randn(vocabulary, 4, generator=g).to(dtype)
    return [hidden.requires_grad_(), weight.requires_grad_(), torch.randint(0, vocabulary, (5,), generator=g)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("rows", [None, ROWS], ids=["all", "some"])
def test_values_and_gradients_equal_float64(
    dtype: torch.dtype, rows: torch.Tensor | None, error: Callable[[torch.Tensor, torch.Tensor], float]
) -> None:
    hidden, weight, targets = inputs(dtype)
    expected, leaves = exact(hidden, weight, targets)
    found = token_logprob(hidden, weight, targets, rows=rows)
    kept = torch.ones(5) if rows is None else rows.float()
    upstream = [torch.linspace(-1, 1, 5) * k for k in (1.0, 0.5, 2.0)]
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a.double(), b.detach() * kept, atol=5e-6, rtol=0)
    grads = torch.autograd.grad(found, [hidden, weight], upstream)
    truth = torch.autograd.grad(expected, leaves, [(g * kept).double() for g in upstream])
    for a, b in zip(grads, truth, strict=True):
        assert a.dtype == dtype
        assert error(a, b) < (2e-6 if dtype == torch.float32 else 4e-3)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_gradient_of_one_result_alone(which: int, error: Callable[[torch.Tensor, torch.Tensor], float]) -> None:
    hidden, weight, targets = inputs()
    expected, leaves = exact(hidden, weight, targets)
    found = token_logprob(hidden, weight, targets)
    grads = torch.autograd.grad(found[which].sum(), [hidden, weight])
    for a, b in zip(grads, torch.autograd.grad(expected[which].sum(), leaves), strict=True):
        assert error(a, b) < 2e-6


def test_skipped_rows_are_zero_and_may_be_anything() -> None:
    hidden, weight, targets = inputs()
    whole = token_logprob(hidden, weight, targets)
    dirty = hidden.detach().masked_fill(~ROWS[:, None], torch.nan).requires_grad_()
    found = token_logprob(dirty, weight, targets.masked_fill(~ROWS, -100), rows=ROWS)
    for a, b in zip(found, whole, strict=True):
        assert not a[~ROWS].any()
        torch.testing.assert_close(a[ROWS], b[ROWS])
    d_hidden, d_weight = torch.autograd.grad(sum(x.sum() for x in found), [dirty, weight])
    assert not d_hidden[~ROWS].any()
    assert d_weight.isfinite().all()


def test_all_rows_asked_for_by_a_mask_are_all_rows() -> None:
    hidden, weight, targets = inputs()
    for a, b in zip(
        token_logprob(hidden, weight, targets, rows=torch.ones(5, dtype=torch.bool)),
        token_logprob(hidden, weight, targets),
        strict=True,
    ):
        assert torch.equal(a, b)


def test_the_gradient_of_a_frozen_weight_is_not_formed(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, weight, targets = inputs()
    formed, empty = [], torch.empty
    monkeypatch.setattr(torch, "empty", lambda *size, **o: formed.append(size) or empty(*size, **o))
    found = []
    for given, times in ((weight, 1), (weight.detach(), 0)):
        formed.clear()
        found += torch.autograd.grad(token_logprob(hidden, given, targets).logp.sum(), hidden)
        assert formed.count((weight.shape,)) == times
    assert torch.equal(*found)


def test_an_entropy_that_is_not_asked_for_is_left_out() -> None:
    hidden, weight, targets = inputs()
    found = token_logprob(hidden, weight, targets, return_entropy=False)
    assert found.entropy is None
    torch.testing.assert_close(found.logp, token_logprob(hidden, weight, targets).logp)


def test_a_vocabulary_of_one_word_is_certain() -> None:
    hidden, weight, targets = inputs(vocabulary=1)
    logp, entropy, lse = token_logprob(hidden, weight, targets)
    assert not logp.any()
    assert not entropy.any()
    torch.testing.assert_close(lse, (hidden @ weight.t())[:, 0])
    assert not torch.autograd.grad(logp.sum() + entropy.sum(), hidden)[0].any()


def test_targets_in_int32_are_taken() -> None:
    hidden, weight, targets = inputs()
    assert torch.equal(token_logprob(hidden, weight, targets.int()).logp, token_logprob(hidden, weight, targets).logp)
