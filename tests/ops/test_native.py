"""The C++ passes over logits and tokens, with every instruction set, against float64."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from rerec_engine import _core

LOG2E = np.log2(np.e)
COLUMNS = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 1023]


def softmax_state(rows: int) -> np.ndarray:
    state = np.zeros((1, 3, rows), np.float32)
    state[:, 0] = -np.inf
    return state


def fold(z: np.ndarray, targets: np.ndarray, temperature: float, softcap: float, cuts: list[int]) -> list[np.ndarray]:
    """logp, entropy and lse of whole rows of logits, given to the C++ passes in pieces cut at `cuts`."""
    rows, columns = z.shape
    state, picked = softmax_state(rows), np.zeros(rows, np.float32)
    bounds = [0, *cuts, columns]
    for start, stop in pairwise(bounds):
        piece = np.ascontiguousarray(z[:, start:stop])
        _core.fold_logits(piece, start, targets, LOG2E / temperature, softcap, *state[0], picked)
    out = [np.empty(rows, np.float32) for _ in range(3)]
    _core.merge_softmax(state, picked, LOG2E / temperature, *out)
    return out


def truth(z: np.ndarray, targets: np.ndarray, temperature: float, softcap: float) -> tuple[torch.Tensor, ...]:
    """The same by torch in float64, with the logits that they are functions of."""
    raw = torch.from_numpy(z).double().requires_grad_()
    x = (softcap * torch.tanh(raw / softcap) if softcap else raw) / temperature
    full = torch.log_softmax(x, -1)
    logp = full.gather(1, torch.from_numpy(targets)[:, None]).squeeze(1)
    return raw, logp, -(full.exp() * full).sum(1), torch.logsumexp(x, 1)


def logits(rows: int, columns: int, scale: float = 3.0, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(columns)
    return (rng.normal(size=(rows, columns)) * scale + shift).astype(np.float32), rng.integers(0, columns, rows)


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("temperature, softcap", [(1.0, 0.0), (0.7, 0.0), (1.3, 5.0)])
def test_passes_equal_float64(level: str, columns: int, temperature: float, softcap: float) -> None:
    z, targets = logits(5, columns)
    cuts = sorted({columns // 3, columns // 2} - {0, columns})
    raw, *expected = truth(z, targets, temperature, softcap)
    found = fold(z.copy(), targets, temperature, softcap, cuts)
    for name, a, b in zip(("logp", "entropy", "lse"), found, expected, strict=True):
        np.testing.assert_allclose(a, b.detach(), atol=4e-6, rtol=0, err_msg=name)
    g_logp, g_entropy, g_lse = (np.linspace(-1, 1, 5, dtype=np.float32) * k for k in (1.0, 0.3, -0.5))
    (expected_dz,) = torch.autograd.grad(
        expected, raw, [torch.from_numpy(g).double() for g in (g_logp, g_entropy, g_lse)]
    )
    base = g_lse - g_logp - g_entropy * found[1]
    dz = np.empty_like(z)
    for start, stop in zip([0, *cuts], [*cuts, columns], strict=True):
        piece = np.ascontiguousarray(z[:, start:stop])
        rest = (found[2], base, -g_entropy, g_logp)
        _core.logit_gradient(piece, start, targets, LOG2E / temperature, softcap, False, *rest)
        dz[:, start:stop] = piece
    np.testing.assert_allclose(dz, expected_dz, atol=4e-6, rtol=0)


def test_gradient_of_logits_that_are_capped_already(level: str) -> None:
    z, targets = logits(3, 37)
    one = np.ones(3, np.float32)
    plain, capped = z.copy(), (5 * np.tanh(z.astype(np.float64) / 5)).astype(np.float32)
    for array, done in ((plain, False), (capped, True)):
        _core.logit_gradient(array, 0, targets, LOG2E, 5.0, done, one * 4, -one, None, one)
    np.testing.assert_allclose(plain, capped, atol=2e-6)


@pytest.mark.parametrize("shift, scale", [(-120.0, 0.0), (120.0, 1.0), (0.0, 60.0), (-3e4, 1e3)])
def test_extreme_logits(level: str, shift: float, scale: float) -> None:
    z, targets = logits(4, 384, scale, shift)
    _, *expected = truth(z, targets, 1.0, 0.0)
    for a, b in zip(fold(z.copy(), targets, 1.0, 0.0, [128]), expected, strict=True):
        np.testing.assert_allclose(a, b.detach(), atol=2e-5, rtol=3e-7)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 16, 36])
def test_nan_is_not_hidden(level: str, bad: float, place: int) -> None:
    z, targets = logits(3, 37)
    z[1, place] = bad
    for found in fold(z.copy(), targets, 1.0, 0.0, [20]):
        assert np.isnan(found).tolist() == [False, True, False]


def test_rows_without_gradient_are_exactly_zero(level: str) -> None:
    z, targets = logits(3, 37)
    gradient = np.array([1.0, 0.0, 1.0], np.float32)
    _core.logit_gradient(z, 0, targets, LOG2E, 0.0, False, np.full(3, 8, np.float32), -gradient, None, gradient)
    assert not z[1].any()
    assert z[0].all()


def test_levels_are_told_and_refused() -> None:
    assert _core.vector_levels()[-1] == "plain"
    assert not _core.set_vector_level("mmx")
