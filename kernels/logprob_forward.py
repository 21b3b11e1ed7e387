"""Log-probability, entropy and log-sum-exp of target tokens from hidden states, without the logits in memory.

With z the scaled logits in units of log2, M their maximum, d = z - M, l = sum 2^d and s = sum d 2^d,

    lse = (M + log2 l) ln 2,    logp = (z_target - M - log2 l) ln 2,    entropy = (log2 l - s / l) ln 2

(online softmax, arXiv 1805.02867; the entropy is centred, so nothing large cancels). A program folds the tiles of one
row block and one of `SPLITS` fixed parts of the vocabulary; a second kernel merges the parts in their order. No
atomics: results are bitwise the same from run to run.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl

from .common import FUSED, LOG2E, arch_of, chunks, operands, rows_within, take, tile_constants, tile_for
from .tiles import cap_logits, grouped, logit_tile

SPLITS = 32
"""Parts of the vocabulary. With 64 row blocks (8,192 rows) 15.5 waves of 132 processors, and 384 bytes a row."""


class Scaling(NamedTuple):
    """z = cap(hidden @ weight.T) / temperature; `cap` is 0 where there is none."""

    temperature: float
    cap: float

    @property
    def log2(self) -> float:
        """What turns a capped product into z in units of log2."""
        return LOG2E / self.temperature


@triton.jit
def fold(x, c, top, total, centred, ENTROPY: tl.constexpr):
    """Fold a tile of raw logits into the running maximum (raw), sum of 2^d and sum of d 2^d; c scales raw to log2."""
    new = tl.maximum(top, tl.max(x, 1))
    shift = (top - new) * c
    d = tl.fma(x, c, (-new * c)[:, None])
    e = tl.exp2(d)
    decay = tl.exp2(shift)
    if ENTROPY:
        centred = decay * tl.fma(total, shift, centred) + tl.sum(e * d, 1)
    total = tl.fma(total, decay, tl.sum(e, 1))
    return new, total, centred


@triton.jit(do_not_specialize=["T"])
def logprob_partials(
    hidden,  # [T, H]
    weight,  # [V, H]
    tops,  # [SPLITS, T] float32, log2
    totals,  # [SPLITS, T]
    centreds,  # [SPLITS, T]
    T,
    V,
    H,
    hidden_stride,
    weight_stride,
    splits,
    tiles_per_split,
    c,
    cap,
    ROWS: tl.constexpr,
    VOCAB: tl.constexpr,
    DEPTH: tl.constexpr,
    GROUP: tl.constexpr,
    ENTROPY: tl.constexpr,
    CAP: tl.constexpr,
    RAGGED: tl.constexpr,  # V is no multiple of VOCAB
    EVEN: tl.constexpr,
    DESCRIPTORS: tl.constexpr,
    WIDEN: tl.constexpr,
):
    block, split = grouped(tl.program_id(0), tl.cdiv(T, ROWS), splits, GROUP)
    row0 = block * ROWS
    # Finite, so that an empty part or a masked column gives 0 and never inf - inf.
    top = tl.full((ROWS,), -1e30, tl.float32)
    total = tl.zeros((ROWS,), tl.float32)
    centred = tl.zeros((ROWS,), tl.float32)
    first = split * tiles_per_split
    for tile in range(first, tl.minimum(first + tiles_per_split, V // VOCAB)):
        x = logit_tile(hidden, weight, row0, tile * VOCAB, T, V, H, hidden_stride, weight_stride,
                       ROWS, VOCAB, DEPTH, EVEN, DESCRIPTORS, WIDEN)  # fmt: skip
        if CAP:
            x = cap_logits(x, cap)
        top, total, centred = fold(x, c, top, total, centred, ENTROPY)
    if RAGGED:
        ragged = V // VOCAB
        if (first <= ragged) & (ragged < first + tiles_per_split):
            x = logit_tile(hidden, weight, row0, ragged * VOCAB, T, V, H, hidden_stride, weight_stride,
                           ROWS, VOCAB, DEPTH, EVEN, DESCRIPTORS, WIDEN)  # fmt: skip
            if CAP:
                x = cap_logits(x, cap)
            x = tl.where(tl.arange(0, VOCAB)[None, :] < V - ragged * VOCAB, x, -1e30)
            top, total, centred = fold(x, c, top, total, centred, ENTROPY)
    row = row0 + tl.arange(0, ROWS)
    at = tl.cast(split, tl.int64) * T + row
    tl.store(tops + at, top * c, mask=row < T)
    tl.store(totals + at, total, mask=row < T)
    if ENTROPY:
        tl.store(centreds + at, centred, mask=row < T)


@triton.jit
def target_product(hidden, weight, targets, row, T, H, hidden_stride, weight_stride, BLOCK: tl.constexpr):
    """hidden[row] . weight[targets[row]], float32 in the shape of `row`; not looked at where row >= T."""
    live = row < T
    target = tl.load(targets + row, mask=live, other=0)
    x_at = hidden + row.to(tl.int64) * hidden_stride
    w_at = weight + target.to(tl.int64) * weight_stride
    dot = tl.zeros_like(row).to(tl.float32)
    for k in range(0, H, BLOCK):
        depth = k + tl.arange(0, BLOCK)
        mask = live[:, None] & (depth < H)[None, :]
        x = tl.load(x_at[:, None] + depth[None, :], mask=mask, other=0.0).to(tl.float32)
        w = tl.load(w_at[:, None] + depth[None, :], mask=mask, other=0.0).to(tl.float32)
        dot += tl.sum(x * w, 1)
    return dot


@triton.jit(do_not_specialize=["T"])
def logprob_merge(
    hidden,  # [T, H]
    weight,  # [V, H]
    targets,  # [T]
    tops,  # [SPLITS, T], like the next two
    totals,
    centreds,
    logp,  # [T] float32, like the next two
    entropy,
    lse,
    T,
    H,
    hidden_stride,
    weight_stride,
    splits,
    c,
    cap,
    ROWS: tl.constexpr,
    DEPTH: tl.constexpr,
    ENTROPY: tl.constexpr,
    CAP: tl.constexpr,
):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    live = row < T
    z = target_product(hidden, weight, targets, row, T, H, hidden_stride, weight_stride, DEPTH)
    if CAP:
        z = cap_logits(z, cap)
    top = tl.full((ROWS,), -1e38, tl.float32)
    total = tl.zeros((ROWS,), tl.float32)
    centred = tl.zeros((ROWS,), tl.float32)
    for split in range(0, splits):
        at = tl.cast(split, tl.int64) * T + row
        part = tl.load(tops + at, mask=live, other=0.0)
        part_total = tl.load(totals + at, mask=live, other=1.0)
        new = tl.maximum(top, part)
        decay = tl.exp2(top - new)
        part_decay = tl.exp2(part - new)
        if ENTROPY:
            part_centred = tl.load(centreds + at, mask=live, other=0.0)
            centred = decay * (centred + total * (top - new)) + part_decay * (part_centred + part_total * (part - new))
        total = decay * total + part_decay * part_total
        top = new
    log_total = tl.log2(total)
    log_p = (tl.fma(z, c, -top) - log_total) * 0.6931471805599453
    # The target's product is summed in another order than its tile's: near p = 1 that alone would give logp > 0.
    tl.store(logp + row, tl.where(log_p > 0, 0.0, log_p), mask=live)
    tl.store(lse + row, (top + log_total) * 0.6931471805599453, mask=live)
    if ENTROPY:
        tl.store(entropy + row, (log_total - centred / total) * 0.6931471805599453, mask=live)


def logprob_rows(
    hidden: torch.Tensor,  # [T, H]
    weight: torch.Tensor,  # [V, H]
    targets: torch.Tensor,  # [R] int64
    index: torch.Tensor | None,  # [R], rows of `hidden`; None: all, R = T
    scaling: Scaling,
    return_entropy: bool,
    workspace_mb: float | None,
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
    """logp, entropy (or None) and lse of the chosen rows, [R] float32."""
    count = targets.shape[0]
    logp, lse = (torch.empty(count, dtype=torch.float32, device=hidden.device) for _ in range(2))
    entropy = torch.empty_like(lse) if return_entropy else None
    row_bytes = 12 * SPLITS + (0 if index is None else hidden.shape[1] * hidden.element_size())
    for part in chunks(count, rows_within(workspace_mb, row_bytes, count)) if count else ():
        _launch(take(hidden, index, part), weight, targets[part], scaling,
                logp[part], None if entropy is None else entropy[part], lse[part])  # fmt: skip
    return logp, entropy, lse


def _launch(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    scaling: Scaling,
    logp: torch.Tensor,
    entropy: torch.Tensor | None,
    lse: torch.Tensor,
) -> None:
    (rows, width), vocab = hidden.shape, weight.shape[0]
    tile = tile_for(arch_of(hidden.device), hidden.element_size(), rows, width)
    per_split = triton.cdiv(triton.cdiv(vocab, tile.vocab), SPLITS)
    splits = triton.cdiv(triton.cdiv(vocab, tile.vocab), per_split)
    partials = torch.empty(3, splits, rows, dtype=torch.float32, device=hidden.device)
    x, w, descriptors = operands(tile, hidden, weight)
    strides = hidden.stride(0), weight.stride(0)
    flags = dict(ENTROPY=entropy is not None, CAP=scaling.cap > 0)
    logprob_partials[(triton.cdiv(rows, tile.rows) * splits,)](
        x, w, *partials, rows, vocab, width, *strides, splits, per_split, scaling.log2, scaling.cap,
        **tile_constants(tile, vocab, width, descriptors), **flags, **tile.options,
    )  # fmt: skip
    logprob_merge[(triton.cdiv(rows, MERGE["ROWS"]),)](
        hidden, weight, targets, *partials, logp, lse if entropy is None else entropy, lse,
        rows, width, *strides, splits, scaling.log2, scaling.cap, **MERGE, **flags, num_warps=4, **FUSED,
    )  # fmt: skip


MERGE = {"ROWS": 16, "DEPTH": 256}
