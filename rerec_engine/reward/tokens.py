"""Token ids of a batch, packed or padded, torch or numpy, as the rows that the C++ engine reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from rerec_engine import _core
from rerec_engine.errors import UserError

Number = TypeVar("Number", np.float32, np.int32)


@dataclass(frozen=True)
class TokenBatch:
    """Response i has tokens left[i] .. left[i] + length[i] of its row; gaps tells where a row has holes."""

    ids: NDArray[Any]  # [T] or [B, L], int32 or int64; not copied where its rows are contiguous
    left: NDArray[np.int64]  # [B]
    length: NDArray[np.int64]  # [B]
    shape: tuple[int, ...]
    """Of the ids as they were given, and so of their rewards."""
    gaps: NDArray[np.bool_] | None = None  # [B, L]: ids are packed, and unpacked by this mask

    @property
    def count(self) -> int:
        """B."""
        return len(self.left)

    def rows(self) -> _core.TokenRows:
        if self.ids.ndim == 1:
            return _core.TokenRows(self.left, self.length, 0, 0)
        stride = self.ids.strides[0] // self.ids.itemsize
        return _core.TokenRows(self.left, self.length, stride, self.ids.shape[1])

    def row(self, i: int) -> NDArray[Any]:
        """The ids of response i."""
        ids = self.ids if self.ids.ndim == 1 else self.ids[i]
        return ids[self.left[i] : self.left[i] + self.length[i]]

    def restore(self, values: NDArray[Number], none: float = 0) -> NDArray[Number]:
        """Values of tokens in the shape that the ids came in, `none` where a row has no token."""
        if self.gaps is None:
            return values
        padded = np.full(self.gaps.shape, none, dtype=values.dtype)
        padded[self.gaps] = values
        return padded


def read_tokens(token_ids: Any, cu_seqlens: Any) -> TokenBatch:
    """token_ids [T] with cu_seqlens [B + 1], or token_ids [B, L] with lengths [B] (padding on the right) or an
    attention mask [B, L] (nonzero is a token); int32 or int64, torch or numpy. What lies on the CPU is not copied,
    unless a mask has gaps.

    Errors: `UserError` that says what was expected.
    """
    ids, bounds = _array(token_ids, "token_ids"), _array(cu_seqlens, "cu_seqlens")
    if ids.dtype not in (np.int32, np.int64):
        if ids.size and not np.issubdtype(ids.dtype, np.integer):
            raise UserError(f"token_ids must be int32 or int64, got {ids.dtype}")
        ids = ids.astype(np.int64)
    if ids.ndim == 2:
        return _padded(ids, bounds)
    if ids.ndim != 1:
        raise UserError(f"token_ids must be [T] or [B, L], got shape {ids.shape}")
    if bounds.ndim != 1 or len(bounds) < 1 or bounds[0] != 0 or bounds[-1] != len(ids) or (np.diff(bounds) < 0).any():
        raise UserError(f"cu_seqlens must be [B + 1], ascend from 0 and end at the number of tokens ({len(ids)})")
    return _packed(ids, bounds, ids.shape)


def _packed(
    ids: NDArray[Any], bounds: NDArray[Any], shape: tuple[int, ...], gaps: NDArray[np.bool_] | None = None
) -> TokenBatch:
    cu = bounds.astype(np.int64)
    return TokenBatch(np.ascontiguousarray(ids), cu[:-1].copy(), np.diff(cu), shape, gaps)


def _padded(ids: NDArray[Any], bounds: NDArray[Any]) -> TokenBatch:
    if ids.strides[1] != ids.itemsize or ids.strides[0] % ids.itemsize or ids.strides[0] < 0:
        ids = np.ascontiguousarray(ids)
    rows, width = ids.shape
    if bounds.shape == (rows,):
        lengths = bounds.astype(np.int64)
        if rows and (lengths.min() < 0 or lengths.max() > width):
            raise UserError(f"lengths must be in 0..{width}, got {lengths.min()}..{lengths.max()}")
        return TokenBatch(ids, np.zeros(rows, np.int64), lengths, ids.shape)
    if bounds.shape != ids.shape:
        raise UserError(f"token_ids {ids.shape} needs lengths [B] or a mask [B, L], got shape {bounds.shape}")
    mask = bounds
    if mask.dtype.kind not in "biu" or mask.itemsize == 2 or mask.strides[1] != mask.itemsize:
        mask = np.ascontiguousarray(bounds != 0)
    spans = _core.mask_spans(mask)
    if spans is not None:
        left, length = spans
        return TokenBatch(ids, left, length, ids.shape)
    gaps = bounds != 0
    ends = np.concatenate([[0], np.cumsum(gaps.sum(axis=1))])
    return _packed(ids[gaps], ends, ids.shape, gaps)


def to_numpy(values: Any) -> Any:
    """A torch tensor's values as a numpy array, without importing torch; anything else as it is."""
    return values.detach().cpu().numpy() if hasattr(values, "detach") else values


def _array(values: Any, name: str) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.asarray(to_numpy(values))
    except ValueError:
        raise UserError(f"{name} must be an array, got rows of different lengths") from None
    if array.dtype == object:
        raise UserError(f"{name} must be an array of integers, got {array.dtype}")
    return array
