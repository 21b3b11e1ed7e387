"""LightGCN against a float64 dense reference: propagation, loss, gradient and a whole training; and its edges."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.autograd import gradcheck, gradgradcheck

from rerec_engine.errors import UserError
from rerec_engine.graph import lightgcn
from rerec_engine.graph.bpr import BprSampler
from rerec_engine.graph.interactions import binary_interactions
from rerec_engine.graph.lightgcn import bpr_loss, item_embeddings, normalized_adjacency, propagate, train_lightgcn

SHAPES = [(1, 2, 0.5), (7, 5, 0.5), (13, 31, 0.2), (40, 23, 0.05)]  # users, items, density


def random_interactions(users: int, items: int, density: float, seed: int = 0) -> sp.csr_array:
    met = np.random.default_rng(seed).random((users, items)) < density
    met[0, 0] = True
    met[:, -1] = False  # an item that nobody met
    return sp.csr_array(met.astype(np.float32))


def dense_adjacency(matrix: sp.csr_array) -> torch.Tensor:
    """D^-1/2 [[0, R], [R^T, 0]] D^-1/2, entry by entry from the definition; float64."""
    met = torch.from_numpy(matrix.toarray().astype(np.float64))
    users, items = met.shape
    full = torch.zeros(users + items, users + items, dtype=torch.float64)
    for u in range(users):
        for i in range(items):
            if met[u, i]:
                full[u, users + i] = full[users + i, u] = 1 / (met[u].sum() * met[:, i].sum()).sqrt()
    return full


def dense_propagate(ego: torch.Tensor, adjacency: torch.Tensor, layers: int) -> torch.Tensor:
    return torch.stack([torch.linalg.matrix_power(adjacency, k) @ ego for k in range(layers + 1)]).mean(0)


def dense_loss(final: torch.Tensor, ego: torch.Tensor, nodes: torch.Tensor, weight_decay: float) -> torch.Tensor:
    """-ln sigmoid(y_ui - y_uj) + weight_decay / 2 (|e_u|^2 + |e_i|^2 + |e_j|^2), averaged triple by triple."""
    terms = []
    for u, i, j in nodes.T.tolist():
        margin = final[u] @ final[i] - final[u] @ final[j]
        norms = sum(ego[node] @ ego[node] for node in (u, i, j))
        terms.append(-torch.log(torch.sigmoid(margin)) + weight_decay / 2 * norms)
    return torch.stack(terms).mean()


def random_nodes(users: int, items: int, size: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    first = torch.randint(users, (1, size), generator=generator)
    return torch.cat(
        [first, users + torch.randint(items, (2, size), generator=generator)]
    )  # [3, size], repeats included


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_adjacency_is_the_symmetric_normalisation(shape: tuple[int, int, float]) -> None:
    matrix = random_interactions(*shape)
    adjacency = normalized_adjacency(matrix, torch.float64).to_dense()
    torch.testing.assert_close(adjacency, dense_adjacency(matrix), rtol=1e-14, atol=0)
    assert torch.equal(adjacency, adjacency.T)


@pytest.mark.parametrize("layers", [0, 1, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-13), (torch.float32, 1e-6)], ids=["fp64", "fp32"])
def test_propagation_loss_and_gradient_equal_the_dense_reference(
    shape: tuple[int, int, float], layers: int, dtype: torch.dtype, tolerance: float
) -> None:
    matrix = random_interactions(*shape)
    users, items = matrix.shape
    nodes = random_nodes(users, items, size=17)
    start = torch.randn(users + items, 6, generator=torch.Generator().manual_seed(0)).double()
    truth_ego = start.clone().requires_grad_()
    truth = dense_propagate(truth_ego, dense_adjacency(matrix), layers)
    truth_loss = dense_loss(truth, truth_ego, nodes, 0.1)
    truth_loss.backward()

    ego = start.to(dtype).requires_grad_()
    final = propagate(ego, normalized_adjacency(matrix, dtype), layers)
    loss = bpr_loss(final, ego, nodes, 0.1)
    loss.backward()
    close = {"rtol": tolerance, "atol": tolerance, "check_dtype": False}
    torch.testing.assert_close(final, truth, **close)
    torch.testing.assert_close(loss, truth_loss, **close)
    torch.testing.assert_close(ego.grad, truth_ego.grad, **close)


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_gradcheck(layers: int) -> None:
    matrix = random_interactions(5, 4, 0.5)
    adjacency = normalized_adjacency(matrix, torch.float64)
    nodes = random_nodes(5, 4, size=6)
    ego = torch.randn(9, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert gradcheck(lambda e: propagate(e, adjacency, layers), ego)
    assert gradgradcheck(lambda e: propagate(e, adjacency, layers), ego)
    assert gradcheck(lambda e: bpr_loss(propagate(e, adjacency, layers), e, nodes, 0.1), ego)


@pytest.mark.parametrize("batch", [7, 1000], ids=["ragged-batches", "one-batch"])
def test_training_equals_a_dense_float64_training(batch: int) -> None:
    matrix = random_interactions(13, 31, 0.2)
    users, items = matrix.shape
    settings = dict(dim=5, layers=3, epochs=4, learning_rate=0.01, weight_decay=0.01, batch=batch, seed=3)
    result = train_lightgcn(matrix, **settings)  # type: ignore[arg-type]

    adjacency = dense_adjacency(matrix)
    start = torch.empty(users + items, 5).normal_(0, lightgcn.INIT_STD, generator=torch.Generator().manual_seed(3))
    ego = start.double().requires_grad_()
    optimizer = torch.optim.Adam([ego], lr=0.01)
    sampler = BprSampler(binary_interactions(matrix), seed=3)
    for epoch in range(4):
        triples = sampler.epoch()
        losses = []
        for at in range(0, len(sampler), batch):
            u, i, j = (torch.from_numpy(array[at : at + batch]) for array in triples)
            nodes = torch.stack([u, i + users, j + users])
            loss = dense_loss(dense_propagate(ego, adjacency, 3), ego, nodes, 0.01)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses += [loss.item()] * len(u)
        assert result.loss[epoch] == pytest.approx(np.mean(losses), rel=1e-5)
    final = dense_propagate(ego.detach(), adjacency, 3).numpy()
    np.testing.assert_allclose(result.user_embeddings, final[:users], atol=1e-5)
    np.testing.assert_allclose(result.item_embeddings, final[users:], atol=1e-5)


def test_result_has_the_promised_shapes_and_dtypes() -> None:
    result = train_lightgcn(random_interactions(13, 31, 0.2), dim=3, epochs=2)
    assert result.user_embeddings.shape == (13, 3)
    assert result.item_embeddings.shape == (31, 3)
    assert result.user_embeddings.dtype == result.item_embeddings.dtype == np.float32
    assert len(result.loss) == 2


def test_communities_become_near() -> None:
    rng = np.random.default_rng(0)
    block = np.kron(np.eye(2), np.ones((30, 20))) * (rng.random((60, 40)) < 0.4)
    rows = item_embeddings(sp.csr_array(block), dim=8, epochs=40, learning_rate=0.05, batch=128)
    cosines = rows @ rows.T
    within, across = cosines[:20, :20].mean(), cosines[:20, 20:].mean()
    assert within > across + 0.5


def test_item_rows_have_length_one_and_an_unmet_item_is_zero() -> None:
    rows = item_embeddings(random_interactions(13, 31, 0.2), dim=4, epochs=1)
    met = np.asarray(random_interactions(13, 31, 0.2).sum(0)).ravel() > 0
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows[met], axis=1), 1, atol=1e-6)
    assert not rows[~met].any()
    assert (~met).sum() >= 1


def test_weights_above_zero_count_alike() -> None:
    matrix = random_interactions(13, 31, 0.2)
    rated = matrix.copy()
    rated.data = np.random.default_rng(0).integers(1, 6, rated.nnz).astype(np.float32)
    np.testing.assert_array_equal(item_embeddings(rated, dim=4, epochs=2), item_embeddings(matrix, dim=4, epochs=2))


def test_a_seed_fixes_every_bit_and_leaves_the_global_state_alone() -> None:
    matrix = random_interactions(40, 23, 0.2)
    torch_state, threads = torch.get_rng_state(), torch.get_num_threads()
    first = train_lightgcn(matrix, dim=8, epochs=3, seed=5, batch=50, threads=2)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), torch_state)
    torch.manual_seed(99)
    second = train_lightgcn(matrix, dim=8, epochs=3, seed=5, batch=50, threads=2)
    other = train_lightgcn(matrix, dim=8, epochs=3, seed=6, batch=50, threads=2)
    np.testing.assert_array_equal(first.item_embeddings, second.item_embeddings)
    np.testing.assert_array_equal(first.user_embeddings, second.user_embeddings)
    assert first.loss == second.loss
    assert (first.item_embeddings != other.item_embeddings).any()


def test_threads_are_restored_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    seen = []

    def interrupted(self: BprSampler) -> None:
        seen.append(torch.get_num_threads())
        raise KeyboardInterrupt

    monkeypatch.setattr(BprSampler, "epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_lightgcn(random_interactions(13, 31, 0.2), threads=before + 1)
    assert seen == [before + 1]
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    "name, value",
    [
        ("dim", 0),
        ("layers", -1),
        ("epochs", 0),
        ("batch", 0),
        ("threads", -1),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("weight_decay", -1e-4),
        ("weight_decay", float("inf")),
        ("device", "warp"),
    ],
)
def test_a_setting_out_of_range_is_named(name: str, value: object) -> None:
    with pytest.raises(UserError, match=f"{name}.*{value}"):
        train_lightgcn(random_interactions(7, 5, 0.5), **{name: value})  # type: ignore[arg-type]


def test_a_bad_matrix_is_refused() -> None:
    with pytest.raises(UserError, match="no interaction"):
        item_embeddings(sp.csr_array((3, 4)))
    negative = random_interactions(7, 5, 0.5)
    negative.data[0] = -1
    with pytest.raises(UserError, match=r"weight -1.0 at user 0, item 0"):
        train_lightgcn(negative)
    with pytest.raises(UserError, match="every user with an interaction has met every item"):
        train_lightgcn(sp.csr_array(np.array([[1.0, 1.0], [0.0, 0.0]])))


def test_divergence_is_an_error_that_names_the_learning_rate() -> None:
    with pytest.raises(UserError, match="loss .* in epoch [12], lower learning_rate"):
        train_lightgcn(random_interactions(13, 31, 0.2), learning_rate=1e25, epochs=2)


def test_progress_is_silent_unless_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    matrix = random_interactions(7, 5, 0.5)
    train_lightgcn(matrix, dim=2, epochs=1)
    assert capsys.readouterr() == ("", "")
    train_lightgcn(matrix, dim=2, epochs=1, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "LightGCN" in err
    assert "loss 0." in err


def test_a_missing_cuda_device_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="device cuda is not available"):
        train_lightgcn(random_interactions(7, 5, 0.5), device="cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: run it on a machine with one")
def test_cuda_trains_what_the_cpu_trains() -> None:
    matrix = random_interactions(40, 23, 0.2)
    here = train_lightgcn(matrix, dim=8, epochs=3, batch=50)
    there = train_lightgcn(matrix, dim=8, epochs=3, batch=50, device="cuda")
    np.testing.assert_allclose(there.item_embeddings, here.item_embeddings, atol=1e-4)
