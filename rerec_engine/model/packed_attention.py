"""Attention over a packed row: sequences one after the other, without padding, and a prompt once for all its responses.

transformers' models take it as the attention implementation `rerec_packed`. A forward pass that names no `Blocks` goes
through transformers' SDPA as before. On CUDA in half precision, torch's own variable-length flash attention runs
(`torch.nn.attention.varlen`, torch >= 2.10); on a CPU whose products oneDNN makes, `tiled_attention`; else SDPA, block
by block.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from itertools import accumulate
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from rerec_engine.model.tiled_attention import Tile, tiled_attention, tiles
from rerec_engine.ops.native.onednn import with_onednn

varlen_attn: Callable[..., Any] | None
try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # torch < 2.10
    varlen_attn = None

NAME = "rerec_packed"
LAYER_TYPES = {"full_attention", "sliding_attention"}


class Blocks:
    """A packed row of N tokens as B blocks. A token sees its block up to itself, and before that the block's prefix.

    lengths: tokens of each block, [B]; their sum is N. prefix: the block that comes before each one's tokens, or -1.
    Example: a prompt of 3 tokens with responses of 2 and 4, then a sequence of 5 on its own:
    `Blocks((3, 2, 4, 5), (-1, 0, 0, -1), device)`. No dataclass: FSDP would hand copies of it to the layers.
    """

    def __init__(self, lengths: tuple[int, ...], prefix: tuple[int, ...], device: torch.device) -> None:
        self.lengths, self.prefix, self.device = lengths, prefix, device
        self.used = False
        """Whether an attention layer has seen it; a model that hands its arguments on to none must not go unnoticed."""
        self._masks: dict[tuple[int | None, torch.dtype], Tensor] = {}

    @property
    def key_lengths(self) -> list[int]:
        """Keys that the last token of each block sees, [B]."""
        return [n + (self.lengths[p] if p >= 0 else 0) for n, p in zip(self.lengths, self.prefix, strict=True)]

    @cached_property
    def bounds(self) -> tuple[Tensor, Tensor]:
        """Bounds of the blocks' queries and of their keys, [B + 1] int32 each, as varlen kernels take them."""
        queries, keys = (
            torch.tensor([0, *accumulate(n)], dtype=torch.int32).to(self.device)
            for n in (self.lengths, self.key_lengths)
        )
        return queries, keys

    @cached_property
    def key_index(self) -> Tensor | None:
        """Places in the row of all blocks' keys, [sum of key_lengths] int64; None where that is the row itself."""
        if max(self.prefix) < 0:
            return None
        places = torch.arange(sum(self.lengths)).split(self.lengths)
        spans = [
            part for own, p in zip(places, self.prefix, strict=True) for part in ([places[p], own] if p >= 0 else [own])
        ]
        return torch.cat(spans).to(self.device)

    @property
    def tiled(self) -> bool:
        """Whether `tiled_attention` is the fastest here."""
        return self.device.type == "cpu" and with_onednn()

    @cached_property
    def tiles(self) -> list[list[Tile]]:
        return tiles(self.lengths, self.prefix)

    def mask(self, block: int, window: int | None, dtype: torch.dtype) -> Tensor:
        """Additive mask of a block, [queries, keys]: causal, aligned at the last query, within `window` keys.

        All blocks' masks are views of one.
        """
        queries, keys = self.lengths[block], self.key_lengths[block]
        longest, offset = max(self.lengths), max(self.lengths[p] if p >= 0 else 0 for p in self.prefix)
        if (window, dtype) not in self._masks:
            visible = torch.ones(longest, offset + longest, dtype=torch.bool, device=self.device).tril(offset)
            if window is not None:
                visible = visible.triu(offset - window + 1)
            self._masks[window, dtype] = torch.zeros_like(visible, dtype=dtype).masked_fill_(~visible, float("-inf"))
        start = offset - (keys - queries)
        return self._masks[window, dtype][:queries, start : start + keys]


def packed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    blocks: Blocks | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """transformers' attention interface. query [1, H, N, D], key and value [1, K, N, D] -> [1, N, H, D] with `blocks`.

    Raises ValueError where the model wants of its attention what is not done here (soft caps, sinks, dropout).
    """
    if blocks is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    blocks.used = True
    unknown = [name for name in ("softcap", "s_aux", "position_bias") if kwargs.get(name) is not None]
    if unknown or kwargs.get("dropout"):
        raise ValueError(f"packed attention does not do {unknown or ['dropout']}: switch model.packing off")
    dtype = torch.get_autocast_dtype(query.device.type) if torch.is_autocast_enabled(query.device.type) else query.dtype
    query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    if _fused(query, dtype):
        return _varlen(query, key, value, scaling, sliding_window, blocks)[None], None
    if blocks.tiled and sliding_window is None and dtype != torch.float64:
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        return tiled_attention(query, key, value, scale, blocks.tiles).transpose(1, 2), None
    return _by_block(query, key, value, scaling, sliding_window, blocks).transpose(1, 2), None


def _fused(query: Tensor, dtype: torch.dtype) -> bool:
    """Whether torch's variable-length kernel takes it: CUDA, half precision, heads of at most 256."""
    return varlen_attn is not None and query.is_cuda and dtype != torch.float32 and query.shape[-1] <= 256


def _varlen(q: Tensor, k: Tensor, v: Tensor, scale: float | None, window: int | None, blocks: Blocks) -> Tensor:
    """Variable-length flash attention: causal, aligned at the last query of each block. Returns [N, H, D]."""
    assert varlen_attn is not None
    q, k, v = (x[0].transpose(0, 1) for x in (q, k, v))  # [N, heads, D]
    if (index := blocks.key_index) is not None:
        k, v = k[index], v[index]
    found: Tensor = varlen_attn(
        q.contiguous(),
        k.contiguous(),
        v.contiguous(),
        *blocks.bounds,
        max(blocks.lengths),
        max(blocks.key_lengths),
        scale=scale,
        window_size=(-1 if window is None else window - 1, 0),
        enable_gqa=q.shape[1] != k.shape[1],
    )
    return found


def _by_block(q: Tensor, k: Tensor, v: Tensor, scale: float | None, window: int | None, blocks: Blocks) -> Tensor:
    """SDPA for each block. Returns [1, H, N, D]."""
    queries, keys, values = (x.split(blocks.lengths, dim=2) for x in (q, k, v))
    found = []
    for i, (block, p) in enumerate(zip(queries, blocks.prefix, strict=True)):
        seen, carried = keys[i], values[i]
        if p >= 0:
            seen, carried = torch.cat([keys[p], seen], 2), torch.cat([values[p], carried], 2)
        narrow = window is not None and seen.shape[2] > window
        mask = blocks.mask(i, window, q.dtype) if p >= 0 or narrow else None
        found.append(
            F.scaled_dot_product_attention(
                block,
                seen,
                carried,
                attn_mask=mask,
                is_causal=mask is None,
                scale=scale,
                enable_gqa=q.shape[1] != k.shape[1],
            )
        )
    return torch.cat(found, 2)


def enable_packing(model: PreTrainedModel) -> bool:
    """Let a model take packed rows where its attention allows it; returns whether it does.

    It does where the model runs on transformers' SDPA or flash attention and all its layers are full or sliding-window
    attention. Nothing else of the model changes: whatever is not packed goes through SDPA as before.
    """
    config = model.config.get_text_config()
    if not getattr(model, "_supports_attention_backend", False):
        return False
    if not set(getattr(config, "layer_types", None) or LAYER_TYPES) <= LAYER_TYPES:
        return False
    if is_flash(config._attn_implementation) or config._attn_implementation == NAME:
        return True
    if config._attn_implementation != "sdpa":
        return False
    model.set_attn_implementation(NAME)
    return True


def is_flash(implementation: str) -> bool:
    """Whether transformers' attention of that name takes cu_seq_lens_q and the like (also hub kernels)."""
    return "flash" in implementation


AttentionInterface.register(NAME, packed_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
