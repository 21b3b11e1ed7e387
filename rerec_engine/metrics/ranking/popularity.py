"""How popular items are, by the log of who took what, and three groups of them: head, middle and tail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

GROUPS = ("head", "middle", "tail")


@dataclass(frozen=True)
class Popularity:
    """Of the items of a catalogue. Without a log there are no groups."""

    taken: np.ndarray  # [N] int64
    """Users who took each item."""
    users: int
    """Who took something."""
    group: np.ndarray  # [N] int8
    """Of each item: 0 head, 1 middle, 2 tail."""

    @classmethod
    def of(cls, interactions: sp.csr_matrix) -> Popularity:  # [U, N]
        """Head: the most popular items that together hold a third of the log; middle: those that hold the second third;
        tail: all others, those that nobody took among them. Of equally popular items none is torn from the others: the
        group of the first counts.

        >>> Popularity.of(sp.csr_matrix([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0]])).group.tolist()
        [0, 1, 1, 2]
        """
        matrix = sp.csr_matrix(interactions)
        taken = np.asarray(matrix.getnnz(axis=0), dtype=np.int64)
        users = int((matrix.getnnz(axis=1) > 0).sum())
        levels, sizes = np.unique(-taken, return_counts=True)  # the most popular first
        mass = -levels * sizes
        before = np.cumsum(mass) - mass  # what more popular items hold
        third = np.minimum(3 * before // max(int(mass.sum()), 1), 2)
        third[levels == 0] = 2
        return cls(taken, users, third[np.searchsorted(levels, -taken)].astype(np.int8))

    @property
    def known(self) -> bool:
        """Whether there is a log."""
        return self.users > 0

    def group_of(self, truth: Sequence[int]) -> str:
        """Of a query: that of its most popular right item."""
        return GROUPS[int(self.group[list(truth)].min())]
