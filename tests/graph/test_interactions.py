"""Validation of user-item matrices: what is refused and how it is named, what is merged, what is left alone."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from rerec_engine.errors import UserError
from rerec_engine.graph.interactions import binary_interactions, unit_item_rows, weighted_interactions


def entry(value: float, dtype: type = np.float64) -> sp.csr_array:
    """A matrix [4, 5] with `value` at user 2, item 3, and a plain interaction."""
    return sp.csr_array((np.array([1, value], dtype=dtype), (np.array([0, 2]), np.array([1, 3]))), shape=(4, 5))


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf, -np.inf, 1e300], ids=str)
def test_a_bad_weight_is_named_with_its_place(value: float) -> None:
    with pytest.raises(UserError, match="user 2, item 3") as error:
        weighted_interactions(entry(value))
    assert str(value) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "value, expected",
    [
        (np.zeros((2, 2)), "SciPy sparse matrix.*ndarray of shape"),
        (None, "SciPy sparse matrix.*NoneType"),
        (sp.csr_array((0, 3)), "at least one user and one item"),
        (sp.csr_array((3, 0)), "at least one user and one item"),
        (sp.csr_array((3, 4)), "3 users, 4 items.* no interaction"),
        (entry(0.0)[1:, :], "no interaction"),
        (entry(1.0).astype(np.complex64), "real numbers, got dtype complex64"),
    ],
    ids=["dense", "none", "no-users", "no-items", "empty", "zeros-only", "complex"],
)
def test_a_matrix_of_no_use_is_refused(value: object, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        binary_interactions(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "make", [sp.coo_array, sp.csr_array, sp.csc_array, sp.coo_matrix, sp.lil_array], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int64, np.float32, np.float64], ids=lambda t: t.__name__)
def test_every_format_and_dtype_gives_sorted_float32_rows(make: type, dtype: type) -> None:
    dense = np.random.default_rng(0).integers(0, 3, (5, 7)).astype(dtype)
    matrix = weighted_interactions(make(dense))
    assert matrix.dtype == np.float32
    assert matrix.has_canonical_format
    np.testing.assert_array_equal(matrix.toarray(), dense.astype(np.float32))
    np.testing.assert_array_equal(binary_interactions(make(dense)).toarray(), dense > 0)


def test_duplicates_and_stored_zeros_are_merged_and_the_argument_is_kept() -> None:
    given = sp.csr_array((np.array([2.0, 0.0, 3.0]), np.array([2, 1, 2]), np.array([0, 3, 3])), shape=(2, 3))
    before = [given.data.copy(), given.indices.copy(), given.indptr.copy()]
    np.testing.assert_array_equal(weighted_interactions(given).toarray(), [[0, 0, 5], [0, 0, 0]])
    assert weighted_interactions(given).nnz == 1
    np.testing.assert_array_equal(binary_interactions(given).toarray(), [[0, 0, 1], [0, 0, 0]])
    for kept, array in zip(before, (given.data, given.indices, given.indptr), strict=True):
        np.testing.assert_array_equal(kept, array)


def test_unit_rows_are_cosines_and_an_unmet_item_is_zero() -> None:
    met = sp.csr_array(np.array([[1, 0, 1, 1]], dtype=np.float32))
    rows = unit_item_rows(np.array([[3, 4], [5, 6], [0, 0], [1e-30, 0]], dtype=np.float32), met)
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0], [0, 0], [1, 0]], atol=1e-7)
    assert rows.dtype == np.float32
