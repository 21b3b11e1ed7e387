"""`token_logprob`: forward by `logprob_forward`, backward by forming the logits again, chunk by chunk of rows.

Gradient of a row with respect to hidden @ weight.T, with p = softmax(z), H the entropy, tau the temperature, u the
capped logit and upstream gradients g:

    D = [p (g_lse - g_logp - g_H (log p + H)) + g_logp onehot(target)] / tau * (1 - (u / cap)^2)
    d hidden = D weight,    d weight = D^T hidden

A chunk of D, in the dtype of the inputs, is the only large buffer. Four products of 2 T V H operations in all.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch.autograd.function import once_differentiable

from .common import (
    LN2,
    LOG2E,
    add_weight_gradient,
    arch_of,
    chunks,
    mm_float,
    operands,
    output,
    put,
    rows_within,
    take,
    tile_constants,
    tile_for,
)
from .logprob_forward import Scaling, logprob_rows
from .tiles import cap_logits, grouped, logit_tile, store_tile

HALF_SCALE = 256.0
"""float16 cannot hold probabilities below 6e-8: its rows are scaled to a largest factor of 1, and by this."""


@triton.jit(do_not_specialize=["T"])
def logit_gradient(
    hidden,  # [T, H]
    weight,  # [V, H]
    targets,  # [T]
    lse,  # [T] float32, log2
    base,  # [T] float32: D = p (base - slope log2 p) + hit onehot(target)
    slope,  # [T]
    hit,  # [T]
    out,  # [T, V]
    T,
    V,
    H,
    hidden_stride,
    weight_stride,
    c,
    cap,
    ROWS: tl.constexpr,
    VOCAB: tl.constexpr,
    DEPTH: tl.constexpr,
    GROUP: tl.constexpr,
    ENTROPY: tl.constexpr,
    CAP: tl.constexpr,
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
    log_p = tl.fma(x, c, -tl.load(lse + row, mask=live, other=0.0)[:, None])
    factor = tl.load(base + row, mask=live, other=0.0)[:, None]
    if ENTROPY:
        factor = tl.fma(log_p, -tl.load(slope + row, mask=live, other=0.0)[:, None], factor)
    column = tl.arange(0, VOCAB)
    target = (tl.load(targets + row, mask=live, other=-1) - tile * VOCAB).to(tl.int32)
    d = tl.exp2(log_p) * factor
    d = tl.where(column[None, :] == target[:, None], d + tl.load(hit + row, mask=live, other=0.0)[:, None], d)
    if CAP:
        u = x / cap
        d *= 1.0 - u * u
    store_tile(out, d, row0, tile * VOCAB, T, V, ROWS, VOCAB, DTYPE, OUT_DESCRIPTOR, WIDEN)


def gradient_row_bytes(vocab: int, width: int, itemsize: int) -> int:
    """Bytes of a row of a gradient chunk: D, the gathered and the scaled states, the float32 gradient of the states."""
    return vocab * itemsize + width * (2 * itemsize + 4)


def logprob_gradient(
    hidden: torch.Tensor,  # [T, H]
    weight: torch.Tensor,  # [V, H]
    targets: torch.Tensor,  # [R]
    index: torch.Tensor | None,  # [R], rows of `hidden`
    outputs: tuple[torch.Tensor | None, torch.Tensor],  # entropy and lse, [R]
    upstream: tuple[torch.Tensor | None, ...],  # of logp, entropy and lse, [R]
    scaling: Scaling,
    workspace_mb: float | None,
    d_hidden: torch.Tensor | None,  # [T, H], written at `index`
    d_weight: torch.Tensor | None,  # [V, H] float32, added to
) -> None:
    count, (vocab, width) = targets.shape[0], weight.shape
    if count == 0:
        return
    entropy, lse = outputs
    base, slope, hit, scale = _coefficients(entropy, lse, upstream, scaling, hidden.dtype)
    size = rows_within(workspace_mb, gradient_row_bytes(vocab, width, hidden.element_size()), count)
    buffer = torch.empty(size, vocab, dtype=hidden.dtype, device=hidden.device)
    lse2 = lse * LOG2E
    tile = tile_for(arch_of(hidden.device), hidden.element_size(), size, width)
    for part in chunks(count, size):
        states, d_logits = take(hidden, index, part), buffer[: part.stop - part.start]
        x, w, descriptors = operands(tile, states, weight)
        out, flags = output(tile, d_logits)
        logit_gradient[(triton.cdiv(states.shape[0], tile.rows) * triton.cdiv(vocab, tile.vocab),)](
            x, w, targets[part], lse2[part], base[part], slope[part], hit[part], out,
            states.shape[0], vocab, width, states.stride(0), weight.stride(0), scaling.log2, scaling.cap,
            **tile_constants(tile, vocab, width, descriptors), **flags, **tile.options,
            ENTROPY=upstream[1] is not None, CAP=scaling.cap > 0,
        )  # fmt: skip
        row_scale = None if scale is None else scale[part]
        if d_hidden is not None:
            d_states = mm_float(d_logits, weight)
            put(d_hidden, index, part, d_states if row_scale is None else d_states.mul_(row_scale[:, None]))
        if d_weight is not None:
            add_weight_gradient(d_weight, d_logits, states, row_scale)


def _coefficients(
    entropy: torch.Tensor | None,
    lse: torch.Tensor,
    upstream: tuple[torch.Tensor | None, ...],
    scaling: Scaling,
    dtype: torch.dtype,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """base, slope and hit of `logit_gradient`, [R], and what they were divided by (float16 only)."""
    zero = torch.zeros_like(lse)
    g_logp, g_entropy, g_lse = (zero if g is None else g.float() / scaling.temperature for g in upstream)
    base = g_lse - g_logp if upstream[1] is None else g_lse - g_logp - g_entropy * entropy
    slope = g_entropy * LN2
    if dtype != torch.float16:
        return base, slope, g_logp, None
    largest = torch.maximum(torch.maximum(base.abs(), slope.abs()), g_logp.abs()).clamp(min=1e-30)
    return *(x / largest * HALF_SCALE for x in (base, slope, g_logp)), largest / HALF_SCALE


class _TokenLogprob(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        targets: torch.Tensor,
        index: torch.Tensor | None,
        scaling: Scaling,
        return_entropy: bool,
        workspace_mb: float | None,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
        chosen = targets if index is None else targets.index_select(0, index)  # [R]
        logp, entropy, lse = logprob_rows(hidden, weight, chosen, index, scaling, return_entropy, workspace_mb)
        ctx.save_for_backward(hidden, weight, chosen, index, entropy, lse)
        ctx.options = scaling, workspace_mb
        ctx.set_materialize_grads(False)
        if index is None:
            return logp, entropy, lse
        return tuple(None if x is None else x.new_zeros(targets.shape).index_copy_(0, index, x)
                     for x in (logp, entropy, lse))  # fmt: skip

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        hidden, weight, chosen, index, entropy, lse = ctx.saved_tensors
        needs_hidden, needs_weight = ctx.needs_input_grad[:2]
        if all(g is None for g in upstream) or not (needs_hidden or needs_weight):
            return (None,) * 7
        upstream = tuple(g if g is None or index is None else g.index_select(0, index) for g in upstream)
        # Rows that no chunk writes keep exactly 0.
        d_hidden = (torch.empty_like if index is None else torch.zeros_like)(hidden) if needs_hidden else None
        d_weight = torch.zeros_like(weight, dtype=torch.float32) if needs_weight else None
        logprob_gradient(hidden, weight, chosen, index, (entropy, lse), upstream, *ctx.options, d_hidden, d_weight)
        return d_hidden, None if d_weight is None else d_weight.to(weight.dtype), *(None,) * 5


def token_logprob(
    hidden: torch.Tensor,  # [T, H]
    weight: torch.Tensor,  # [V, H]
    targets: torch.Tensor,  # [T] int64
    *,
    temperature: float = 1.0,
    softcap: float | None = None,
    rows: torch.Tensor | None = None,  # [T] bool
    return_entropy: bool = True,
    workspace_mb: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
    """logp, entropy (None where not asked for) and lse, [T] float32 in nats; see `rerec_engine.ops.token_logprob`.

    Differentiable once with respect to `hidden` and `weight`. Where `rows` is False the outputs are 0 and nothing is
    looked at. `workspace_mb` (MB of 2^20 bytes, default `common.WORKSPACE_MB`) bounds the buffers of either pass.
    """
    hidden, weight = (x if x.stride(1) == 1 else x.contiguous() for x in (hidden, weight))
    index = None if rows is None else rows.nonzero().squeeze(1)  # [R]
    if index is not None and index.numel() == targets.numel():
        index = None
    scaling = Scaling(float(temperature), float(softcap or 0.0))
    return _TokenLogprob.apply(hidden, weight, targets, index, scaling, return_entropy, workspace_mb)
