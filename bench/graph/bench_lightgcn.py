"""LightGCN on ml-100k: the published settings' ranking quality, and an epoch against two other sparse products.

Needs the folder `ml-100k` (RecBole's atomic files) below `$REREC_SHARED_DATA`, else `../shared/data`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.common.data import missing_data, shared_data
from rerec_engine.graph import lightgcn
from rerec_engine.graph.ranking import full_ranking

SEED = 2020
EPOCHS = 200  # ranking still improves slowly here; the floors below are passed at about 150


class Split(NamedTuple):
    train: sp.csr_array  # [U, N]
    test: sp.csr_array  # [U, N]


@pytest.fixture(scope="module")
def ml100k() -> Split:
    """Every rating as an interaction; a random fifth of each user's held out."""
    if reason := missing_data("ml-100k"):
        pytest.skip(reason)
    path = shared_data() / "ml-100k" / "ml-100k.inter"
    rows = np.loadtxt(path, dtype=np.int64, skiprows=1, usecols=(0, 1))
    users, items = (np.unique(column, return_inverse=True)[1] for column in rows.T)
    degree = np.bincount(users)
    order = np.random.default_rng(SEED).permutation(len(users))
    order = order[np.argsort(users[order], kind="stable")]  # by user, random within
    rank = np.arange(len(users)) - np.repeat(np.cumsum(degree) - degree, degree)
    held_out = rank < np.repeat(np.rint(0.2 * degree), degree)

    def matrix(of: np.ndarray) -> sp.csr_array:
        ones = np.ones(len(of), dtype=np.float32)
        return sp.csr_array((ones, (users[of], items[of])), shape=(users.max() + 1, items.max() + 1))

    return Split(matrix(order[~held_out]), matrix(order[held_out]))


@pytest.mark.benchmark(group="LightGCN, ml-100k, training with the published settings, 1 thread")
def test_quality(benchmark: BenchmarkFixture, ml100k: Split) -> None:
    """64 dimensions, 3 layers, Adam 1e-3, lambda 1e-4, batch 2048 (the train-time defaults)."""
    result = benchmark.pedantic(
        lightgcn.train_lightgcn, (ml100k.train,), dict(epochs=EPOCHS, seed=SEED, threads=1), rounds=1, iterations=1
    )
    metrics = full_ranking(result.user_embeddings, result.item_embeddings, ml100k.train, ml100k.test, k=20)
    benchmark.extra_info |= {
        "recall@20": round(metrics.recall, 4),
        "ndcg@20": round(metrics.ndcg, 4),
        "users": metrics.users,
        "epochs": EPOCHS,
        "interactions": int(ml100k.train.nnz),
        "final loss": round(result.loss[-1], 4),
    }
    assert metrics.recall >= 0.33
    assert metrics.ndcg >= 0.40


def coo_propagate(ego: torch.Tensor, adjacency: torch.Tensor, layers: int) -> torch.Tensor:
    """As in the published LightGCN-PyTorch: COO products under autograd, the layers stacked, then averaged."""
    each = [ego]
    for _ in range(layers):
        each.append(torch.sparse.mm(coo(adjacency), each[-1]))
    return torch.stack(each, dim=1).mean(dim=1)


class ScipyPropagate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ego: torch.Tensor, adjacency: torch.Tensor, layers: int) -> torch.Tensor:
        ctx.adjacency, ctx.layers = adjacency, layers
        current = total = ego.detach().numpy()
        for _ in range(layers):
            current = scipy_csr(adjacency) @ current
            total = total + current
        return torch.from_numpy(total / (layers + 1))

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return ScipyPropagate.forward(ctx, grad.contiguous(), ctx.adjacency, ctx.layers), None, None


@lru_cache(maxsize=1)
def coo(adjacency: torch.Tensor) -> torch.Tensor:
    return adjacency.to_sparse_coo().coalesce()


@lru_cache(maxsize=1)
def scipy_csr(adjacency: torch.Tensor) -> sp.csr_array:
    parts = (adjacency.values(), adjacency.col_indices(), adjacency.crow_indices())
    return sp.csr_array(tuple(part.numpy() for part in parts), shape=tuple(adjacency.shape))


PRODUCTS = {"torch-csr": lightgcn.propagate, "torch-coo": coo_propagate, "scipy-csr": ScipyPropagate.apply}


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.benchmark(group="LightGCN, ml-100k, one epoch, 1 thread")
def test_epoch(benchmark: BenchmarkFixture, monkeypatch: pytest.MonkeyPatch, ml100k: Split, product: str) -> None:
    """The same epoch (sampling, loss, Adam) with the propagation exchanged; torch-csr is the package's own."""
    propagate = PRODUCTS[product]
    adjacency = lightgcn.normalized_adjacency(ml100k.train)
    ego, grad = torch.randn(2, adjacency.shape[0], 64, generator=torch.Generator().manual_seed(0)).unbind()
    for theirs, ours in zip(
        value_and_gradient(propagate, ego, grad, adjacency), dense(ego, grad, adjacency), strict=True
    ):
        torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=1e-5)

    monkeypatch.setattr(lightgcn, "propagate", propagate)
    result = benchmark.pedantic(
        lightgcn.train_lightgcn, (ml100k.train,), dict(epochs=1, threads=1), rounds=5, iterations=1, warmup_rounds=1
    )
    benchmark.extra_info |= {"entries of A": adjacency.values().numel(), "triples": int(ml100k.train.nnz)}
    assert result.loss[0] == pytest.approx(np.log(2), abs=0.01)


def value_and_gradient(
    propagate: Any, ego: torch.Tensor, grad: torch.Tensor, adjacency: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    leaf = ego.clone().requires_grad_()
    final = propagate(leaf, adjacency, 3)
    return final.detach(), torch.autograd.grad(final, leaf, grad)[0]


def dense(ego: torch.Tensor, grad: torch.Tensor, adjacency: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What `value_and_gradient` must give, in float64 from the dense matrix."""
    matrix = adjacency.to_dense().double()
    values = []
    for start in (ego.double(), grad.double()):
        layers = [start]
        for _ in range(3):
            layers.append(matrix @ layers[-1])
        values.append(torch.stack(layers).mean(0).float())
    return values[0], values[1]
