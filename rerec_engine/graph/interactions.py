"""User-item matrices: validation, and rows of an embedding made comparable by a dot product."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from rerec_engine.errors import UserError


def weighted_interactions(
    interactions: sp.spmatrix | sp.sparray,  # [U, N]
) -> sp.csr_array:
    """The validated user-item matrix, float32 CSR [U, N] with at least one entry; the argument is left as it is.

    Duplicates are summed, stored zeros dropped, columns sorted.

    Raises: UserError naming the fault: not a sparse matrix, an empty shape, no interaction, or the first weight that is
        negative or not finite in float32.
    """
    given: Any = interactions  # from outside, whatever its annotation says
    if not sp.issparse(given) or given.ndim != 2:
        raise UserError(f"interactions: expected a SciPy sparse matrix [users, items], got {_describe(given)}")
    users, items = given.shape
    if users == 0 or items == 0:
        raise UserError(f"interactions: expected at least one user and one item, got shape ({users}, {items})")
    if given.dtype.kind not in "biuf":
        raise UserError(f"interactions: weights must be real numbers, got dtype {given.dtype}")
    entries = given.tocoo()
    with np.errstate(over="ignore"):
        weights = entries.data.astype(np.float32)
    faulty = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if faulty.size:
        row, column, weight = (array[faulty[0]] for array in (entries.row, entries.col, entries.data))
        raise UserError(f"interactions: weight {weight} at user {row}, item {column}: expected finite and not negative")
    matrix = sp.csr_array((weights, (entries.row, entries.col)), shape=(users, items))
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    if matrix.nnz == 0:
        raise UserError(f"interactions: the matrix ({users} users, {items} items) holds no interaction")
    return matrix


def binary_interactions(
    interactions: sp.spmatrix | sp.sparray,  # [U, N]
) -> sp.csr_array:
    """As `weighted_interactions`, with every weight set to 1: implicit feedback, an interaction or none."""
    matrix = weighted_interactions(interactions)
    matrix.data[:] = 1.0
    return matrix


def unit_item_rows(
    embeddings: np.ndarray,  # [N, d]
    interactions: sp.csr_array,  # [U, N]
) -> np.ndarray:
    """Rows scaled to length 1, float32 [N, d], so that a dot product is a cosine.

    An item without interactions has no evidence to place it: its row is zero, its cosine with every item 0. A row that
    came out as zero stays so.
    """
    rows = np.asarray(embeddings, dtype=np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)  # [N, 1]
    met = np.bincount(interactions.indices, minlength=interactions.shape[1]) > 0
    keep = met[:, None] & (norms > 0)
    return np.divide(rows, norms, out=np.zeros_like(rows), where=keep).astype(np.float32)


def _describe(value: object) -> str:
    shape = getattr(value, "shape", None)
    return type(value).__name__ + (f" of shape {tuple(shape)}" if shape is not None else "")
