"""Training triples for Bayesian personalised ranking (Rendle et al., UAI 2009, arXiv 1205.2618).

Negatives are drawn without rejection. Number the items that a user never met 0, 1, ... in ascending order: a uniform
rank is an exact draw, and one binary search in the user's sorted row turns it into an item. Below the m-th positive lie
`row[m] - m` unmet items, so the r-th unmet item is `r + m` for the smallest m whose count exceeds r. The cost does not
grow with the share of the catalogue that the user has met.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import scipy.sparse as sp


class Triples(NamedTuple):
    """Aligned (user, positive item, negative item), in training order; each int64 [n]."""

    users: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray


class BprSampler:
    """Draws an epoch: every interaction once, in random order, each with one uniform negative of its user.

    A user who has met every item has no negative and teaches no preference: such interactions are left out.
    The stream depends on matrix and seed alone.

    Raises: ValueError where the matrix's columns are not sorted and unique (see `interactions.binary_interactions`).
    """

    def __init__(
        self,
        interactions: sp.csr_array,  # [U, N]
        seed: int = 0,
    ) -> None:
        if not interactions.has_canonical_format:
            raise ValueError("interactions: expected CSR rows with sorted, unique columns")
        degree = np.diff(interactions.indptr).astype(np.int64)  # [U]
        users = np.repeat(np.arange(len(degree)), degree)  # [nnz]
        self._indptr = interactions.indptr.astype(np.int64)
        self._indices = interactions.indices.astype(np.int64)
        self._unmet = interactions.shape[1] - degree  # [U]
        usable = self._unmet[users] > 0
        self._users = users[usable]
        self._positives = self._indices[usable]
        self._rng = np.random.default_rng(seed)

    def __len__(self) -> int:
        """Triples of an epoch."""
        return len(self._users)

    def epoch(self) -> Triples:
        order = self._rng.permutation(len(self))
        users = self._users[order]
        return Triples(users, self._positives[order], self.negatives(users))

    def negatives(
        self,
        users: np.ndarray,  # [n] int64
    ) -> np.ndarray:
        """For each entry an item, uniform over those that the user never met; int64 [n].

        Raises: ValueError where a user has met every item.
        """
        unmet = self._unmet[users]
        if not unmet.all():
            raise ValueError(f"user {users[np.argmin(unmet)]} has met every item: no negative to draw")
        return _unmet_items(self._indptr, self._indices, users, self._rng.integers(unmet))


# No `cache=True`: it raises on import where neither the package nor the home directory can be written, and saves 0.7 s.
@numba.njit(nogil=True)
def _unmet_items(
    indptr: np.ndarray,  # [U + 1]
    indices: np.ndarray,  # [nnz], ascending within a row
    users: np.ndarray,  # [n]
    ranks: np.ndarray,  # [n], below the user's number of unmet items
) -> np.ndarray:
    items = np.empty(users.shape[0], dtype=np.int64)
    for t in range(users.shape[0]):
        start = indptr[users[t]]
        low, high = start, indptr[users[t] + 1]
        while low < high:
            middle = (low + high) // 2
            if indices[middle] - (middle - start) > ranks[t]:
                high = middle
            else:
                low = middle + 1
        items[t] = ranks[t] + (low - start)
    return items
