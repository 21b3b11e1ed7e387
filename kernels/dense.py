"""The training step on float32 logits in memory: for the entropy bonus, and for rows that no anchor fits.

d z = p (-g - g_H (log p + H)) + g onehot(target),    g = d loss / d logp,    g_H = d loss / d entropy
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl

from .common import FUSED, INTERPRETED
from .logprob_forward import Scaling, fold
from .row_loss import row_loss
from .tiles import cap_logits, narrow

BLOCK = 4096


@triton.jit
def softmax_rows(
    logits,  # [C, V] float32, raw
    out,  # [C, V]; may be `logits`
    targets,  # [C]
    old,  # [C], as the next three
    ref,
    adv,
    weights,
    logp,  # [C] float32, as the next two
    entropy,
    coefficients,  # of `out` in the gradient
    V,
    c,
    cap,
    inverse,  # 1 / temperature
    clip_low,
    clip_high,
    beta,
    entropy_coef,
    BLOCK: tl.constexpr,
    KL: tl.constexpr,
    HAS_REF: tl.constexpr,
    CAP: tl.constexpr,
    WIDEN: tl.constexpr,
):
    row = tl.program_id(0)
    lane = tl.arange(0, BLOCK)
    start = logits + row.to(tl.int64) * V
    top = tl.full((1,), -1e30, tl.float32)
    total = tl.zeros((1,), tl.float32)
    centred = tl.zeros((1,), tl.float32)
    for first in range(0, V, BLOCK):
        x = tl.load(start + first + lane, mask=first + lane < V, other=0.0)
        if CAP:
            x = cap_logits(x, cap)
        x = tl.where(first + lane < V, x, -1e30)
        top, total, centred = fold(x[None, :], c, top, total, centred, True)
    top = tl.sum(top * c, 0)
    log_total = tl.log2(tl.sum(total, 0))
    h = (log_total - tl.sum(centred, 0) / tl.sum(total, 0)) * 0.6931471805599453
    target = tl.load(targets + row)
    z = tl.load(start + target)
    if CAP:
        z = cap_logits(z, cap)
    log_p = (tl.fma(z, c, -top) - log_total) * 0.6931471805599453
    q = tl.load(old + row).to(tl.float32)
    a = tl.load(adv + row).to(tl.float32)
    r = q
    if HAS_REF:
        r = tl.load(ref + row).to(tl.float32)
    _, g, _, _, _, _ = row_loss(log_p, q, r, a, log_p - q, clip_low, clip_high, beta, KL, HAS_REF)
    weight = tl.load(weights + row)
    tl.store(logp + row, log_p)
    tl.store(entropy + row, h)
    g *= weight * inverse
    g_entropy = -entropy_coef * weight * inverse
    # Divided out, so that float16 holds the smallest probabilities' gradients.
    largest = tl.maximum(tl.maximum(tl.abs(g), tl.abs(g_entropy)), 1e-30) * 0.00390625
    tl.store(coefficients + row, tl.where(g == g, largest, g))
    g = g / largest
    g_entropy = g_entropy / largest
    base = -g - g_entropy * h
    slope = g_entropy * 0.6931471805599453
    for first in range(0, V, BLOCK):
        x = tl.load(start + first + lane, mask=first + lane < V, other=0.0)
        if CAP:
            x = cap_logits(x, cap)
        log2_p = tl.fma(x, c, -top) - log_total
        d = tl.exp2(log2_p) * tl.fma(log2_p, -slope, base)
        d = tl.where(first + lane == target, d + g, d)
        if CAP:
            u = x / cap
            d *= 1.0 - u * u
        at = out + row.to(tl.int64) * V + first + lane
        tl.store(at, narrow(d, out.dtype.element_ty, WIDEN), mask=first + lane < V)


def dense_losses(
    logits: torch.Tensor,  # [C, V] float32
    out: torch.Tensor,  # [C, V]; may be `logits`
    tokens: tuple[torch.Tensor, ...],  # targets, old, ref, adv and weights, [C]
    results: tuple[torch.Tensor, ...],  # logp, entropy and coefficients, [C] float32; written
    scaling: Scaling,
    objective: dict[str, Any],  # by `loss_arguments`
    entropy_coef: float,
) -> None:
    """Write the gradient by the logits, up to each row's coefficient, and what is known of every row."""
    softmax_rows[(logits.shape[0],)](
        logits, out, *tokens, *results, logits.shape[1], scaling.log2, scaling.cap, 1.0 / scaling.temperature,
        **objective, entropy_coef=entropy_coef, BLOCK=min(BLOCK, triton.next_power_of_2(logits.shape[1])),
        CAP=scaling.cap > 0, WIDEN=INTERPRETED, num_warps=8, **FUSED,
    )  # fmt: skip
