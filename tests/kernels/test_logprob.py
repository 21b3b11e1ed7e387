"""token_logprob's kernels against float64: values, gradients of all three outputs, rows, memory, determinism."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

kernel = pytest.importorskip(
    "rerec_engine.kernels.logprob", reason="no Triton: pip install .[triton]", exc_type=ImportError
)
common = pytest.importorskip(
    "rerec_engine.kernels.common", reason="no Triton: pip install .[triton]", exc_type=ImportError
)

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 4e-3, torch.float16: 1e-3}
"""Of a gradient, relative, by the norm of the whole tensor; of bfloat16 also the median over rows."""
VALUES = 2e-5  # nats, of logp, entropy and lse
Inputs = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
Error = Callable[[torch.Tensor, torch.Tensor], float]
# T, V, H: one row, primes, V mod 256 = 128, several blocks and splits
SHAPES = {"one": (1, 7, 16), "primes": (37, 641, 97), "ragged": (19, 384, 64), "large": (128, 1100, 128)}


def make(shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device, spread: float = 3.0) -> Inputs:
    rows, vocab, width = shape
    g = torch.Generator().manual_seed(rows)
    hidden = torch.randn(rows, width, generator=g).to(device, dtype)
    weight = (torch.randn(vocab, width, generator=g) * spread * width**-0.5).to(device, dtype)
    return hidden, weight, torch.randint(0, vocab, (rows,), generator=g).to(device)


def truth(
    hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, tau: float = 1.0, cap: float | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    z = hidden @ weight.T
    z = (z if cap is None else cap * torch.tanh(z / cap)) / tau
    logs = z.log_softmax(1)
    return logs.gather(1, targets[:, None])[:, 0], -(logs.exp() * logs).sum(1), z.logsumexp(1)


def leaves(*tensors: torch.Tensor) -> list[torch.Tensor]:
    return [x.detach().double().requires_grad_() for x in tensors]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("cap", [None, 20.0], ids=["plain", "capped"])
@pytest.mark.usefixtures("poison")
def test_against_float64(name: str, dtype: torch.dtype, cap: float | None, device: torch.device, error: Error) -> None:
    hidden, weight, targets = make(SHAPES[name], dtype, device)
    exact = leaves(hidden, weight)
    hidden.requires_grad_(), weight.requires_grad_()
    ours = kernel.token_logprob(hidden, weight, targets, temperature=0.8, softcap=cap)
    expected = truth(*exact, targets, 0.8, cap)
    upstream = torch.randn(3, targets.numel(), generator=torch.Generator().manual_seed(1)).to(device)
    sum((g * x).sum() for g, x in zip(upstream, ours, strict=True)).backward()
    sum((g * x).sum() for g, x in zip(upstream, expected, strict=True)).backward()
    for x, y in zip(ours, expected, strict=True):
        assert x.dtype == torch.float32
        assert (x - y).abs().max() <= VALUES
    tolerance = TOLERANCE[dtype] * (2 if name == "one" else 1)  # a single row has nothing to average over
    assert error(hidden.grad, exact[0].grad) <= tolerance
    assert error(weight.grad, exact[1].grad) <= tolerance
    by_row = (hidden.grad.double() - exact[0].grad).norm(dim=1) / exact[0].grad.norm(dim=1)
    assert by_row.median() <= tolerance


@pytest.mark.parametrize("which", [0, 1, 2], ids=["logp", "entropy", "lse"])
def test_gradient_of_one_output(which: int, device: torch.device, error: Error) -> None:
    hidden, weight, targets = make(SHAPES["primes"], torch.float32, device)
    exact = leaves(hidden, weight)
    kernel.token_logprob(hidden.requires_grad_(), weight.requires_grad_(), targets)[which].sum().backward()
    truth(*exact, targets)[which].sum().backward()
    assert error(hidden.grad, exact[0].grad) <= 1e-5
    assert error(weight.grad, exact[1].grad) <= 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_logits_near_minus_120(dtype: torch.dtype, device: torch.device) -> None:
    hidden, weight, targets = make((5, 384, 64), dtype, device, spread=0.5)
    hidden[:, 0], weight[:, 0] = 12.0, -10.0
    ours = kernel.token_logprob(hidden, weight, targets)
    expected = truth(hidden.double(), weight.double(), targets)
    assert expected[2].max() < -100
    for x, y in zip(ours, expected, strict=True):
        assert (x - y).abs().max() <= VALUES


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_certain_targets(dtype: torch.dtype, device: torch.device, error: Error) -> None:
    """p within 1e-3 of 1, where a gradient is a small difference."""
    hidden, weight, targets = make((11, 384, 64), dtype, device)
    with torch.no_grad():
        hidden += 2 * weight[targets] * 20 / weight[targets].float().square().sum(1, keepdim=True).to(dtype) / 2
    exact = leaves(hidden, weight)
    logp, entropy, _ = kernel.token_logprob(hidden.requires_grad_(), weight, targets)
    expected = truth(*exact, targets)
    assert expected[0].exp().median() > 0.999
    assert (logp <= 0).all()
    assert (logp - expected[0]).abs().max() <= VALUES
    assert (entropy - expected[1]).abs().max() <= VALUES
    logp.sum().backward()
    expected[0].sum().backward()
    assert error(hidden.grad, exact[0].grad) <= {torch.float32: 1e-3, torch.bfloat16: 4e-3}[dtype]


@pytest.mark.parametrize("kept", ["some", "none", "all"])
@pytest.mark.usefixtures("poison")
def test_rows_that_are_not_asked_for(kept: str, device: torch.device, error: Error) -> None:
    hidden, weight, targets = make((37, 384, 64), torch.float32, device)
    rows = {"some": torch.arange(37) % 3 == 1, "none": torch.zeros(37).bool(), "all": torch.ones(37).bool()}[kept]
    rows = rows.to(device)
    exact = leaves(hidden, weight)
    dirty = hidden.masked_fill(~rows[:, None], torch.nan).requires_grad_()
    weight.requires_grad_()
    ours = kernel.token_logprob(dirty, weight, targets.masked_fill(~rows, -100), rows=rows)
    expected = truth(*exact, targets)
    for x, y in zip(ours, expected, strict=True):
        assert (x[~rows] == 0).all()
        torch.testing.assert_close(x[rows].double(), y[rows], atol=VALUES, rtol=0)
    sum(x.sum() for x in ours).backward()
    sum(x[rows].sum() for x in expected).backward()
    assert (dirty.grad[~rows] == 0).all()
    assert error(dirty.grad, exact[0].grad) <= 1e-5
    assert error(weight.grad, exact[1].grad) <= 1e-5


def test_no_rows(device: torch.device) -> None:
    hidden, weight, targets = make((0, 7, 16), torch.float32, device)
    ours = kernel.token_logprob(hidden.requires_grad_(), weight.requires_grad_(), targets)
    assert [x.shape for x in ours] == [(0,)] * 3
    ours[0].sum().backward()
    assert (weight.grad == 0).all()


def test_pointers_and_descriptors_agree(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = make((40, 384, 64), torch.float32, device)
    by_descriptor = kernel.token_logprob(*inputs)
    forward = pytest.importorskip("rerec_engine.kernels.logprob_forward", reason="no Triton: pip install .[triton]")
    monkeypatch.setattr(forward, "operands", lambda tile, x, w: (x, w, False))
    for x, y in zip(kernel.token_logprob(*inputs), by_descriptor, strict=True):
        torch.testing.assert_close(x, y)


@pytest.mark.slow
def test_same_bits_again_and_in_other_chunks(device: torch.device, error: Error) -> None:
    hidden, weight, targets = make((128, 640, 64), torch.bfloat16, device)
    rows = torch.arange(128, device=device) % 7 != 0

    def run(workspace_mb: float | None) -> list[torch.Tensor]:
        x, w = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
        outputs = kernel.token_logprob(x, w, targets, rows=rows, workspace_mb=workspace_mb)
        sum(y.sum() for y in outputs).backward()
        return [*outputs, x.grad, w.grad]

    first, again, small = run(None), run(None), run(0.05)
    assert all(torch.equal(x, y) for x, y in zip(first, again, strict=True))
    for x, y in zip(first, small, strict=True):
        assert error(x, y.double()) <= TOLERANCE[torch.bfloat16]


def test_no_entropy_and_frozen_weight(device: torch.device) -> None:
    hidden, weight, targets = make((5, 384, 64), torch.float32, device)
    logp, entropy, lse = kernel.token_logprob(hidden.requires_grad_(), weight, targets, return_entropy=False)
    assert entropy is None
    (logp + lse).sum().backward()
    assert weight.grad is None
    assert torch.isfinite(hidden.grad).all()


def test_workspace_bounds_the_chunk(device: torch.device) -> None:
    row = kernel.gradient_row_bytes(384, 64, 4)
    assert common.rows_within(1.0, row, 10**6) * row <= 2**20
    assert common.rows_within(1.0, row, 10**6) % 128 == 0
    hidden, weight, targets = make((5, 384, 64), torch.float32, device)
    outputs = kernel.token_logprob(hidden.requires_grad_(), weight, targets, workspace_mb=row / 2**20 - 1e-4)
    with pytest.raises(ValueError, match="workspace_mb must hold a row of logits"):
        outputs[0].sum().backward()
