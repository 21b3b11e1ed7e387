"""Rows taken out by an index, and put back where they came from; an index of None stands for all rows."""

from __future__ import annotations

import torch


def pick(x: torch.Tensor, index: torch.Tensor | None) -> torch.Tensor:
    """The rows of `index` [R]."""
    return x if index is None else x.index_select(0, index)


def spread(x: torch.Tensor, index: torch.Tensor | None, shape: torch.Size) -> torch.Tensor:
    """`x` [R, ...] at the rows of `index` of a tensor of `shape`, 0 elsewhere."""
    return x if index is None else x.new_zeros(shape).index_copy_(0, index, x)
