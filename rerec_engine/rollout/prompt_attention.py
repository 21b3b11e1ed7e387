"""Attention within prompts that lie packed, one after the other, and that may all begin alike."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor

from rerec_engine.rollout.cache import Heads


class PromptAttention:
    """Causal, over a common beginning (once that is kept) and each prompt's own tokens. Prompts of one length that
    follow each other are one call of torch's attention."""

    def __init__(self, heads: Heads) -> None:
        self.heads = heads
        self.length = 0
        """Tokens of the common beginning."""
        self._common: dict[int, tuple[Tensor, Tensor]] = {}  # by layer: keys and values [1, kv_heads, C, D]
        self._masks: dict[int, Tensor] = {}  # by length: [length, C + length]

    def keep(self, layer: int, qkv: Tensor) -> None:
        """The common beginning's, [C, heads, D], rotated: what comes to this layer later sees it."""
        heads, self.length = self.heads, len(qkv)
        _, k, v = qkv[None].transpose(1, 2).split([heads.queries, heads.keys, heads.keys], 1)
        self._common[layer] = k.contiguous(), v.contiguous()

    def attend(self, layer: int, qkv: Tensor, lengths: Sequence[int]) -> Tensor:
        """qkv [sum of lengths, heads, D], rotated -> [sum of lengths, query heads * D]."""
        heads, parts = self.heads, []
        runs = [(length, len(list(same))) for length, same in groupby(lengths)]
        for (length, count), part in zip(runs, qkv.split([length * count for length, count in runs]), strict=True):
            part = part.view(count, length, heads.all, heads.dim).transpose(1, 2)
            q, k, v = part.split([heads.queries, heads.keys, heads.keys], 1)  # [count, heads, length, D]
            mask = None
            if layer in self._common:
                before, carried = (x.expand(count, -1, -1, -1) for x in self._common[layer])
                k, v = torch.cat([before, k], 2), torch.cat([carried, v], 2)
                mask = self._mask(length, qkv.device)
            a = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=True)
            parts.append(a.transpose(1, 2).reshape(count * length, -1))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _mask(self, length: int, device: torch.device) -> Tensor:
        if length not in self._masks:
            everything = torch.ones(length, self.length + length, dtype=torch.bool, device=device)
            self._masks[length] = everything.tril(self.length)
        return self._masks[length]
