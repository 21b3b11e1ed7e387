"""Full-ranking evaluation of collaborative embeddings: every item that a user has not trained on competes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp


class RankingMetrics(NamedTuple):
    """Means over the users who hold at least one test item."""

    recall: float
    ndcg: float
    users: int


def full_ranking(
    user_embeddings: np.ndarray,  # [U, d]
    item_embeddings: np.ndarray,  # [N, d]
    train: sp.csr_array,  # [U, N]
    test: sp.csr_array,  # [U, N]
    *,
    k: int = 20,
    users_at_once: int = 1024,
) -> RankingMetrics:
    """Recall@k and NDCG@k with binary gains, as published with LightGCN (arXiv 2002.02126, section 4.1.1).

    Recall@k = hits / |test items|;  NDCG@k = sum_{hit at rank r} 1 / log2(r + 1), over its value for the best ranking,
    with ranks from 1. Non-zero entries of `train` and `test` count; train items are never ranked. Equal scores rank by
    item id.

    Raises: ValueError for shapes that do not match, k < 1, scores that are not finite, an item both trained and tested
        for one user, and a test matrix without entries.
    """
    _check_shapes(user_embeddings, item_embeddings, train, test, k)
    train, test = (sp.csr_array(matrix != 0) for matrix in (train, test))
    if train.multiply(test).nnz:
        raise ValueError("an item is both in train and in test of one user")
    tested = np.flatnonzero(np.diff(test.indptr))
    if len(tested) == 0:
        raise ValueError("test holds no item")
    recall = ndcg = 0.0
    for start in range(0, len(tested), users_at_once):
        users = tested[start : start + users_at_once]
        scores = user_embeddings[users] @ item_embeddings.T  # [b, N]
        if not np.isfinite(scores).all():
            raise ValueError("embeddings give scores that are not finite")
        seen = train[users].tocoo()
        scores[seen.row, seen.col] = -np.inf
        hits, relevant = _hits(scores, test[users], k)
        discount = 1.0 / np.log2(np.arange(2, hits.shape[1] + 2))
        ideal = np.cumsum(discount)[np.minimum(relevant, hits.shape[1]) - 1]
        recall += float((hits.sum(1) / relevant).sum())
        ndcg += float((hits @ discount / ideal).sum())
    return RankingMetrics(recall / len(tested), ndcg / len(tested), len(tested))


def top_items(
    scores: np.ndarray,  # [b, N]
    k: int,
) -> np.ndarray:
    """Column ids of the k largest scores of each row, best first, equal scores by id; int64 [b, min(k, N)]."""
    k = min(k, scores.shape[1])
    kth = -np.partition(-scores, k - 1, axis=1)[:, k - 1 : k]  # [b, 1]
    rows, columns = np.nonzero(scores >= kth)  # at least k a row, more where the k-th ties
    order = np.lexsort((columns, -scores[rows, columns], rows))
    first = np.searchsorted(rows, np.arange(len(scores)))  # [b]
    return columns[order][first[:, None] + np.arange(k)]


def _hits(
    scores: np.ndarray,  # [b, N]
    test: sp.csr_array,  # [b, N] bool
    k: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Whether the item at each rank is a test item, bool [b, k]; test items of each user, int64 [b]."""
    truth = np.zeros(scores.shape, dtype=bool)
    entries = test.tocoo()
    truth[entries.row, entries.col] = True
    return np.take_along_axis(truth, top_items(scores, k), axis=1), truth.sum(1)


def _check_shapes(
    user_embeddings: np.ndarray, item_embeddings: np.ndarray, train: sp.csr_array, test: sp.csr_array, k: int
) -> None:
    shape = (len(user_embeddings), len(item_embeddings))
    if train.shape != shape or test.shape != shape:
        raise ValueError(f"expected train and test of shape {shape}, got {train.shape} and {test.shape}")
    if user_embeddings.shape[1:] != item_embeddings.shape[1:]:
        raise ValueError(f"embedding sizes differ: {user_embeddings.shape[1:]} and {item_embeddings.shape[1:]}")
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
