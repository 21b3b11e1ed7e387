"""Keys and values of prompts and of what follows them, and the attention of a new token over both.

`TorchCache` works on any device and in any type; `NativeCache` is its twin in C++ for fp32 on a CPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from rerec_engine import _core


@dataclass(frozen=True)
class Heads:
    """Of an attention layer; all layers have the same."""

    layers: int
    queries: int
    keys: int
    """As many as there are of values."""
    dim: int

    @property
    def all(self) -> int:
        """Of queries, keys and values."""
        return self.queries + 2 * self.keys


class Cache(Protocol):
    """B prompts, n responses each; rows are responses, prompt-major."""

    def set_prompts(self, layer: int, qkv: Tensor) -> None:
        """Take keys and values of qkv [B, P, heads, D], rotated."""
        ...

    def attend(self, layer: int, qkv: Tensor) -> Tensor:
        """qkv [rows, heads, D] of the new tokens, not rotated -> [rows, query heads * D]."""
        ...

    def advance(self) -> None:
        """All layers have seen the new tokens."""
        ...

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only (int64 indices, ascending)."""
        ...


def make_cache(heads: Heads, cos: Tensor, sin: Tensor, valid: Tensor, n: int) -> Cache:
    """cos, sin [P + new, D] as `rotate` takes them; valid [B, P] is false on the padding at the left."""
    native = cos.device.type == "cpu" and cos.dtype == torch.float32 and heads.dim % 16 == 0
    return (NativeCache if native else TorchCache)(heads, cos, sin, valid, n)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position: x [..., D]; sin is negated in its first half."""
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)


class NativeCache:
    """fp32 on a CPU, D a multiple of 16."""

    def __init__(self, heads: Heads, cos: Tensor, sin: Tensor, valid: Tensor, n: int) -> None:
        self.width = heads.queries * heads.dim
        lengths, tables = valid.sum(1).numpy(), [x.contiguous().numpy() for x in (cos, sin)]
        self.cache = _core.AttentionCache(heads.layers, heads.queries, heads.keys, n, lengths, valid.shape[1], *tables)

    def set_prompts(self, layer: int, qkv: Tensor) -> None:
        self.cache.set_prompts(layer, qkv.numpy(), torch.get_num_threads())

    def attend(self, layer: int, qkv: Tensor) -> Tensor:
        out = qkv.new_empty(len(qkv), self.width)
        self.cache.attend(layer, qkv.numpy(), out.numpy(), torch.get_num_threads())
        return out

    def advance(self) -> None:
        self.cache.advance()

    def keep(self, rows: Tensor) -> None:
        self.cache.keep(rows.numpy())


class TorchCache:
    """Grouped queries, and a prompt's responses, are folded into the query dimension, so that keys and values are never
    repeated."""

    def __init__(self, heads: Heads, cos: Tensor, sin: Tensor, valid: Tensor, n: int) -> None:
        self.heads, self.rotary = heads, (cos, sin)
        batch, width = valid.shape
        device, kind = cos.device, cos.dtype
        self.prompts: list[tuple[Tensor, Tensor]] = []  # keys and values [B, kv_heads, P, D]
        shape = (batch * n, heads.keys, len(cos) - width, heads.dim)
        self.new = [
            (torch.empty(shape, dtype=kind, device=device), torch.empty(shape, dtype=kind, device=device))
            for _ in range(heads.layers)
        ]
        self.filled = 0
        self.position = valid.sum(1).repeat_interleave(n)  # [rows]
        self.owner = torch.arange(batch, device=device).repeat_interleave(n)  # [rows], the prompt of each
        self.slots, self.place = n, torch.arange(batch * n, device=device)  # see _by_prompt
        blocked = torch.zeros(batch, 1, 1, width, dtype=kind, device=device)
        self.blocked = blocked.masked_fill_(~valid[:, None, None], float("-inf"))

    def set_prompts(self, layer: int, qkv: Tensor) -> None:
        _, k, v = qkv.transpose(1, 2).split([self.heads.queries, self.heads.keys, self.heads.keys], 1)
        self.prompts.append((k.contiguous(), v.contiguous()))

    def advance(self) -> None:
        self.filled += 1
        self.position = self.position + 1

    def keep(self, rows: Tensor) -> None:
        self.new = [(self._kept(k, rows), self._kept(v, rows)) for k, v in self.new]
        self.position = self.position[rows]
        left, self.owner = torch.unique(self.owner[rows], return_inverse=True)
        if len(left) < len(self.blocked):
            self.prompts = [(k[left], v[left]) for k, v in self.prompts]
            self.blocked = self.blocked[left]
        count = torch.bincount(self.owner)
        first = count.cumsum(0) - count
        self.slots = int(count.max())
        self.place = self.owner * self.slots + torch.arange(len(rows), device=rows.device) - first[self.owner]

    def _kept(self, x: Tensor, rows: Tensor) -> Tensor:
        fresh = x.new_empty(len(rows), *x.shape[1:])
        fresh[:, :, : self.filled] = x[:, :, : self.filled][rows]
        return fresh

    def attend(self, layer: int, qkv: Tensor) -> Tensor:
        """A prompt's keys and values are read once for all of its responses."""
        heads, rows, end = self.heads, len(qkv), self.filled + 1
        cos, sin = (x[self.position][:, None] for x in self.rotary)
        qk, v = qkv.split([heads.queries + heads.keys, heads.keys], 1)
        q, k = rotate(qk, cos, sin).split([heads.queries, heads.keys], 1)
        keys, values = self.new[layer]
        keys[:, :, self.filled] = k
        values[:, :, self.filled] = v
        prompt_keys, prompt_values = self.prompts[layer]
        q = q.reshape(rows, heads.keys, -1, heads.dim) * heads.dim**-0.5  # [rows, kv_heads, groups, D]
        to_prompt = self._by_prompt(q) @ prompt_keys.transpose(2, 3) + self.blocked  # [B, kv_heads, slots * groups, P]
        to_new = q @ keys[:, :, :end].transpose(2, 3)  # [rows, kv_heads, groups, end]
        scores = torch.cat([self._by_row(to_prompt), to_new], -1)
        weights = torch.softmax(scores, -1, dtype=torch.float32).to(q.dtype)
        of_prompt, of_new = weights.split([prompt_keys.shape[2], end], -1)
        a = self._by_row(self._by_prompt(of_prompt) @ prompt_values) + of_new @ values[:, :, :end]
        return a.reshape(rows, -1)

    def _by_prompt(self, x: Tensor) -> Tensor:
        """[rows, kv_heads, groups, X] -> [B, kv_heads, slots * groups, X]; a prompt has a slot for each response."""
        whole = x
        if len(x) < len(self.blocked) * self.slots:
            whole = x.new_zeros(len(self.blocked) * self.slots, *x.shape[1:])
            whole[self.place] = x
        whole = whole.reshape(len(self.blocked), self.slots, *x.shape[1:]).transpose(1, 2)
        return whole.reshape(len(self.blocked), self.heads.keys, -1, x.shape[-1])

    def _by_row(self, x: Tensor) -> Tensor:
        """The way back."""
        parts = x.view(len(self.blocked), self.heads.keys, self.slots, -1, x.shape[-1]).transpose(1, 2)
        whole = parts.reshape(len(self.blocked) * self.slots, *parts.shape[2:])
        return whole if len(self.place) == len(whole) else whole[self.place]
