"""Token ids of a batch, packed or padded, torch or numpy, as packed numpy arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError


@dataclass(frozen=True)
class PackedTokens:
    """Response i owns ids[cu_seqlens[i]:cu_seqlens[i + 1]]. mask tells where a padded batch had them."""

    ids: NDArray[Any]  # [T] int32 or int64
    cu_seqlens: NDArray[np.int64]  # [B + 1]
    mask: NDArray[np.bool_] | None = None  # [B, L]

    def unpack(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values of the tokens in the shape that the ids came in: [T], or [B, L] with 0 on padding."""
        if self.mask is None:
            return values
        padded = np.zeros(self.mask.shape, dtype=np.float32)
        padded[self.mask] = values
        return padded


def pack_tokens(token_ids: Any, cu_seqlens: Any) -> PackedTokens:
    """token_ids [T] with cu_seqlens [B + 1], or token_ids [B, L] with lengths [B] (padding on the right) or an
    attention mask [B, L] (1 is a token); int32 or int64, torch or numpy. Packed CPU input is not copied.

    Errors: `UserError` that says what was expected.
    """
    ids, bounds = _array(token_ids, "token_ids"), _array(cu_seqlens, "cu_seqlens")
    if ids.dtype not in (np.int32, np.int64):
        if ids.size and not np.issubdtype(ids.dtype, np.integer):
            raise UserError(f"token_ids must be int32 or int64, got {ids.dtype}")
        ids = ids.astype(np.int64)
    if ids.ndim == 2:
        mask = _mask(ids, bounds)
        ends = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
        return PackedTokens(np.ascontiguousarray(ids[mask]), ends, mask)
    if ids.ndim != 1:
        raise UserError(f"token_ids must be [T] or [B, L], got shape {ids.shape}")
    cu = bounds.astype(np.int64, copy=False)
    if cu.ndim != 1 or len(cu) < 1 or cu[0] != 0 or cu[-1] != len(ids) or (np.diff(cu) < 0).any():
        raise UserError(f"cu_seqlens must be [B + 1], ascend from 0 and end at the number of tokens ({len(ids)})")
    return PackedTokens(np.ascontiguousarray(ids), np.ascontiguousarray(cu))


def _mask(ids: NDArray[Any], bounds: NDArray[Any]) -> NDArray[np.bool_]:
    if bounds.shape == ids.shape:
        return bounds.astype(bool)
    if bounds.shape != (len(ids),):
        raise UserError(f"token_ids {ids.shape} needs lengths [B] or a mask [B, L], got shape {bounds.shape}")
    if len(bounds) and (bounds.min() < 0 or bounds.max() > ids.shape[1]):
        raise UserError(f"lengths must be in 0..{ids.shape[1]}, got {bounds.min()}..{bounds.max()}")
    return np.arange(ids.shape[1])[None, :] < bounds[:, None]


def _array(values: Any, name: str) -> NDArray[Any]:
    if hasattr(values, "detach"):  # torch, without importing it
        values = values.detach().cpu().numpy()
    try:
        array: NDArray[Any] = np.asarray(values)
    except ValueError:
        raise UserError(f"{name} must be an array, got rows of different lengths") from None
    if array.dtype == object:
        raise UserError(f"{name} must be an array of integers, got {array.dtype}")
    return array
