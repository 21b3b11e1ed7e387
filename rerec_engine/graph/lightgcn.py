"""LightGCN (He et al., SIGIR 2020, arXiv 2002.02126): item and user embeddings from the user-item graph.

    E^(k+1) = A E^(k),  A = D^-1/2 [[0, R], [R^T, 0]] D^-1/2          (eq. 7, 8)
    F = 1/(K+1) sum_k E^(k)                                            (eq. 4, alpha_k = 1/(K+1))
    L = mean softplus(f_u . f_j - f_u . f_i) + lambda/(2B) sum |e|^2   (eq. 15; e: the batch's rows of E^(0))

Only E^(0) is trained. A is symmetric, so F's Jacobian is its own transpose: the backward pass is the forward pass.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F

from rerec_engine.cli import progress_bar
from rerec_engine.errors import UserError
from rerec_engine.graph.bpr import BprSampler, Triples
from rerec_engine.graph.interactions import binary_interactions, unit_item_rows

INIT_STD = 0.1  # of E^(0), as in the published code


@dataclass(frozen=True)
class LightGCNResult:
    """Trained embeddings (F, propagated); their dot product is a user's score for an item."""

    user_embeddings: np.ndarray  # [U, d] float32
    item_embeddings: np.ndarray  # [N, d] float32
    loss: list[float]  # mean over the triples of each epoch, penalty included


def train_lightgcn(
    interactions: sp.spmatrix | sp.sparray,  # [U, N]
    *,
    dim: int = 64,
    layers: int = 3,
    epochs: int = 100,
    learning_rate: float = 1e-3,
    weight_decay: float = 1e-4,
    batch: int = 2048,
    seed: int = 0,
    threads: int = 0,
    device: str | torch.device = "cpu",
    progress: bool = False,
) -> LightGCNResult:
    """Train on every positive entry of `interactions`, as one interaction whatever its weight, by Adam on BPR triples.

    weight_decay is lambda of the module's loss. threads bounds torch's CPU threads for the duration of the call; 0
    leaves them as they are. The same arguments give the same bits on CPU; on CUDA, sums into shared rows have no fixed
    order.

    Raises: UserError for a bad matrix (see `interactions.weighted_interactions`), a setting out of range, a matrix in
        which every user has met every item, and a loss that is no longer finite.
    """
    _check_settings(dim, layers, epochs, learning_rate, weight_decay, batch, threads)
    place = _device(device)
    matrix = binary_interactions(interactions)
    sampler = BprSampler(matrix, seed)
    if len(sampler) == 0:
        raise UserError("interactions: every user with an interaction has met every item, nothing to rank")
    users, _ = matrix.shape
    with _torch_threads(threads):
        adjacency = normalized_adjacency(matrix).to(place)
        generator = torch.Generator().manual_seed(seed)
        initial = torch.empty(sum(matrix.shape), dim).normal_(0, INIT_STD, generator=generator)
        ego = initial.to(place).requires_grad_()  # [U + N, d]
        optimizer = torch.optim.Adam([ego], lr=learning_rate, fused=True)
        losses = []
        with progress_bar(epochs, "LightGCN", "epoch", shown=progress) as bar:
            for epoch in range(1, epochs + 1):
                loss = _epoch(ego, adjacency, layers, optimizer, sampler.epoch(), users, batch, weight_decay)
                if not np.isfinite(loss):
                    raise UserError(
                        f"LightGCN: loss {loss} in epoch {epoch}, lower learning_rate (now {learning_rate})"
                    )
                losses.append(loss)
                bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
                bar.update()
        final = propagate(ego.detach(), adjacency, layers).cpu().numpy()
    return LightGCNResult(final[:users].copy(), final[users:].copy(), losses)


def item_embeddings(
    interactions: sp.spmatrix | sp.sparray,  # [U, N]
    **settings: Any,
) -> np.ndarray:
    """Item rows of `train_lightgcn` (same settings and errors), scaled to length 1; float32 [N, d].

    An item without any interaction has the zero row: its cosine with every item is 0.
    """
    matrix = binary_interactions(interactions)
    return unit_item_rows(train_lightgcn(matrix, **settings).item_embeddings, matrix)


def normalized_adjacency(
    interactions: sp.csr_array,  # [U, N], canonical
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """A of the module's formula, a symmetric torch CSR tensor [U + N, U + N]; zero rows where a node has no edge."""
    users, items = interactions.shape
    transposed = interactions.T.tocsr()
    user_degree = np.diff(interactions.indptr).astype(np.float64)
    item_degree = np.diff(transposed.indptr).astype(np.float64)
    per_edge = [
        (np.repeat(user_degree, np.diff(interactions.indptr)) * item_degree[interactions.indices]) ** -0.5,
        (np.repeat(item_degree, np.diff(transposed.indptr)) * user_degree[transposed.indices]) ** -0.5,
    ]
    # MKL's interface takes 32-bit indices; torch would convert 64-bit ones at every product.
    index = np.int32 if 2 * interactions.nnz < 2**31 else np.int64
    crow = np.concatenate([interactions.indptr, transposed.indptr[1:].astype(np.int64) + interactions.nnz])
    columns = np.concatenate([interactions.indices + np.int64(users), transposed.indices])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
        return torch.sparse_csr_tensor(
            torch.from_numpy(crow.astype(index)),
            torch.from_numpy(columns.astype(index)),
            torch.from_numpy(np.concatenate(per_edge)).to(dtype),
            size=(users + items, users + items),
            check_invariants=False,
        )


class _Propagate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ego: torch.Tensor, adjacency: torch.Tensor, layers: int) -> torch.Tensor:
        ctx.adjacency, ctx.layers = adjacency, layers
        # Horner's form of the sum over layers: I + A + A^2 + A^3 = I + A (I + A (I + A)), one fused product a layer.
        total = ego
        for _ in range(layers):
            total = torch.addmm(ego, adjacency, total)
        return total / (layers + 1)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return propagate(grad.contiguous(), ctx.adjacency, ctx.layers), None, None


def propagate(
    ego: torch.Tensor,  # [n, d]
    adjacency: torch.Tensor,  # [n, n] symmetric CSR
    layers: int,
) -> torch.Tensor:
    """Mean of E^(0..K), [n, d]; differentiable in `ego`, to any order."""
    return _Propagate.apply(ego, adjacency, layers)


def bpr_loss(
    final: torch.Tensor,  # [n, d]
    ego: torch.Tensor,  # [n, d]
    nodes: torch.Tensor,  # [3, B] int64 rows: users, positives, negatives
    weight_decay: float,
) -> torch.Tensor:
    """L of the module's formula over one batch, a scalar."""
    size = nodes.shape[1]
    flat = nodes.reshape(-1)
    user, positive, negative = final.index_select(0, flat).view(3, size, -1).unbind()  # [B, d] each
    ranking = F.softplus((user * (negative - positive)).sum(1)).mean()
    penalty = ego.index_select(0, flat).square().sum() / (2 * size)
    return ranking + weight_decay * penalty


def _epoch(
    ego: torch.Tensor,  # [n, d]
    adjacency: torch.Tensor,  # [n, n]
    layers: int,
    optimizer: torch.optim.Optimizer,
    triples: Triples,
    users: int,
    batch: int,
    weight_decay: float,
) -> float:
    """One pass over the triples; the mean loss of a triple."""
    rows = np.stack([triples.users, triples.positives + users, triples.negatives + users])  # [3, n]
    nodes = torch.from_numpy(rows).to(ego.device)
    total = torch.zeros((), device=ego.device)
    for part in nodes.split(batch, dim=1):
        optimizer.zero_grad()
        loss = bpr_loss(propagate(ego, adjacency, layers), ego, part, weight_decay)
        loss.backward()
        optimizer.step()
        total += loss.detach() * part.shape[1]
    return float(total) / nodes.shape[1]


def _check_settings(
    dim: int, layers: int, epochs: int, learning_rate: float, weight_decay: float, batch: int, threads: int
) -> None:
    for name, value, least in (
        ("dim", dim, 1),
        ("layers", layers, 0),
        ("epochs", epochs, 1),
        ("batch", batch, 1),
        ("threads", threads, 0),
    ):
        if value < least:
            raise UserError(f"LightGCN: {name} must be at least {least}, got {value}")
    if not 0 < learning_rate < float("inf"):
        raise UserError(f"LightGCN: learning_rate must be positive and finite, got {learning_rate}")
    if not 0 <= weight_decay < float("inf"):
        raise UserError(f"LightGCN: weight_decay must be finite and not negative, got {weight_decay}")


def _device(device: str | torch.device) -> torch.device:
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise UserError(f"LightGCN: unknown device {device!r}") from error
    if place.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"LightGCN: device {device} is not available here, use cpu")
    return place


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    if threads == 0:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
