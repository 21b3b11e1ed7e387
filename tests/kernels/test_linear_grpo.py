"""linear_grpo_loss' kernels against the torch reference in float64, in each of its forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from rerec_engine import ops

kernel = pytest.importorskip(
    "rerec_engine.kernels.linear_grpo", reason="no Triton: pip install .[triton]", exc_type=ImportError
)

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 4e-3, torch.float16: 1e-3}
"""Of a gradient, relative, by the norm of the whole tensor; of bfloat16 also the median over rows."""
BOUNDS = [0, 3, 3, 4, 20, 37]
RUNS = [0, 1, 3, 4, 5, 11, 11, 12, 19, 20, 30, 31, 36, 37]
TAU = 0.8
FORMS: dict[str, dict[str, Any]] = {
    "anchored": dict(beta=0.04),
    "anchored by the target": dict(beta=0.04, anchor=False),
    "policy loss alone": dict(aggregation="sequence_mean"),
    "capped": dict(softcap=20.0, beta=0.04, kl="k2", aggregation="dr_grpo"),
    "entropy bonus": dict(entropy_coef=0.1, beta=0.04),
    "entropy bonus, capped": dict(entropy_coef=0.1, softcap=20.0, kl="k1", beta=0.04, aggregation="sequence_mean"),
    "by sequence": dict(ratio="sequence", aggregation="sequence_mean"),
    "by sequence, all terms": dict(ratio="sequence", entropy_coef=0.1, beta=0.04, softcap=20.0),
    "by entry": dict(ratio="entry"),
    "by entry, all terms": dict(ratio="entry", entropy_coef=0.1, beta=0.04, aggregation="sequence_mean"),
    "by the whole batch": dict(denominator=100.0, beta=0.04),
    "chunks": dict(beta=0.04, workspace_mb=0.06),
    "chunks of logits": dict(entropy_coef=0.1, workspace_mb=0.1),
}
Error = Callable[[torch.Tensor, torch.Tensor], float]
Batch = dict[str, torch.Tensor]


def kernel_loss(*tensors: torch.Tensor | None, **arguments: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """`ops.linear_grpo_loss` by the kernels; float64 takes the reference by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REREC_IMPL", "gpu")
        return ops.linear_grpo_loss(*tensors, **arguments)


def make(dtype: torch.dtype, device: torch.device, tokens: int = BOUNDS[-1], vocab: int = 640, **o: Any) -> Batch:
    """A batch whose policy has moved a little since it was sampled."""
    g = torch.Generator().manual_seed(3)
    hidden = torch.randn(tokens, 96, generator=g).to(dtype)
    weight = (torch.randn(vocab, 96, generator=g) * 0.3).to(dtype)
    targets = torch.randint(0, vocab, (tokens,), generator=g)
    z = hidden.double() @ weight.double().T
    cap = o.get("softcap")
    z = (z if cap is None else cap * torch.tanh(z / cap)) / TAU
    lse = z.logsumexp(1)
    logp = z.gather(1, targets[:, None])[:, 0] - lse
    old, ref, lse_old = (x + s * torch.randn(tokens, generator=g) for x, s in ((logp, 0.2), (logp, 0.2), (lse, 0.05)))
    adv = torch.randn(tokens, generator=g)
    adv[5:12] = 0.0
    batch = dict(hidden=hidden, weight=weight, targets=targets, old=old.float(), ref=ref.float(), adv=adv)
    return {k: x.to(device) for k, x in {**batch, "lse_old": lse_old.float()}.items()}


def run(
    batch: Batch, mask: torch.Tensor | None, *, anchor: bool = True, device: torch.device, **options: Any
) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
    """Loss, metrics, d hidden and d weight of the kernel; what is masked is NaN, or no token at all."""
    dirty = dict(batch)
    if mask is not None:
        dirty = {k: x if k == "weight" else x.masked_fill(~mask.view(-1, *[1] * (x.ndim - 1)), -100 if k == "targets"
                 else torch.nan) for k, x in batch.items()}  # fmt: skip
    if not anchor:
        del dirty["lse_old"]
    hidden, weight = (dirty.pop(k).clone().requires_grad_() for k in ("hidden", "weight"))
    cu, runs = (torch.tensor(bounds, device=device) for bounds in (BOUNDS, RUNS))
    loss, metrics = kernel_loss(
        hidden, weight, **dirty, mask=mask, cu_seqlens=cu, cu_runs=runs, temperature=TAU, **options
    )  # fmt: skip
    (2 * loss).backward()
    return loss, metrics, hidden.grad, weight.grad


def truth(batch: Batch, mask: torch.Tensor | None, *, device: torch.device, **options: Any) -> tuple[Any, ...]:
    exact = {k: x.double() if x.is_floating_point() else x for k, x in batch.items()}
    del exact["lse_old"]
    hidden, weight = (exact.pop(k).requires_grad_() for k in ("hidden", "weight"))
    options = {k: x for k, x in options.items() if k not in ("workspace_mb", "anchor")}
    cu, runs = (torch.tensor(bounds, device=device) for bounds in (BOUNDS, RUNS))
    loss, metrics = ops.linear_grpo_loss(
        hidden, weight, **exact, mask=mask, cu_seqlens=cu, cu_runs=runs, temperature=TAU, **options
    )  # fmt: skip
    (2 * loss).backward()
    return loss, metrics, hidden.grad, weight.grad


def check(ours: tuple[Any, ...], expected: tuple[Any, ...], dtype: torch.dtype, error: Error) -> None:
    assert ours[0].item() == pytest.approx(expected[0].item(), rel=2e-5, abs=2e-6)
    assert set(ours[1]) == set(expected[1])
    for name, x in ours[1].items():
        assert x.item() == pytest.approx(float(expected[1][name]), rel=2e-5, abs=2e-5), name
    for x, y in zip(ours[2:], expected[2:], strict=True):
        assert error(x, y) <= TOLERANCE[dtype]
    live = expected[2].norm(dim=1) > 0
    if live.any():
        by_row = (ours[2].double() - expected[2]).norm(dim=1)[live] / expected[2].norm(dim=1)[live]
        assert by_row.median() <= TOLERANCE[dtype] * (10 if dtype == torch.float32 else 1)  # clipped rows' KL is tiny


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.usefixtures("poison")
def test_equals_the_reference(form: str, dtype: torch.dtype, device: torch.device, error: Error) -> None:
    options = FORMS[form]
    batch = make(dtype, device, **options)
    mask = (torch.arange(BOUNDS[-1]) % 5 != 2).to(device)
    ours = run(batch, mask, device=device, **options)
    check(ours, truth(batch, mask, device=device, **options), dtype, error)
    assert (ours[2][~mask] == 0).all()


@pytest.mark.parametrize("form", ["anchored", "entropy bonus", "by sequence"])
def test_no_mask_and_a_full_one(form: str, device: torch.device, error: Error) -> None:
    batch = make(torch.float32, device, **FORMS[form])
    check(run(batch, None, device=device, **FORMS[form]), truth(batch, None, device=device, **FORMS[form]),
          torch.float32, error)  # fmt: skip
    nothing = torch.zeros(BOUNDS[-1], dtype=torch.bool, device=device)
    loss, metrics, d_hidden, d_weight = run(batch, nothing, device=device, **FORMS[form])
    assert loss == 0 and metrics["tokens"] == 0
    assert (d_hidden == 0).all() and (d_weight == 0).all()


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.usefixtures("poison")
def test_anchors_that_are_far_off(dtype: torch.dtype, device: torch.device, error: Error) -> None:
    """Overflow, underflow and NaN in some rows: these are computed without an anchor."""
    batch = make(dtype, device)
    batch["lse_old"][[1, 9, 20, 36]] = torch.tensor([500.0, -500.0, torch.nan, -torch.inf], device=device)
    check(run(batch, None, device=device, beta=0.04), truth(batch, None, device=device, beta=0.04), dtype, error)


def test_zero_advantages_take_no_gradient_product(
    device: torch.device, error: Error, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = make(torch.float32, device)
    rows = []
    original = kernel.anchored_chunk

    def count(states: torch.Tensor, *args: Any) -> Any:
        rows.append(states.shape[0])
        return original(states, *args)

    monkeypatch.setattr(kernel, "anchored_chunk", count)
    ours = run(batch, None, device=device)
    check(ours, truth(batch, None, device=device), torch.float32, error)
    assert sum(rows) == BOUNDS[-1] - 7
    assert (ours[2][5:12] == 0).all()
    rows.clear()
    with torch.no_grad():
        loss, _ = kernel_loss(**batch, temperature=TAU)
    assert rows == []
    assert loss.item() == pytest.approx(truth(batch, None, device=device)[0].item(), rel=2e-5)


def test_skip_zero_advantage(device: torch.device, error: Error) -> None:
    batch = make(torch.float32, device)
    mask = (torch.arange(BOUNDS[-1]) % 5 != 2).to(device)
    batch["hidden"][6] = torch.nan  # not looked at
    ours = run(batch, mask, device=device, skip_zero_advantage=True, aggregation="sequence_mean")
    batch["hidden"][6] = 0.0
    options = dict(skip_zero_advantage=True, aggregation="sequence_mean")
    check(ours, truth(batch, mask, device=device, **options), torch.float32, error)


def test_entropy_gradient_equals_autograds(device: torch.device, error: Error) -> None:
    batch = make(torch.float32, device)
    batch["adv"].zero_()
    _, _, d_hidden, d_weight = run(batch, None, device=device, entropy_coef=1.0)
    hidden, weight = (batch[k].double().requires_grad_() for k in ("hidden", "weight"))
    logs = (hidden @ weight.T / TAU).log_softmax(1)
    (2 * (logs.exp() * logs).sum(1).mean()).backward()
    assert error(d_hidden, hidden.grad) <= 1e-5
    assert error(d_weight, weight.grad) <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("form", ["anchored", "entropy bonus", "by sequence", "by entry"])
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_grad_weight_out(form: str, dtype: torch.dtype, device: torch.device, error: Error) -> None:
    batch = make(dtype, device)
    expected = truth(batch, None, device=device, **FORMS[form])[3] / 2
    del batch["lse_old"]
    weight = batch.pop("weight").requires_grad_()
    out = torch.ones(weight.shape, device=device)
    hidden = batch.pop("hidden").requires_grad_()
    cu, runs = (torch.tensor(bounds, device=device) for bounds in (BOUNDS, RUNS))
    options = {k: x for k, x in FORMS[form].items() if k != "anchor"}
    loss, _ = kernel_loss(
        hidden, weight, **batch, cu_seqlens=cu, cu_runs=runs, temperature=TAU, grad_weight_out=out, **options
    )  # fmt: skip
    loss.backward()
    assert weight.grad is None
    assert error(out - 1, expected) <= max(TOLERANCE[dtype], 1e-4)  # ones in float32 hide the last digits


def test_frozen_weight_and_frozen_hidden(device: torch.device) -> None:
    batch = make(torch.float32, device)
    whole = run(batch, None, device=device)
    for name, place in (("hidden", 2), ("weight", 3)):
        leaf = {**batch, name: batch[name].clone().requires_grad_()}
        loss, _ = kernel_loss(**leaf, temperature=TAU)
        loss.backward()
        torch.testing.assert_close(2 * leaf[name].grad, whole[place])


def test_twice_backward_and_same_bits_again(device: torch.device) -> None:
    batch = make(torch.bfloat16, device)
    first, again = (run(batch, None, device=device, beta=0.04) for _ in range(2))
    assert all(torch.equal(first[i], again[i]) for i in (0, 2, 3))
    leaf = {**batch, "hidden": batch["hidden"].clone().requires_grad_()}
    loss, _ = kernel_loss(**leaf, temperature=TAU)
    gradients = [torch.autograd.grad(loss, leaf["hidden"], retain_graph=True)[0] for _ in range(2)]
    assert torch.equal(*gradients)


def test_workspace_is_kept(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    """No buffer of a chunk exceeds the bound, and their sum, as the launcher counts it, does not either."""
    batch = make(torch.float32, device)
    largest = []
    original = torch.empty

    def empty(*shape: Any, **options: Any) -> torch.Tensor:
        x = original(*shape, **options)
        largest.append(x.numel() * x.element_size())
        return x

    monkeypatch.setattr(torch, "empty", empty)
    run(batch, None, device=device, beta=0.04, workspace_mb=0.05)
    assert max(largest) <= 0.05 * 2**20
    assert kernel.anchored_row_bytes(batch["hidden"], 640) >= 640 * 4 + 8 * 3
    with pytest.raises(ValueError, match="workspace_mb must hold a row of logits"):
        run(batch, None, device=device, beta=0.04, workspace_mb=0.001)
