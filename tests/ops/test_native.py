"""The C++ passes and the CPU ops over them, against float64: every instruction set, threads, chunks, skipped rows."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from rerec_engine import _core, ops
from rerec_engine.ops import reference
from rerec_engine.ops.native import pool, products
from rerec_engine.ops.native.head import CHUNK_ROWS, TILE_COLUMNS, Head

LOG2E = np.log2(np.e)
COLUMNS = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 1023]


@pytest.fixture(params=_core.vector_levels())
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    assert _core.set_vector_level(request.param)
    yield request.param
    _core.set_vector_level(_core.vector_levels()[0])


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two shares of the vocabulary, however small the job."""
    monkeypatch.setattr(pool, "SMALL", 0)
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


def softmax_state(rows: int) -> np.ndarray:
    state = np.zeros((1, 3, rows), np.float32)
    state[:, 0] = -np.inf
    return state


def fold(z: np.ndarray, targets: np.ndarray, temperature: float, softcap: float, cuts: list[int]) -> list[np.ndarray]:
    """logp, entropy and lse of whole rows of logits, given to the C++ passes in pieces cut at `cuts`."""
    rows, columns = z.shape
    state, picked = softmax_state(rows), np.zeros(rows, np.float32)
    bounds = [0, *cuts, columns]
    for start, stop in pairwise(bounds):
        piece = np.ascontiguousarray(z[:, start:stop])
        _core.fold_logits(piece, start, targets, LOG2E / temperature, softcap, *state[0], picked)
    out = [np.empty(rows, np.float32) for _ in range(3)]
    _core.merge_softmax(state, picked, LOG2E / temperature, *out)
    return out


def truth(z: np.ndarray, targets: np.ndarray, temperature: float, softcap: float) -> tuple[torch.Tensor, ...]:
    """The same by torch in float64, with the logits that they are functions of."""
    raw = torch.from_numpy(z).double().requires_grad_()
    x = (softcap * torch.tanh(raw / softcap) if softcap else raw) / temperature
    full = torch.log_softmax(x, -1)
    logp = full.gather(1, torch.from_numpy(targets)[:, None]).squeeze(1)
    return raw, logp, -(full.exp() * full).sum(1), torch.logsumexp(x, 1)


def logits(rows: int, columns: int, scale: float = 3.0, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(columns)
    return (rng.normal(size=(rows, columns)) * scale + shift).astype(np.float32), rng.integers(0, columns, rows)


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("temperature, softcap", [(1.0, 0.0), (0.7, 0.0), (1.3, 5.0)])
def test_passes_equal_float64(level: str, columns: int, temperature: float, softcap: float) -> None:
    z, targets = logits(5, columns)
    cuts = sorted({columns // 3, columns // 2} - {0, columns})
    raw, *expected = truth(z, targets, temperature, softcap)
    found = fold(z.copy(), targets, temperature, softcap, cuts)
    for name, a, b in zip(("logp", "entropy", "lse"), found, expected, strict=True):
        np.testing.assert_allclose(a, b.detach(), atol=4e-6, rtol=0, err_msg=name)
    g_logp, g_entropy, g_lse = (np.linspace(-1, 1, 5, dtype=np.float32) * k for k in (1.0, 0.3, -0.5))
    (expected_dz,) = torch.autograd.grad(
        expected, raw, [torch.from_numpy(g).double() for g in (g_logp, g_entropy, g_lse)]
    )
    base = g_lse - g_logp - g_entropy * found[1]
    dz = np.empty_like(z)
    for start, stop in zip([0, *cuts], [*cuts, columns], strict=True):
        piece = np.ascontiguousarray(z[:, start:stop])
        rest = (found[2], base, -g_entropy, g_logp)
        _core.logit_gradient(piece, start, targets, LOG2E / temperature, softcap, False, *rest)
        dz[:, start:stop] = piece
    np.testing.assert_allclose(dz, expected_dz, atol=4e-6, rtol=0)


def test_gradient_of_logits_that_are_capped_already(level: str) -> None:
    z, targets = logits(3, 37)
    one = np.ones(3, np.float32)
    plain, capped = z.copy(), (5 * np.tanh(z.astype(np.float64) / 5)).astype(np.float32)
    for array, done in ((plain, False), (capped, True)):
        _core.logit_gradient(array, 0, targets, LOG2E, 5.0, done, one * 4, -one, None, one)
    np.testing.assert_allclose(plain, capped, atol=2e-6)


@pytest.mark.parametrize("shift, scale", [(-120.0, 0.0), (120.0, 1.0), (0.0, 60.0), (-3e4, 1e3)])
def test_extreme_logits(level: str, shift: float, scale: float) -> None:
    z, targets = logits(4, 384, scale, shift)
    _, *expected = truth(z, targets, 1.0, 0.0)
    for a, b in zip(fold(z.copy(), targets, 1.0, 0.0, [128]), expected, strict=True):
        np.testing.assert_allclose(a, b.detach(), atol=2e-5, rtol=3e-7)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 16, 36])
def test_nan_is_not_hidden(level: str, bad: float, place: int) -> None:
    z, targets = logits(3, 37)
    z[1, place] = bad
    for found in fold(z.copy(), targets, 1.0, 0.0, [20]):
        assert np.isnan(found).tolist() == [False, True, False]


def test_rows_without_gradient_are_exactly_zero(level: str) -> None:
    z, targets = logits(3, 37)
    gradient = np.array([1.0, 0.0, 1.0], np.float32)
    _core.logit_gradient(z, 0, targets, LOG2E, 0.0, False, np.full(3, 8, np.float32), -gradient, None, gradient)
    assert not z[1].any()
    assert z[0].all()


def test_levels_are_told_and_refused() -> None:
    assert _core.vector_levels()[-1] == "plain"
    assert not _core.set_vector_level("mmx")


def problem(shape: tuple[int, int, int], dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    tokens, width, vocabulary = shape
    g = torch.Generator().manual_seed(tokens)
    weight = torch.randn(vocabulary, width, generator=g) * 3 * width**-0.5
    inputs: dict[str, Any] = {
        "hidden": torch.randn(tokens, width, generator=g).to(dtype).requires_grad_(),
        "weight": weight.to(dtype).requires_grad_(),
        "targets": torch.randint(0, vocabulary, (tokens,), generator=g),
    }
    with torch.no_grad():
        logp = reference.token_logprob(*(x.double() if x.is_floating_point() else x for x in inputs.values())).logp
    for name in ("old", "ref"):
        inputs[name] = (logp + 0.2 * torch.randn(tokens, generator=g)).float()
    inputs["adv"] = torch.randn(tokens, generator=g)
    inputs["adv"][::3] = 0.0
    inputs["mask"] = torch.rand(tokens, generator=g) > 0.2
    inputs["cu_seqlens"] = torch.tensor([0, tokens // 3, tokens // 3, tokens // 2, tokens])
    return inputs


def in_float64(
    inputs: dict[str, Any], **options: Any
) -> tuple[torch.Tensor, dict[str, torch.Tensor], list[torch.Tensor]]:
    doubled = {k: x.detach().double() if x.is_floating_point() else x for k, x in inputs.items()}
    leaves = [doubled[name].requires_grad_() for name in ("hidden", "weight")]
    loss, metrics = ops.linear_grpo_loss(**doubled, **options)
    return loss, metrics, list(torch.autograd.grad(loss, leaves))


def assert_relative(found: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    error = (found.double() - expected).norm() / expected.norm().clamp(min=1e-9)
    assert error <= tolerance, f"relative error {error:.1e}"


OPTIONS: list[dict[str, Any]] = [
    {},
    {"beta": 0.1, "entropy_coef": 0.1, "aggregation": "sequence_mean"},
    {"ratio": "sequence", "beta": 0.1, "aggregation": "sequence_mean"},
    {"ratio": "sequence", "entropy_coef": 0.3},
    {"skip_zero_advantage": True},
    {"aggregation": "dr_grpo", "kl": "k2", "beta": 0.1, "temperature": 0.7, "softcap": 3.0},
    {"kl": "k1", "beta": 0.1, "clip_high": 0.28, "denominator": 77.0},
]


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


@pytest.mark.parametrize(
    "options", [o for o in OPTIONS if not {"temperature", "skip_zero_advantage"} & set(o)], ids=str
)
@pytest.mark.parametrize("tokens", [1, 7, 16, 17, 1100])
def test_loss_of_log_probs_equals_float64(level: str, tokens: int, options: dict) -> None:
    """Every instruction set, whole vectors and rests of them, blocks and a rest; log-ratios beyond the clamp."""
    g = torch.Generator().manual_seed(tokens)
    names = ("logp", "old", "ref", "adv", "entropy")
    t = dict(zip(names, torch.randn(len(names), tokens, generator=g) * 0.3, strict=True))
    t["old"][::11] -= 25.0
    t["ref"][::13] += 25.0
    options = {"mask": torch.arange(tokens) % 6 != 5, "cu_seqlens": torch.tensor([0, tokens // 3, tokens]), **options}
    exact = {k: x.double() for k, x in t.items()}
    for leaves in (t, exact):
        leaves["logp"].requires_grad_()
        leaves["entropy"].requires_grad_()
    loss, metrics = ops.grpo_loss(**t, **options)
    expected, expected_metrics = ops.grpo_loss(**exact, **options)
    assert loss.item() == pytest.approx(expected.item(), rel=2e-6, abs=2e-6)
    assert metrics.keys() == expected_metrics.keys()
    for name, x in metrics.items():
        assert x.item() == pytest.approx(float(expected_metrics[name]), rel=1e-5, abs=1e-6), name
    asked = ["logp", "entropy"] if "entropy_coef" in options else ["logp"]
    found = torch.autograd.grad(loss, [t[name] for name in asked])
    for a, b in zip(found, torch.autograd.grad(expected, [exact[name] for name in asked]), strict=True):
        assert_relative(a, b, 1e-5)


@pytest.mark.parametrize("place", [0, 16, 36])
def test_nan_in_a_token_reaches_loss_and_metrics(level: str, place: int) -> None:
    logp, old = torch.zeros(2, 37)
    logp[place] = torch.nan
    loss, metrics = ops.grpo_loss(logp, old, None, torch.ones(37))
    assert loss.isnan()
    assert all(x.isnan() for name, x in metrics.items() if "ratio" in name or name == "approx_kl")


def test_sums_of_another_length_are_refused() -> None:
    x = np.zeros(1, np.float32)
    with pytest.raises(ValueError, match="sums must be"):
        _core.policy_tokens(x, x, x, x, None, None, None, 0.2, 0.2, 0.0, "k3", 0.0, x.copy(), np.zeros(8))


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


@pytest.mark.parametrize("ratio", ["token", "sequence"])
@pytest.mark.parametrize("tokens", [0, 5], ids=["no token", "all masked"])
def test_nothing_to_train_on(tokens: int, ratio: str) -> None:
    hidden, weight = torch.randn(tokens, 7, requires_grad=True), torch.randn(101, 7, requires_grad=True)
    numbers = torch.ones(tokens)
    loss, metrics = ops.linear_grpo_loss(
        *(hidden, weight, numbers.long(), numbers, None, numbers),
        mask=torch.zeros(tokens, dtype=torch.bool),
        cu_seqlens=torch.tensor([0, tokens]),
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


def test_workspace_bounds_the_chunks() -> None:
    head = Head(torch.zeros(1, 16), torch.zeros(1000, 16), 1.0, None, 1 << 20)
    assert head.chunk_rows(1.0) * 4 * 1000 <= 2**20
    assert head.chunk_rows(None) >= CHUNK_ROWS
    with pytest.raises(ValueError, match="workspace_mb must hold a row"):
        head.chunk_rows(1e-4)
    with pytest.raises(ValueError, match="workspace_mb must hold a row"):
        ops.linear_grpo_loss(**problem((13, 7, 101)), workspace_mb=1e-5)


@pytest.mark.parametrize("ratio", ["token", "sequence"])
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


@pytest.mark.parametrize("f", [lambda i: ops.linear_grpo_loss(**i)[0]], ids=["linear"])
def test_gradients_serve_one_backward_pass(f: Any) -> None:
    loss = f(problem((13, 7, 101)))
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


@pytest.mark.parametrize("change", [{"beta": 0.1}, {"entropy_coef": 0.1}, {"ratio": "sequence"}], ids=str)
def test_skipping_is_refused_where_it_would_not_be_exact(change: dict) -> None:
    with pytest.raises(ValueError, match="skip_zero_advantage needs"):
        ops.linear_grpo_loss(**problem((13, 7, 101)), **change, skip_zero_advantage=True)


@pytest.mark.parametrize(
    "buffer", [torch.zeros(3, 3), torch.zeros(101, 7, dtype=torch.float64), torch.zeros(7, 101).T], ids=str
)
def test_buffer_for_the_weights_gradient_must_fit(buffer: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="grad_weight_out must be"):
        ops.linear_grpo_loss(**problem((13, 7, 101)), grad_weight_out=buffer)


def test_workers_leave_torchs_threads_alone(two_threads: None) -> None:
    seen: list[int] = []
    pool.drive(2, lambda: pool.run([lambda: seen.append(torch.get_num_threads())] * 2))
    assert seen == [1, 1]
    assert torch.get_num_threads() == 2


def test_an_error_in_a_worker_is_raised(two_threads: None) -> None:
    def fail() -> None:
        raise RuntimeError("in a worker")

    for tasks in ([fail, lambda: None], [lambda: None, fail]):
        with pytest.raises(RuntimeError, match="in a worker"):
            pool.drive(2, lambda tasks=tasks: pool.run(tasks))


def test_calls_from_several_threads_do_not_wait_for_each_other(two_threads: None) -> None:
    inputs = {name: x.detach() for name, x in problem((60, 8, 97)).items()}
    expected = ops.linear_grpo_loss(**inputs)[0]
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(lambda _: ops.linear_grpo_loss(**inputs)[0], range(20)):
            assert torch.equal(found, expected)


def test_a_forked_process_has_threads_of_its_own(two_threads: None) -> None:
    inputs = {name: x.detach() for name, x in problem((60, 8, 97)).items()}
    expected = float(ops.linear_grpo_loss(**inputs)[0])
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=lambda: queue.put(float(ops.linear_grpo_loss(**inputs)[0])))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert queue.get() == expected


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_products(dtype: torch.dtype, add: bool, transposed: bool) -> None:
    if dtype == torch.bfloat16 and products._gemm() is None:
        pytest.skip("torch's BLAS here has no product of bfloat16 into float32")
    a, b = torch.randn(5, 7).to(dtype), torch.randn(7, 11).to(dtype)
    if transposed:
        a, b = a.t().contiguous().t(), b.t().contiguous().t()
    out = torch.ones(5, 11)
    products.product(a, b, out, add)
    torch.testing.assert_close(out.double(), a.double() @ b.double() + float(add), atol=2e-6, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_bfloat16_products_equal_float64(two_threads: None, options: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor that multiplies bfloat16: MKL gives the same results on all."""
    if products._gemm() is None:
        pytest.skip("torch's BLAS here has no product of bfloat16 into float32")
    monkeypatch.setattr(products, "has_bfloat16", lambda: True)
    inputs = problem((CHUNK_ROWS + 45, 16, TILE_COLUMNS + 261), torch.bfloat16)
    expected, _, expected_gradients = in_float64(inputs, **options)
    loss, _ = ops.linear_grpo_loss(**inputs, **options)
    assert loss.item() == pytest.approx(expected.item(), abs=2e-6, rel=1e-6)
    found = torch.autograd.grad(loss, [inputs["hidden"], inputs["weight"]])
    for a, b in zip(found, expected_gradients, strict=True):
        assert_relative(a, b, 4e-3)
