"""Device functions of the products over [rows, vocabulary]: the tile, its capped logits and the order of programs."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def grouped(pid, row_blocks, columns, GROUP: tl.constexpr):
    """(row block, column) of a program: GROUP row blocks side by side for each column, so that both are used again."""
    width = GROUP * columns
    first = (pid // width) * GROUP
    height = tl.minimum(row_blocks - first, GROUP)
    return first + (pid % width) % height, (pid % width) // height


@triton.jit
def logit_tile(
    hidden,  # [T, H]: a pointer, or a descriptor of [ROWS, DEPTH] blocks
    weight,  # [V, H]: likewise
    row0,
    vocab0,
    T,
    V,
    H,
    hidden_stride,
    weight_stride,
    ROWS: tl.constexpr,
    VOCAB: tl.constexpr,
    DEPTH: tl.constexpr,
    EVEN: tl.constexpr,  # H is a multiple of DEPTH
    DESCRIPTORS: tl.constexpr,
    WIDEN: tl.constexpr,
):
    """hidden @ weight.T of one tile, float32 [ROWS, VOCAB]. Rows beyond T and columns beyond V hold anything finite."""
    acc = tl.zeros((ROWS, VOCAB), tl.float32)
    if DESCRIPTORS:
        for k in range(0, H, DEPTH):
            x = hidden.load([row0, k])
            w = weight.load([vocab0, k])
            if WIDEN:
                x = x.to(tl.float32)
                w = w.to(tl.float32)
            acc = tl.dot(x, w.T, acc, input_precision="ieee")
    else:
        # Beyond the end the last row is read again: a mask would cost more. Offsets within a tile fit 32 bits.
        row = tl.minimum(tl.arange(0, ROWS), T - 1 - row0)
        column = tl.minimum(tl.arange(0, VOCAB), V - 1 - vocab0)
        depth = tl.arange(0, DEPTH)
        x_at = hidden + tl.cast(row0, tl.int64) * hidden_stride + row[:, None] * hidden_stride + depth[None, :]
        w_at = weight + tl.cast(vocab0, tl.int64) * weight_stride + column[:, None] * weight_stride + depth[None, :]
        for k in range(0, H, DEPTH):
            if EVEN:
                x = tl.load(x_at)
                w = tl.load(w_at)
            else:
                x = tl.load(x_at, mask=depth[None, :] < H - k, other=0.0)
                w = tl.load(w_at, mask=depth[None, :] < H - k, other=0.0)
            if WIDEN:
                x = x.to(tl.float32)
                w = w.to(tl.float32)
            acc = tl.dot(x, w.T, acc, input_precision="ieee")
            x_at += DEPTH
            w_at += DEPTH
    return acc


@triton.jit
def cap_logits(x, cap):
    """cap * tanh(x / cap); its slope is 1 - (result / cap)^2."""
    e = tl.exp2(tl.abs(x) * (-2.8853900817779268 / cap))  # exp(-2 |x| / cap): cannot overflow
    y = cap * (1.0 - e) / (1.0 + e)
    return tl.where(x < 0, -y, y)


@triton.jit
def store_tile(
    out,  # [T, V]: a pointer, or a descriptor of [ROWS, VOCAB] blocks
    value,
    row0,
    vocab0,
    T,
    V,
    ROWS: tl.constexpr,
    VOCAB: tl.constexpr,
    DTYPE: tl.constexpr,
    OUT_DESCRIPTOR: tl.constexpr,
    WIDEN: tl.constexpr,
):
    """out[row0 : row0 + ROWS, vocab0 : vocab0 + VOCAB] = value, as far as it lies within [T, V]."""
    if OUT_DESCRIPTOR:
        out.store([row0, vocab0], narrow(value, DTYPE, WIDEN))
    else:
        row = tl.arange(0, ROWS)
        column = tl.arange(0, VOCAB)
        mask = (row < T - row0)[:, None] & (column < V - vocab0)[None, :]
        at = out + tl.cast(row0, tl.int64) * V + vocab0 + row[:, None] * V + column[None, :]
        tl.store(at, narrow(value, DTYPE, WIDEN), mask=mask)


@triton.jit
def narrow(x, dtype: tl.constexpr, WIDEN: tl.constexpr):
    """x in `dtype`, rounded to nearest: the interpreter (WIDEN) cuts bfloat16 off instead, so it is rounded before."""
    if WIDEN and dtype == tl.bfloat16:
        bits = x.to(tl.int32, bitcast=True)
        bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & -65536
        x = bits.to(tl.float32, bitcast=True)
    return x.to(dtype)
