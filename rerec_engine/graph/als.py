"""Item embeddings by alternating least squares on implicit feedback (Hu, Koren, Volinsky, ICDM 2008).

An alternative to LightGCN that trains in seconds, through the optional library `implicit`:
`pip install 'rerec-engine[als]'`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.sparse as sp

from rerec_engine.errors import UserError
from rerec_engine.graph.interactions import unit_item_rows, weighted_interactions


def item_embeddings(
    interactions: sp.spmatrix | sp.sparray,  # [U, N]
    *,
    dim: int = 64,
    iterations: int = 15,
    regularization: float = 0.01,
    seed: int = 0,
    threads: int = 0,
) -> np.ndarray:
    """Item factors y of sum c_ui (p_ui - x_u . y_i)^2 + regularization (|x|^2 + |y|^2), as unit rows; float32 [N, d].

    p_ui is 1 where user u met item i, and c_ui is then the matrix's weight; elsewhere p is 0 and c is 1. Three steps of
    conjugate gradients a solve (Takacs et al., RecSys 2011), on the CPU, in `threads` threads (0: all cores). The same
    arguments give the same rows. An item without any interaction has the zero row: its cosine with every item is 0.

    Raises: UserError for a bad matrix (see `interactions.weighted_interactions`), a setting out of range, and where
        `implicit` is not installed.
    """
    for name, value, least in (("dim", dim, 1), ("iterations", iterations, 1), ("threads", threads, 0)):
        if value < least:
            raise UserError(f"ALS: {name} must be at least {least}, got {value}")
    if not 0 <= regularization < math.inf:
        raise UserError(f"ALS: regularization must be finite and not negative, got {regularization}")
    matrix = weighted_interactions(interactions)
    least_squares, threadpool_limits = _implicit()
    # implicit runs its own threads over the rows; a threaded BLAS below them is up to ten times slower.
    with threadpool_limits(1, "blas"):
        model = least_squares(
            factors=dim, regularization=regularization, iterations=iterations, num_threads=threads, random_state=seed
        )
        model.fit(sp.csr_matrix(matrix), show_progress=False)
    if not np.isfinite(model.item_factors).all():
        raise UserError(f"ALS: factors are not finite, raise regularization (now {regularization})")
    return unit_item_rows(model.item_factors, matrix)


def _implicit() -> tuple[Any, Any]:
    """The class `AlternatingLeastSquares` of implicit's CPU part, and `threadpool_limits` of its dependency."""
    try:
        from implicit.cpu.als import AlternatingLeastSquares
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise UserError(
            f"ALS embeddings need the optional library implicit: pip install 'rerec-engine[als]' ({error})"
        ) from error
    return AlternatingLeastSquares, threadpool_limits
