"""Keys and values of prompts and of what follows them, and the attention of a new token over both.

Prompts may join while responses to others are decoded. `TorchCache` works on any device and in any type; `NativeCache`
is its twin in C++ for CPUs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from rerec_engine import _core

BLOCK = 16
"""Positions that lie together; a common beginning ends between two blocks."""


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
    """Rows are responses, prompt-major; those to prompts that came later stand behind."""

    def add(self, lengths: Sequence[int], n: int) -> None:
        """Prompts of these lengths join, n responses to each; without responses it is one with which all that come
        later begin, and their lengths are without it."""
        ...

    def set_prompts(self, layer: int, qkv: Tensor) -> None:
        """Take keys and values of the prompts that joined last: qkv [sum of lengths, heads, D], rotated."""
        ...

    def attend(self, layer: int, qkv: Tensor) -> Tensor:
        """qkv [rows, heads, D] of the new tokens, not rotated -> [rows, query heads * D]."""
        ...

    def advance(self) -> None:
        """All layers have seen the new tokens."""
        ...

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows (int64 indices), which may repeat; rows of one prompt stand together."""
        ...


def make_cache(heads: Heads, cos: Tensor, sin: Tensor, max_new: int) -> Cache:
    """cos, sin [positions, D] as `rotate` takes them, in the type of keys and values; max_new: tokens of a response."""
    native = cos.device.type == "cpu" and cos.dtype in (torch.float32, torch.bfloat16) and heads.dim % BLOCK == 0
    return NativeCache(heads, cos, sin) if native else TorchCache(heads, cos, sin, max_new)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position: x [..., D]; sin is negated in its first half."""
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)


class NativeCache:
    """On a CPU, fp32 or bf16, D a multiple of BLOCK; the arithmetic is fp32."""

    def __init__(self, heads: Heads, cos: Tensor, sin: Tensor) -> None:
        self.width, self.half = heads.queries * heads.dim, cos.dtype == torch.bfloat16
        cosine, sine = (x.float().contiguous().numpy() for x in (cos, sin))
        self.cache = _core.AttentionCache(heads.layers, heads.queries, heads.keys, cosine, sine, self.half)

    def add(self, lengths: Sequence[int], n: int) -> None:
        self.cache.add(np.asarray(lengths, np.int64), n)

    def set_prompts(self, layer: int, qkv: Tensor) -> None:
        self.cache.set_prompts(layer, qkv.float().numpy(), torch.get_num_threads())

    def attend(self, layer: int, qkv: Tensor) -> Tensor:
        out = torch.empty(len(qkv), self.width)
        self.cache.attend(layer, qkv.float().numpy(), out.numpy(), torch.get_num_threads())
        return out.to(qkv.dtype)

    def advance(self) -> None:
        self.cache.advance()

    def keep(self, rows: Tensor) -> None:
        self.cache.keep(rows.numpy())


class TorchCache:
    """Grouped queries, and a prompt's responses, are folded into the query dimension, so that keys and values are never
    repeated."""

    def __init__(self, heads: Heads, cos: Tensor, sin: Tensor, max_new: int) -> None:
        self.heads, self.rotary, self.max_new = heads, (cos, sin), max_new
        empty = cos.new_empty(0, heads.keys, 0, heads.dim)
        new = cos.new_empty(0, heads.keys, max_new, heads.dim)
        self.common = [(empty, empty)] * heads.layers  # keys and values [1 or 0, kv_heads, C, D]
        self.prompts = [(empty, empty)] * heads.layers  # [B, kv_heads, P, D]
        self.new = [(new, new)] * heads.layers  # [rows, kv_heads, max_new, D]
        none = torch.zeros(0, dtype=torch.long, device=cos.device)
        self.lengths, self.owner = none, none  # [B], [rows]: without the common beginning; the prompt of each
        self.filled, self.place = none, none  # [rows]; see _by_prompt
        self.begin, self.slots, self.end, self.even = 0, 0, 0, True
        self.blocked = cos.new_zeros(0, 1, 1, 0)  # [B, 1, 1, P], -inf behind a prompt's end

    def add(self, lengths: Sequence[int], n: int) -> None:
        device = self.owner.device
        self.joining = torch.as_tensor(lengths, device=device)
        self.is_common = n == 0
        if self.is_common:
            self.begin = int(lengths[0])
            return
        fresh = torch.arange(len(lengths), device=device).repeat_interleave(n) + len(self.lengths)
        self.owner = torch.cat([self.owner, fresh])
        self.filled = torch.cat([self.filled, torch.zeros_like(fresh)])
        self.lengths = torch.cat([self.lengths, self.joining])
        self._lay_out()

    def _lay_out(self) -> None:
        """Of prompts and rows as they are."""
        count = torch.bincount(self.owner, minlength=len(self.lengths))
        first = count.cumsum(0) - count
        self.slots = int(count.max())
        self.place = self.owner * self.slots
        self.place = self.place + torch.arange(len(self.owner), device=count.device) - first[self.owner]
        self.end = int(self.filled.max())
        self.even = bool((self.filled == self.end).all())
        behind = torch.arange(int(self.lengths.max()), device=count.device) >= self.lengths[:, None]
        blocked = torch.zeros_like(behind, dtype=self.blocked.dtype).masked_fill_(behind, float("-inf"))
        self.blocked = blocked[:, None, None]

    def set_prompts(self, layer: int, qkv: Tensor) -> None:
        _, k, v = qkv.split([self.heads.queries, self.heads.keys, self.heads.keys], 1)  # [T, kv_heads, D]
        if self.is_common:
            self.common[layer] = (k.transpose(0, 1)[None].contiguous(), v.transpose(0, 1)[None].contiguous())
            return
        keys, values = self.prompts[layer]
        self.prompts[layer] = self._joined(keys, k), self._joined(values, v)
        k, v = self.new[layer]
        added = k.new_zeros(len(self.owner) - len(k), *k.shape[1:])
        self.new[layer] = torch.cat([k, added]), torch.cat([v, added])

    def _joined(self, old: Tensor, packed: Tensor) -> Tensor:
        """old [B, kv_heads, P, D] with prompts behind it: packed [T, kv_heads, D]."""
        width = self.blocked.shape[-1]
        whole = old.new_zeros(len(self.lengths), old.shape[1], width, old.shape[3])
        kept = min(width, old.shape[2])
        whole[: len(old), :, :kept] = old[:, :, :kept]
        inside = torch.arange(width, device=old.device) < self.joining[:, None]  # [joining, P]
        whole[len(old) :].transpose(1, 2)[inside] = packed
        return whole

    def advance(self) -> None:
        self.filled = self.filled + 1
        self.end += 1

    def keep(self, rows: Tensor) -> None:
        self.new = [(self._kept(k, rows), self._kept(v, rows)) for k, v in self.new]
        self.filled = self.filled[rows]
        left, self.owner = torch.unique(self.owner[rows], return_inverse=True)
        if len(left) < len(self.lengths):
            self.lengths = self.lengths[left]
            self.prompts = [(k[left], v[left]) for k, v in self.prompts]
        if len(rows):
            self._lay_out()
            width = self.blocked.shape[-1]
            self.prompts = [(k[:, :, :width], v[:, :, :width]) for k, v in self.prompts]

    def _kept(self, x: Tensor, rows: Tensor) -> Tensor:
        fresh = x.new_zeros(len(rows), *x.shape[1:])
        fresh[:, :, : self.end] = x[:, :, : self.end][rows]
        return fresh

    def attend(self, layer: int, qkv: Tensor) -> Tensor:
        """A prompt's keys and values are read once for all of its responses, the common ones once for all."""
        heads, rows, end = self.heads, len(qkv), self.end + 1
        position = self.begin + self.lengths[self.owner] + self.filled
        cos, sin = (x[position][:, None] for x in self.rotary)
        qk, v = qkv.split([heads.queries + heads.keys, heads.keys], 1)
        q, k = rotate(qk, cos, sin).split([heads.queries, heads.keys], 1)
        keys, values = self.new[layer]
        if self.even:
            keys[:, :, self.end], values[:, :, self.end] = k, v
        else:
            at = torch.arange(rows, device=qkv.device), slice(None), self.filled
            keys[at], values[at] = k, v
        prompt_keys, prompt_values = self.prompts[layer]
        q = q.reshape(rows, heads.keys, -1, heads.dim) * heads.dim**-0.5  # [rows, kv_heads, groups, D]
        to_prompt = self._by_prompt(q) @ prompt_keys.transpose(2, 3) + self.blocked  # [B, kv_heads, slots * groups, P]
        to_new = q @ keys[:, :, :end].transpose(2, 3)  # [rows, kv_heads, groups, end]
        if not self.even:
            ahead = torch.arange(end, device=qkv.device) > self.filled[:, None]
            to_new = to_new.masked_fill(ahead[:, None, None], float("-inf"))
        scores = [self._by_row(to_prompt), to_new]
        common_keys, common_values = self.common[layer]
        if self.begin:
            together = q.transpose(0, 1).reshape(1, heads.keys, -1, heads.dim)  # [1, kv_heads, rows * groups, D]
            to_common = (together @ common_keys.transpose(2, 3)).view(heads.keys, rows, -1, self.begin)
            scores.append(to_common.transpose(0, 1))
        weights = torch.softmax(torch.cat(scores, -1), -1, dtype=torch.float32).to(q.dtype)
        of_prompt, of_new, of_common = weights.split([prompt_keys.shape[2], end, self.begin], -1)
        a = self._by_row(self._by_prompt(of_prompt) @ prompt_values) + of_new @ values[:, :, :end]
        if self.begin:
            together = of_common.transpose(0, 1).reshape(1, heads.keys, -1, self.begin)
            a = a + (together @ common_values).view(heads.keys, rows, -1, heads.dim).transpose(0, 1)
        return a.reshape(rows, -1)

    def _by_prompt(self, x: Tensor) -> Tensor:
        """[rows, kv_heads, groups, X] -> [B, kv_heads, slots * groups, X]; a prompt has a slot for each response."""
        count = len(self.lengths)
        whole = x
        if len(x) < count * self.slots:
            whole = x.new_zeros(count * self.slots, *x.shape[1:])
            whole[self.place] = x
        whole = whole.reshape(count, self.slots, *x.shape[1:]).transpose(1, 2)
        return whole.reshape(count, self.heads.keys, -1, x.shape[-1])

    def _by_row(self, x: Tensor) -> Tensor:
        """The way back."""
        count = len(self.lengths)
        parts = x.view(count, self.heads.keys, self.slots, -1, x.shape[-1]).transpose(1, 2)
        whole = parts.reshape(count * self.slots, *parts.shape[2:])
        return whole if len(self.place) == len(whole) else whole[self.place]
