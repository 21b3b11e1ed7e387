"""Attention over a packed row on a CPU, in matrix products that are as large as they can be.

torch's flash attention multiplies small blocks through MKL, which on processors that are not Intel's runs at half the
rate of oneDNN and knows no bfloat16 (`ops/native/onednn.py`). Here a tile has some hundred queries, with all query
heads of a key head stacked, and all keys that it sees; responses that follow one prompt share a tile. Scores are
float32 whatever the operands. Nothing of size queries x keys is kept for the backward pass, which forms the
probabilities again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from rerec_engine.ops.native.pool import drive, run, workers

QUERIES = 192
"""Of a tile at most, unless a single response is longer."""


@dataclass(frozen=True)
class Tile:
    """Queries of a row and what they see: all keys of `before`, and of their own those that `mask` leaves at 0."""

    own: slice
    before: slice
    mask: Tensor  # [queries, queries] float32, 0 or -inf

    def keys(self, x: Tensor) -> Tensor:
        """The tile's rows of keys or values [N, D]."""
        if self.before.stop == self.own.start:
            return x[self.before.start : self.own.stop]
        return torch.cat([x[self.before], x[self.own]]) if self.before.stop > self.before.start else x[self.own]


def tiles(lengths: tuple[int, ...], prefix: tuple[int, ...]) -> list[list[Tile]]:
    """The tiles of a packed row, as `Blocks` describes it, in groups that share no keys.

    lengths, prefix: of the blocks, [B]; those that have a prefix follow it at once, as `packed_inputs` lays them.
    """
    starts = [0]
    for n in lengths:
        starts.append(starts[-1] + n)
    groups: dict[int, list[Tile]] = {}
    waiting: list[int] = []  # blocks of one prefix that lie together and have no tile yet

    def close() -> None:
        if waiting:
            root = prefix[waiting[0]]
            before = slice(starts[root], starts[root + 1])
            own = slice(starts[waiting[0]], starts[waiting[-1] + 1])
            groups[root].append(Tile(own, before, _causal([lengths[i] for i in waiting])))
            waiting.clear()

    for i, (length, root) in enumerate(zip(lengths, prefix, strict=True)):
        if waiting and (prefix[waiting[0]] != root or starts[i + 1] - starts[waiting[0]] > QUERIES):
            close()
        if root >= 0:
            waiting.append(i)
            continue
        groups[i] = [
            Tile(slice(a, b), slice(starts[i], a), _causal([b - a])) for a, b in _pieces(starts[i], starts[i] + length)
        ]
    close()
    return list(groups.values())


def _pieces(start: int, stop: int) -> Iterator[tuple[int, int]]:
    count = -(-(stop - start) // QUERIES)
    bounds = [start + (stop - start) * i // count for i in range(count + 1)]
    yield from pairwise(bounds)


def _causal(lengths: list[int]) -> Tensor:
    """Of blocks one after the other, each of which sees itself alone."""
    seen = torch.block_diag(*(torch.ones(n, n).tril() for n in lengths))
    return torch.zeros_like(seen).masked_fill_(seen == 0, float("-inf"))


def tiled_attention(query: Tensor, key: Tensor, value: Tensor, scale: float, groups: list[list[Tile]]) -> Tensor:
    """query [1, H, N, D], key and value [1, K, N, D] -> [1, H, N, D], with H a multiple of K; differentiable once."""
    found: Tensor = _Attention.apply(query, key, value, scale, groups)
    return found


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, scale: float, groups: list[list[Tile]]) -> Tensor:
        ctx.save_for_backward(query, key, value)
        ctx.scale, ctx.groups = scale, groups
        out = torch.empty_like(query, memory_format=torch.contiguous_format)
        q, o = _by_key_head(query, key), _by_key_head(out, key)

        def attend(head: int, group: list[Tile]) -> None:
            k, v = key[0, head].float(), value[0, head].float()  # [N, D]
            for tile in group:
                rows = _stacked(q[head, :, tile.own]) * scale
                shares = _probabilities(rows, tile, k)
                _take(o[head, :, tile.own], shares @ tile.keys(v))

        _each(attend, key.shape[1], groups, query.numel())
        return out

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value = ctx.saved_tensors
        (d_out,) = upstream
        grads = [torch.empty_like(x, memory_format=torch.contiguous_format) for x in (query, key, value)]
        q, d_o, d_q = (_by_key_head(x, key) for x in (query, d_out, grads[0]))

        def attend(head: int, group: list[Tile]) -> None:
            first, last = group[0].own.start, group[-1].own.stop
            k, v = key[0, head].float(), value[0, head].float()
            d_k, d_v = (torch.zeros(last - first, k.shape[1]) for _ in range(2))
            for tile in group:
                rows, up = _stacked(q[head, :, tile.own]) * ctx.scale, _stacked(d_o[head, :, tile.own])
                shares = _probabilities(rows, tile, k)
                inner = up @ tile.keys(v).t()
                inner = torch._softmax_backward_data(inner, shares, -1, torch.float32)
                keys = tile.keys(k)
                _take(d_q[head, :, tile.own], (inner @ keys).mul_(ctx.scale))
                _add(d_v, shares.t() @ up, tile, first)
                _add(d_k, inner.t() @ rows, tile, first)
            grads[1][0, head, first:last] = d_k
            grads[2][0, head, first:last] = d_v

        _each(attend, key.shape[1], ctx.groups, query.numel())
        return *grads, None, None


def _by_key_head(x: Tensor, key: Tensor) -> Tensor:
    """[1, H, N, D] as [K, H / K, N, D]."""
    return x[0].unflatten(0, (key.shape[1], -1))


def _stacked(x: Tensor) -> Tensor:
    """The rows of all query heads [G, n, D], one head after the other: [G n, D] float32."""
    return x.reshape(-1, x.shape[-1]).float()


def _take(out: Tensor, rows: Tensor) -> None:
    """`_stacked` the other way."""
    out.copy_(rows.view(out.shape))


def _probabilities(rows: Tensor, tile: Tile, k: Tensor) -> Tensor:
    """Of scaled queries [G n, D] over the tile's keys, [G n, keys] float32."""
    scores = rows @ tile.keys(k).t()
    own = scores.view(-1, len(tile.mask), scores.shape[1])[..., tile.before.stop - tile.before.start :]
    own += tile.mask
    return scores.softmax(-1)


def _add(total: Tensor, more: Tensor, tile: Tile, first: int) -> None:
    """Gradients of a tile's keys to those of their group, [N of the group, D], which begins at `first`."""
    before = tile.before.stop - tile.before.start
    total[tile.before.start - first : tile.before.stop - first] += more[:before]
    total[tile.own.start - first : tile.own.stop - first] += more[before:]


def _each(attend: Any, heads: int, groups: list[list[Tile]], size: int) -> None:
    """`attend` for every key head and group, on as many threads as torch has."""
    todo = iter([(head, group) for group in groups for head in range(heads)])

    def work() -> None:
        for head, group in todo:
            attend(head, group)

    threads = workers(size * 64)
    drive(threads, lambda: run([work] * threads))
