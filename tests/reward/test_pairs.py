"""QAS and PAS of pairs, and NDCG of padded rankings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reward_reference as reference
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from reward_reference import TITLES
from sklearn.metrics import ndcg_score

from rerec_engine.errors import UserError
from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.reward import RewardEngine, ndcg

N = len(TITLES)
MAKERS = [
    lambda x: np.asarray(x, np.int32),
    lambda x: np.asarray(x, np.int64),
    lambda x: torch.tensor(x),
    lambda x: torch.tensor(x, dtype=torch.int32),
]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("threads", [1, 3])
def test_pairs(catalogue: Catalogue, threads: int, make: Any) -> None:
    """Rows of 0 to 90 attributes: short and long lists are compared in different ways."""
    rng = np.random.default_rng(3)
    has = rng.random((N, 120)) < np.linspace(0, 0.9, N)[:, None]
    table = rng.normal(size=(N, 37)).astype(np.float32)  # no multiple of the vector's width
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    engine = RewardEngine(catalogue, sp.csr_matrix(has.astype(np.float32)), table, threads=threads)
    items, truth = rng.integers(-1, N, 3000), rng.integers(0, N, 3000)
    known = items >= 0
    common = (has[items] & has[truth]).sum(1) * known
    expected = common / np.maximum(has[truth].sum(1), 1)
    np.testing.assert_allclose(engine.qas(make(items), make(truth)), expected, atol=1e-6)
    cosines = np.einsum("nd,nd->n", table[items].astype(np.float64), table[truth]) * known
    np.testing.assert_allclose(engine.pas(make(items), make(truth)), cosines, atol=1e-6)


def test_bad_pairs(engine: RewardEngine) -> None:
    for function in (engine.qas, engine.pas):
        with pytest.raises(UserError, match=r"items must be in -1..11, got 12..12"):
            function([12], [0])
        with pytest.raises(UserError, match=r"ground_truth must be in 0..11, got -1..-1"):
            function([1], [-1])
        with pytest.raises(UserError, match=r"must be \[P\], got \[2\] and \[1\]"):
            function([1, 2], [0])
        with pytest.raises(UserError, match="must hold item ids"):
            function([0.5], [0])
        assert function([], []).shape == (0,)


@given(
    ranking=st.lists(st.integers(0, 30), unique=True, min_size=2, max_size=20),
    truth=st.sets(st.integers(0, 30), min_size=1, max_size=6),
    k=st.integers(1, 25),
    make=st.sampled_from(MAKERS),
)
def test_ndcg(ranking: list[int], truth: set[int], k: int, make: Any) -> None:
    rows = make([[*ranking, -1, -1]] * 3)
    result = ndcg(rows, make([[*truth, -1]] * 3), k, threads=2)
    expected = reference.ndcg(ranking, sorted(truth), k)
    assert result.tolist() == pytest.approx([expected] * 3, abs=1e-6)
    if truth <= set(ranking):
        relevant = np.array([[item in truth for item in ranking]], float)
        assert expected == pytest.approx(ndcg_score(relevant, -np.arange(len(ranking))[None].astype(float), k=k))


def test_ndcg_edges() -> None:
    assert ndcg([[1, 1, 2]], [1], 3).tolist() == [1.0]
    assert ndcg([[2, 1, 1]], [1], 3)[0] == pytest.approx(1 / np.log2(3))
    assert ndcg([[1, 2]], [[-1, -1]], 2).tolist() == [0.0]
    assert ndcg(np.zeros((0, 4), int), np.zeros(0, int), 2).shape == (0,)
    assert ndcg([[5, 6]], [6], 1).tolist() == [0.0]
    with pytest.raises(UserError, match=r"k must be in 1..1000"):
        ndcg([[1]], [1], 0)
    with pytest.raises(UserError, match=r"items must be \[B, R\]"):
        ndcg([1], [1], 1)
    with pytest.raises(UserError, match="must hold item ids"):
        ndcg([[1.5]], [1], 1)
