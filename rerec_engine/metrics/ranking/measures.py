"""Figures of ranked lists.

A list holds item ids, best first; a negative one is a title in no catalogue, which holds its place.

Of the first K of a list, with binary gains, as ranx and RecTools count them too:

    HR@K      1 where one of them is right
    Recall@K  those that are right / all that are right
    NDCG@K    sum of 1 / log2(rank + 1) over those that are right / the same sum of min(K, all that are right) in a row
    MRR@K     1 / rank of the first that is right, 0 where none is
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

CUTOFFS = (1, 3, 5, 10, 20)
MEASURES = ("HR", "Recall", "NDCG", "MRR")


def distinct(items: Iterable[int]) -> list[int]:
    """A list without repeats, the first of each kept; titles in no catalogue (negative) are no repeats of each other.

    >>> distinct([3, -1, 3, 5, -1])
    [3, -1, 5, -1]
    """
    seen: set[int] = set()
    kept = []
    for item in items:
        if item < 0 or item not in seen:
            kept.append(int(item))
            seen.add(item)
    return kept


def measure(
    lists: Sequence[Sequence[int]],  # [Q], each without repeats
    truths: Sequence[Sequence[int]],  # [Q], at least one each
    cutoffs: Sequence[int] = CUTOFFS,
) -> np.ndarray:
    """Every measure at every cut-off of every list, float64 [Q, len(MEASURES), len(cutoffs)].

    Raises ValueError for lengths that differ, a query without a right item, a list with a repeat and a cut-off below 1.
    """
    if len(lists) != len(truths) or not all(len(truth) for truth in truths):
        raise ValueError(f"expected a list and a right item for every query, got {len(lists)} and {len(truths)}")
    if not cutoffs or min(cutoffs) < 1:
        raise ValueError(f"cut-offs must be at least 1, got {list(cutoffs)}")
    deepest = max(cutoffs)
    hits = np.zeros((len(lists), deepest), dtype=bool)
    for row, (items, truth) in enumerate(zip(lists, truths, strict=True)):
        first = [item for item in items[:deepest] if item >= 0]
        if len(set(first)) < len(first):
            raise ValueError(f"the list of query {row} holds an item twice")
        right = set(truth)
        hits[row, : len(items)] = [item in right for item in items[:deepest]]
    relevant = np.array([len(set(truth)) for truth in truths], dtype=np.int64)  # [Q]
    ranks = np.arange(1, deepest + 1)
    discount = 1 / np.log2(ranks + 1)  # [deepest]
    ideal = np.concatenate([[0.0], np.cumsum(discount)])
    at = np.asarray(cutoffs) - 1  # [C]
    found = np.cumsum(hits, axis=1)[:, at]  # [Q, C]
    gain = np.cumsum(hits * discount, axis=1)[:, at]
    reciprocal = np.maximum.accumulate(hits / ranks, axis=1)[:, at]
    best = ideal[np.minimum(relevant[:, None], at + 1)]  # [Q, C]
    return np.stack([found > 0, found / relevant[:, None], gain / best, reciprocal], axis=1).astype(np.float64)


@dataclass(frozen=True)
class Shown:
    """What the first K of the lists show, whether right or not. novelty and popularity hold a value a query, NaN where
    a list names no item."""

    coverage: float
    """Items that some list shows / the catalogue."""
    novelty: np.ndarray  # [Q] bits
    """Mean of -log2(share of the log's users who took the item), one that nobody took counted as taken by one."""
    popularity: np.ndarray  # [Q] users
    """Mean number of the log's users who took the item."""


def shown(
    lists: Sequence[Sequence[int]],  # [Q]
    k: int,
    taken: np.ndarray,  # [N] users who took each item
    users: int,
) -> Shown:
    """As RecTools' CatalogCoverage, MeanInvUserFreq and AvgRecPopularity have it. users: of the log, those who took
    something; 0: there is no log, and nothing is known of novelty. Raises ValueError for k < 1."""
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    novelty, popularity = np.full(len(lists), np.nan), np.full(len(lists), np.nan)
    bits = -np.log2(np.maximum(taken, 1) / users) if users else np.zeros(len(taken))
    seen = np.zeros(len(taken), dtype=bool)
    for row, items in enumerate(lists):
        known = np.array([item for item in items[:k] if 0 <= item < len(taken)], dtype=np.int64)
        if len(known):
            seen[known] = True
            novelty[row], popularity[row] = bits[known].mean(), taken[known].mean()
    return Shown(float(seen.mean()) if len(seen) else 0.0, novelty, popularity)
