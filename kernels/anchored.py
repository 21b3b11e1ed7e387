"""The training step's logits, read once: exponentials anchored at a log-sum-exp that is known beforehand.

With z the scaled logits, a the anchor of a row (the old policy's lse, or z_target - old) and E_v = exp(z_v - a), a
product's epilogue stores E and its partial sums l = sum E and s = sum E log E; no running maximum is needed. A small
kernel then has lse = a + log l, log p = z_target - lse and the loss' derivative g by it, and

    d z_v = g (onehot - p)_v = -g / l * E'_v,    E'_target = l expm1(log p),    E'_v = E_v elsewhere

whose target slot is overwritten in place: adding the one-hot outside would cancel against a rounded E. Then
d hidden = diag(-g / (l tau)) E' weight and d weight = E'^T diag(-g / (l tau)) hidden: three products in all.

A row whose anchor is too far off (l beyond `limits`) is cleared and flagged, and its caller computes it otherwise.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl

from .common import FUSED, INTERPRETED, arch_of, operands, output, tile_constants, tile_for
from .logprob_forward import Scaling, target_product
from .row_loss import exp_minus_linear, row_loss
from .tiles import cap_logits, grouped, logit_tile, narrow, store_tile

ROW_BLOCK = {"ROWS": 16, "BLOCK": 64}


def limits(dtype: torch.dtype) -> tuple[float, float, float]:
    """What E is multiplied by, and the least and greatest l with which its dtype holds every p that matters."""
    return (256.0, 2.0**-6, 2.0**7) if dtype == torch.float16 else (1.0, 2.0**-64, 2.0**64)


@triton.jit(do_not_specialize=["T"])
def target_logits(
    hidden,  # [T, H]
    weight,  # [V, H]
    targets,  # [T]
    out,  # [T] float32, log2
    T,
    H,
    hidden_stride,
    weight_stride,
    c,
    cap,
    ROWS: tl.constexpr,
    DEPTH: tl.constexpr,
    CAP: tl.constexpr,
):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    z = target_product(hidden, weight, targets, row, T, H, hidden_stride, weight_stride, DEPTH)
    if CAP:
        z = cap_logits(z, cap)
    tl.store(out + row, z * c, mask=row < T)


@triton.jit(do_not_specialize=["T"])
def anchored_exponentials(
    hidden,  # [T, H]
    weight,  # [V, H]
    anchors,  # [T] float32, log2
    out,  # [T, V], times `scale` and the cap's slope
    totals,  # [tiles, T] float32
    centreds,  # [tiles, T]
    T,
    V,
    H,
    hidden_stride,
    weight_stride,
    c,
    cap,
    scale,
    ROWS: tl.constexpr,
    VOCAB: tl.constexpr,
    DEPTH: tl.constexpr,
    GROUP: tl.constexpr,
    CAP: tl.constexpr,
    SCALED: tl.constexpr,
    RAGGED: tl.constexpr,
    DTYPE: tl.constexpr,
    OUT_DESCRIPTOR: tl.constexpr,
    EVEN: tl.constexpr,
    DESCRIPTORS: tl.constexpr,
    WIDEN: tl.constexpr,
):
    block, tile = grouped(tl.program_id(0), tl.cdiv(T, ROWS), tl.cdiv(V, VOCAB), GROUP)
    row0 = block * ROWS
    x = logit_tile(hidden, weight, row0, tile * VOCAB, T, V, H, hidden_stride, weight_stride,
                   ROWS, VOCAB, DEPTH, EVEN, DESCRIPTORS, WIDEN)  # fmt: skip
    row = row0 + tl.arange(0, ROWS)
    live = row < T
    if CAP:
        x = cap_logits(x, cap)
    d = tl.fma(x, c, -tl.load(anchors + row, mask=live, other=0.0)[:, None])
    if RAGGED:
        d = tl.where(tl.arange(0, VOCAB)[None, :] < V - tile * VOCAB, d, -1e30)
    e = tl.exp2(d)
    at = tl.cast(tile, tl.int64) * T + row
    tl.store(totals + at, tl.sum(e, 1), mask=live)
    tl.store(centreds + at, tl.sum(e * d, 1), mask=live)
    if CAP:
        u = x / cap
        e *= 1.0 - u * u
    if SCALED:
        e *= scale
    store_tile(out, e, row0, tile * VOCAB, T, V, ROWS, VOCAB, DTYPE, OUT_DESCRIPTOR, WIDEN)


@triton.jit(do_not_specialize=["T"])
def anchored_rows(
    exponentials,  # [T, V]; the targets' slots are overwritten
    totals,  # [tiles, T] float32
    centreds,  # [tiles, T]
    anchors,  # [T] float32, log2
    zs,  # [T] float32: the targets' scaled logits, log2
    targets,  # [T]
    old,  # [T], as the next three
    ref,
    adv,
    weights,
    logp,  # [T] float32, as the next three
    entropy,
    coefficients,  # of E' in the gradient
    failed,  # 1 where the anchor is too far off
    T,
    V,
    tiles,
    slope,  # what turns a target's z into u / cap; 0 without a cap
    inverse,  # 1 / temperature
    scale,
    least,
    greatest,
    clip_low,
    clip_high,
    beta,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    KL: tl.constexpr,
    HAS_REF: tl.constexpr,
    WIDEN: tl.constexpr,
):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    live = row < T
    lane = tl.arange(0, BLOCK)
    total = tl.zeros((ROWS,), tl.float32)
    centred = tl.zeros((ROWS,), tl.float32)
    for first in range(0, tiles, BLOCK):
        at = tl.cast(first + lane, tl.int64)[:, None] * T + row[None, :]
        mask = (first + lane < tiles)[:, None] & live[None, :]
        total += tl.sum(tl.load(totals + at, mask=mask, other=0.0), 0)
        centred += tl.sum(tl.load(centreds + at, mask=mask, other=0.0), 0)
    good = (total >= least) & (total <= greatest)
    total = tl.where(good, total, 1.0)
    log_total = tl.log2(total)
    anchor = tl.load(anchors + row, mask=live, other=0.0)
    z = tl.load(zs + row, mask=live, other=0.0)
    log_p = (z - anchor - log_total) * 0.6931471805599453
    log_p = tl.where(log_p > 0, 0.0, log_p)
    q = tl.load(old + row, mask=live, other=0.0).to(tl.float32)
    a = tl.load(adv + row, mask=live, other=0.0).to(tl.float32)
    r = q
    if HAS_REF:
        r = tl.load(ref + row, mask=live, other=0.0).to(tl.float32)
    _, g, _, _, _, _ = row_loss(log_p, q, r, a, log_p - q, clip_low, clip_high, beta, KL, HAS_REF)
    g *= tl.load(weights + row, mask=live, other=0.0)
    tl.store(logp + row, log_p, mask=live)
    tl.store(entropy + row, (log_total - centred / total) * 0.6931471805599453, mask=live)
    tl.store(failed + row, tl.where(good, 0, 1).to(tl.uint8), mask=live)
    u = z * slope
    slot = (exp_minus_linear(log_p) + log_p) * total * (1.0 - u * u) * scale
    dtype: tl.constexpr = exponentials.dtype.element_ty
    rounded = narrow(slot, dtype, WIDEN)
    # The slot is most of the row's gradient: the coefficient makes up for its rounding.
    held = rounded.to(tl.float32)
    exact = tl.where(held == 0, 1.0, slot / tl.where(held == 0, 1.0, held))
    tl.store(coefficients + row, tl.where(good, -g / total * inverse / scale * exact, 0.0), mask=live)
    target = tl.load(targets + row, mask=live, other=0)
    start = exponentials + row.to(tl.int64) * V
    tl.store(start + target, rounded, mask=live & good)
    cleared = live & (good == 0)
    if tl.max(cleared.to(tl.int32), 0) > 0:
        for first in range(0, V, BLOCK):
            mask = cleared[:, None] & (first + lane < V)[None, :]
            tl.store(start[:, None] + (first + lane)[None, :], tl.zeros((ROWS, BLOCK), tl.float32).to(dtype), mask=mask)


def log2_targets(
    hidden: torch.Tensor,  # [C, H]
    weight: torch.Tensor,  # [V, H]
    targets: torch.Tensor,  # [C]
    scaling: Scaling,
) -> torch.Tensor:
    """The targets' scaled logits in units of log2, [C] float32."""
    out = torch.empty(hidden.shape[0], dtype=torch.float32, device=hidden.device)
    target_logits[(triton.cdiv(hidden.shape[0], 16),)](
        hidden, weight, targets, out, *hidden.shape, hidden.stride(0), weight.stride(0), scaling.log2, scaling.cap,
        ROWS=16, DEPTH=256, CAP=scaling.cap > 0, num_warps=4, **FUSED,
    )  # fmt: skip
    return out


def tiles_of(hidden: torch.Tensor, vocab: int, rows: int) -> int:
    """Partial sums of a row."""
    return triton.cdiv(vocab, tile_for(arch_of(hidden.device), hidden.element_size(), rows, hidden.shape[1]).vocab)


def anchored_chunk(
    hidden: torch.Tensor,  # [C, H]
    weight: torch.Tensor,  # [V, H]
    anchors: torch.Tensor,  # [C] float32, log2
    out: torch.Tensor,  # [C, V]
    scaling: Scaling,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Write E into `out`; its partial sums l and s, [tiles, C] float32."""
    (rows, width), vocab = hidden.shape, weight.shape[0]
    tile = tile_for(arch_of(hidden.device), hidden.element_size(), rows, width)
    tiles = triton.cdiv(vocab, tile.vocab)
    totals, centreds = torch.empty(2, tiles, rows, dtype=torch.float32, device=hidden.device)
    x, w, descriptors = operands(tile, hidden, weight)
    written, flags = output(tile, out)
    scale = limits(hidden.dtype)[0]
    anchored_exponentials[(triton.cdiv(rows, tile.rows) * tiles,)](
        x, w, anchors, written, totals, centreds, rows, vocab, width, hidden.stride(0), weight.stride(0),
        scaling.log2, scaling.cap, scale, **tile_constants(tile, vocab, width, descriptors), **flags,
        CAP=scaling.cap > 0, SCALED=scale != 1.0, **tile.options,
    )  # fmt: skip
    return totals, centreds


def anchored_losses(
    exponentials: torch.Tensor,  # [C, V]
    sums: tuple[torch.Tensor, torch.Tensor],  # [tiles, C]
    anchors: torch.Tensor,  # [C]
    zs: torch.Tensor,  # [C]
    tokens: tuple[torch.Tensor, ...],  # targets, old, ref, adv and weights, [C]
    results: tuple[torch.Tensor, ...],  # logp, entropy, coefficients float32 and failed uint8, [C]; written
    scaling: Scaling,
    objective: dict[str, Any],  # by `loss_arguments`
) -> None:
    """Turn E into E' and write what is known of every row."""
    rows, vocab = exponentials.shape
    slope = scaling.temperature * 0.6931471805599453 / scaling.cap if scaling.cap else 0.0
    anchored_rows[(triton.cdiv(rows, ROW_BLOCK["ROWS"]),)](
        exponentials, *sums, anchors, zs, *tokens, *results, rows, vocab, sums[0].shape[0], slope,
        1.0 / scaling.temperature, *limits(exponentials.dtype), **objective,
        **ROW_BLOCK, WIDEN=INTERPRETED, num_warps=4, **FUSED,
    )  # fmt: skip
