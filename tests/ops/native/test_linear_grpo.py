"""The linear loss on a CPU against float64: dtypes, threads, chunks, skipped rows, and the gradients it keeps."""

from __future__ import annotations

import pytest
import torch
from linear_problem import OPTIONS, assert_relative, in_float64, problem

from rerec_engine import ops
from rerec_engine.ops.native import products
from rerec_engine.ops.native.head import CHUNK_ROWS, TILE_COLUMNS


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("shape", [(1, 3, 5), (13, 7, 101), (CHUNK_ROWS + 45, 16, TILE_COLUMNS + 261)], ids=str)
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.bfloat16, 4e-3), (torch.float16, 4e-3)])
def test_linear_loss_equals_float64(
    two_threads: None, options: dict, shape: tuple[int, int, int], dtype: torch.dtype, tolerance: float
) -> None:
    inputs = problem(shape, dtype)
    expected, expected_metrics, expected_gradients = in_float64(inputs, **options)
    loss, metrics = ops.linear_grpo_loss(**inputs, **options)
    assert loss.item() == pytest.approx(expected.item(), abs=2e-6, rel=1e-6)
    assert set(metrics) == set(expected_metrics)
    for name, x in metrics.items():
        assert float(x) == pytest.approx(float(expected_metrics[name]), abs=2e-5, rel=2e-5), name
    found = torch.autograd.grad(loss, [inputs["hidden"], inputs["weight"]])
    assert not found[0][~inputs["mask"]].any()
    for a, b, x in zip(found, expected_gradients, (inputs["hidden"], inputs["weight"]), strict=True):
        assert a.dtype == x.dtype
        assert_relative(a, b, tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_bfloat16_products_equal_float64(two_threads: None, options: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor that multiplies bfloat16: MKL gives the same results on all."""
    if products._gemm() is None:
        pytest.skip("torch's BLAS has no product of bfloat16 into float32: a processor with AVX512 has")
    monkeypatch.setattr(products, "has_bfloat16", lambda: True)
    inputs = problem((CHUNK_ROWS + 45, 16, TILE_COLUMNS + 261), torch.bfloat16)
    expected, _, expected_gradients = in_float64(inputs, **options)
    loss, _ = ops.linear_grpo_loss(**inputs, **options)
    assert loss.item() == pytest.approx(expected.item(), abs=2e-6, rel=1e-6)
    found = torch.autograd.grad(loss, [inputs["hidden"], inputs["weight"]])
    for a, b in zip(found, expected_gradients, strict=True):
        assert_relative(a, b, 4e-3)


def test_chunks_and_threads_change_nothing_but_rounding(two_threads: None) -> None:
    inputs = problem((60, 8, 97))
    leaves = [inputs["hidden"], inputs["weight"]]
    whole = torch.autograd.grad(ops.linear_grpo_loss(**inputs, beta=0.1)[0], leaves)
    for rows in (1, 7, 60):
        room = rows * 4 * (97 + 8 * 3) / 2**20
        loss, _ = ops.linear_grpo_loss(**inputs, beta=0.1, workspace_mb=room)
        torch.testing.assert_close(torch.autograd.grad(loss, leaves), whole, rtol=1e-5, atol=1e-8)
    again = torch.autograd.grad(ops.linear_grpo_loss(**inputs, beta=0.1)[0], leaves)
    assert all(torch.equal(a, b) for a, b in zip(again, whole, strict=True))


@pytest.mark.parametrize("ratio", ["token", "entry", "sequence"])
@pytest.mark.parametrize("tokens", [0, 5], ids=["no token", "all masked"])
def test_nothing_to_train_on(tokens: int, ratio: str) -> None:
    hidden, weight = torch.randn(tokens, 7, requires_grad=True), torch.randn(101, 7, requires_grad=True)
    numbers = torch.ones(tokens)
    loss, metrics = ops.linear_grpo_loss(
        *(hidden, weight, numbers.long(), numbers, None, numbers),
        mask=torch.zeros(tokens, dtype=torch.bool),
        cu_seqlens=torch.tensor([0, tokens]),
        cu_runs=torch.tensor([0, tokens]),
        ratio=ratio,
    )
    loss.backward()
    assert loss == 0
    assert all(x == 0 for x in metrics.values())
    assert not hidden.grad.any()
    assert not weight.grad.any()


@pytest.mark.parametrize("fast", [False, True])
def test_mixed_dtypes_are_not_rounded(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "has_bfloat16", lambda: fast)
    inputs = problem((40, 8, 97))
    inputs["weight"] = inputs["weight"].detach().bfloat16().requires_grad_()
    expected, _, gradients = in_float64(inputs)
    loss, _ = ops.linear_grpo_loss(**inputs)
    assert loss.item() == pytest.approx(expected.item(), abs=2e-6)
    found = torch.autograd.grad(loss, [inputs["hidden"], inputs["weight"]])
    assert_relative(found[0], gradients[0], 1e-5)
    assert_relative(found[1], gradients[1], 4e-3)


@pytest.mark.parametrize("ratio", ["token", "entry", "sequence"])
def test_weight_gradient_into_a_given_buffer(ratio: str) -> None:
    inputs = problem((50, 8, 97))
    expected = torch.autograd.grad(ops.linear_grpo_loss(**inputs, ratio=ratio)[0], [inputs["hidden"], inputs["weight"]])
    buffer = torch.ones(97, 8)
    loss, _ = ops.linear_grpo_loss(**inputs, ratio=ratio, grad_weight_out=buffer)
    torch.testing.assert_close(buffer, 1 + expected[1], rtol=1e-5, atol=1e-7)
    (2 * loss).backward()
    torch.testing.assert_close(inputs["hidden"].grad, 2 * expected[0])
    assert inputs["weight"].grad is None


@pytest.mark.parametrize("name", ["native", "reference"])
def test_no_gradient_is_added_under_no_grad(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REREC_IMPL", name)
    inputs, buffer = problem((50, 8, 97)), torch.zeros(97, 8)
    with torch.no_grad():
        ops.linear_grpo_loss(**inputs, grad_weight_out=buffer)
    assert not buffer.any()
    ops.linear_grpo_loss(**inputs, grad_weight_out=buffer)
    assert buffer.any()


@pytest.mark.parametrize("frozen", ["weight", "hidden"])
def test_gradients_only_where_needed(frozen: str) -> None:
    inputs = problem((50, 8, 97))
    other = {"weight": "hidden", "hidden": "weight"}[frozen]
    (expected,) = torch.autograd.grad(ops.linear_grpo_loss(**inputs)[0], inputs[other])
    loss, _ = ops.linear_grpo_loss(**{**inputs, frozen: inputs[frozen].detach()})
    assert torch.equal(torch.autograd.grad(loss, inputs[other])[0], expected)
    with torch.no_grad():
        value, _ = ops.linear_grpo_loss(**inputs)
    assert not value.requires_grad
    torch.testing.assert_close(value, loss.detach())


def test_gradients_serve_one_backward_pass() -> None:
    loss, _ = ops.linear_grpo_loss(**problem((13, 7, 101)))
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="kept for one backward pass"):
        loss.backward()


def test_entropy_bonus_has_autograds_gradient() -> None:
    inputs = problem((40, 8, 97)) | {"adv": torch.zeros(40)}
    loss, _ = ops.linear_grpo_loss(**inputs, entropy_coef=1.0)
    (found,) = torch.autograd.grad(loss, inputs["hidden"])
    hidden = inputs["hidden"].detach().double().requires_grad_()
    full = torch.log_softmax(hidden @ inputs["weight"].detach().double().T, -1)
    entropy = -(full.exp() * full).sum(1)[inputs["mask"]].mean()
    assert_relative(found, -torch.autograd.grad(entropy, hidden)[0], 1e-5)


def test_masked_rows_may_be_anything() -> None:
    inputs = problem((40, 8, 97))
    clean, _ = ops.linear_grpo_loss(**inputs)
    dirty = {**inputs, "hidden": inputs["hidden"].detach().clone(), "targets": inputs["targets"].clone()}
    dirty["hidden"][~inputs["mask"]] = torch.nan
    dirty["targets"][~inputs["mask"]] = -100
    for name in ("old", "ref", "adv"):
        dirty[name] = inputs[name].masked_fill(~inputs["mask"], torch.nan)
    loss, metrics = ops.linear_grpo_loss(**{**dirty, "hidden": dirty["hidden"].requires_grad_()})
    assert torch.equal(loss, clean)
    assert all(torch.isfinite(x.float()) for x in metrics.values())


def test_nan_in_a_live_row_is_not_hidden() -> None:
    inputs = problem((40, 8, 97))
    with torch.no_grad():
        inputs["hidden"][int(inputs["mask"].nonzero()[0])] = torch.nan
    inputs["adv"] = torch.ones(40)
    assert torch.isnan(ops.linear_grpo_loss(**inputs)[0])
