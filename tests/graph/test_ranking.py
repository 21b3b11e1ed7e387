"""Full-ranking Recall@k and NDCG@k against a worked example and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from sklearn.metrics import ndcg_score

from rerec_engine.graph.ranking import full_ranking, top_items


def csr(rows: list[list[int]]) -> sp.csr_array:
    return sp.csr_array(np.array(rows, dtype=np.float32))


def test_worked_example() -> None:
    scores = np.array([[9.0, 8, 7, 6, 5], [1, 2, 3, 4, 5], [0, 0, 0, 0, 0]])
    train = csr([[1, 0, 0, 0, 0], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0]])
    test = csr([[0, 0, 1, 0, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]])
    # User 0 is shown items 1, 2, 3, of which 2 is right, and 4 is missed. User 1 is shown 4, 3, 2, of which 4 is right.
    # User 2 has no test item and does not count.
    metrics = full_ranking(scores, np.eye(5), train, test, k=3)
    first = (1 / math.log2(3)) / (1 + 1 / math.log2(3))
    assert metrics.users == 2
    assert metrics.recall == pytest.approx((0.5 + 1) / 2)
    assert metrics.ndcg == pytest.approx((first + 1) / 2)


@pytest.mark.parametrize("users, items, k", [(1, 2, 1), (13, 31, 5), (40, 17, 20), (7, 101, 20)])
def test_against_scikit_learn(users: int, items: int, k: int) -> None:
    rng = np.random.default_rng(users * items)
    scores = rng.permuted(np.tile(np.arange(items, dtype=np.float64), (users, 1)), axis=1)
    held = rng.random((users, items))
    train, test = held < 0.3, held > 0.7
    test[0], train[0] = False, False
    test[0, 0] = True
    masked = np.where(train, -1.0, scores)
    tested = np.flatnonzero(test.any(1))
    ndcg = np.mean([ndcg_score(test[[u]], masked[[u]], k=k) for u in tested])
    top = np.argsort(-masked, axis=1)[:, :k]
    recall = np.mean([test[u, top[u]].sum() / test[u].sum() for u in tested])
    for users_at_once in (3, 1024):
        metrics = full_ranking(
            scores, np.eye(items), sp.csr_array(train), sp.csr_array(test), k=k, users_at_once=users_at_once
        )
        assert metrics.users == len(tested)
        assert metrics.ndcg == pytest.approx(ndcg, abs=1e-12)
        assert metrics.recall == pytest.approx(recall, abs=1e-12)


@given(
    scores=arrays(
        np.float32, array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.sampled_from([-np.inf, 0, 1, 2])
    ),
    k=st.integers(1, 10),
)
def test_top_items_is_a_stable_sort(scores: np.ndarray, k: int) -> None:
    np.testing.assert_array_equal(top_items(scores, k), np.argsort(-scores, axis=1, kind="stable")[:, :k])


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(test=csr([[0, 0]])), "holds no item"),
        (dict(test=csr([[1, 1]])), "both in train and in test"),
        (dict(test=csr([[0, 1, 0]])), "expected train and test of shape"),
        (dict(k=0), "k must be at least 1"),
        (dict(user_embeddings=np.ones((1, 4))), "sizes differ"),
        (dict(user_embeddings=np.array([[np.nan, 1, 1]])), "not finite"),
    ],
    ids=["no-test", "overlap", "shape", "k", "dim", "nan"],
)
def test_bad_input_is_named(change: dict[str, object], message: str) -> None:
    good: dict[str, object] = dict(
        user_embeddings=np.ones((1, 3)), item_embeddings=np.ones((2, 3)), train=csr([[1, 0]]), test=csr([[0, 1]]), k=20
    )
    with pytest.raises(ValueError, match=message):
        full_ranking(**(good | change))  # type: ignore[arg-type]


def test_stored_zeros_are_no_items() -> None:
    stored = sp.csr_array((np.array([0.0, 1.0]), np.array([0, 1]), np.array([0, 2])), shape=(1, 2))
    metrics = full_ranking(np.ones((1, 1)), np.array([[2.0], [1.0]]), csr([[0, 0]]), stored, k=1)
    assert metrics == (0.0, 0.0, 1)
    assert stored.nnz == 2
