"""ALS embeddings: the objective's minimum where `implicit` is installed, the error where it is not."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
import scipy.sparse as sp

from rerec_engine.errors import UserError
from rerec_engine.graph.als import item_embeddings

needs_implicit = pytest.mark.skipif(
    importlib.util.find_spec("implicit") is None, reason="no implicit: pip install .[als]"
)


def random_interactions(users: int = 30, items: int = 20) -> sp.csr_array:
    weights = np.random.default_rng(0).integers(0, 4, (users, items)).astype(np.float32)
    weights[:, -1] = 0  # an item that nobody met
    return sp.csr_array(weights)


def dense_als(matrix: sp.csr_array, dim: int, iterations: int, regularization: float) -> np.ndarray:
    """Item factors by exact alternating solves in float64 (Hu et al., eq. 4 and 5), from another starting point."""
    weight = matrix.toarray().astype(np.float64)
    confidence, preference = np.where(weight > 0, weight, 1), (weight > 0).astype(np.float64)

    def solve(fixed: np.ndarray, c: np.ndarray, p: np.ndarray) -> np.ndarray:  # [n, d], [m, n], [m, n] -> [m, d]
        normal = np.einsum("nd,mn,ne->mde", fixed, c, fixed) + regularization * np.eye(dim)
        return np.linalg.solve(normal, ((c * p) @ fixed)[..., None])[..., 0]

    items = np.random.default_rng(1).random((weight.shape[1], dim))
    for _ in range(iterations):
        users = solve(items, confidence, preference)
        items = solve(users, confidence.T, preference.T)
    return items


@needs_implicit
def test_cosines_equal_those_of_exact_alternating_solves() -> None:
    matrix = random_interactions()
    rows = item_embeddings(matrix, dim=2, iterations=2000, regularization=0.1, threads=1)
    truth = dense_als(matrix, dim=2, iterations=2000, regularization=0.1)[:-1]
    truth /= np.linalg.norm(truth, axis=1, keepdims=True)
    np.testing.assert_allclose((rows @ rows.T)[:-1, :-1], truth @ truth.T, atol=1e-3)


@needs_implicit
def test_rows_have_length_one_and_an_unmet_item_is_zero() -> None:
    rows = item_embeddings(random_interactions(), dim=4, threads=1)
    assert rows.shape == (20, 4)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows[:-1], axis=1), 1, atol=1e-6)
    assert not rows[-1].any()


@needs_implicit
def test_a_seed_fixes_every_bit() -> None:
    first, second, other = (item_embeddings(random_interactions(), dim=4, seed=seed, threads=2) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_a_missing_library_is_one_line_that_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("implicit", "implicit.cpu", "implicit.cpu.als"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=r"pip install 'rerec-engine\[als\]'") as error:
        item_embeddings(random_interactions())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name, value",
    [("dim", 0), ("iterations", 0), ("threads", -1), ("regularization", -0.1), ("regularization", float("nan"))],
)
def test_a_setting_out_of_range_is_named(name: str, value: float) -> None:
    with pytest.raises(UserError, match=f"ALS: {name}.*{value}"):
        item_embeddings(random_interactions(), **{name: value})  # type: ignore[arg-type]


def test_a_bad_matrix_is_refused_whether_or_not_the_library_is_there() -> None:
    with pytest.raises(UserError, match="no interaction"):
        item_embeddings(sp.csr_array((3, 4)))
