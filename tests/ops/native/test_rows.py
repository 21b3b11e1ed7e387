"""Rows taken out by an index and put back."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.ops.native.rows import pick, spread


def test_picked_rows_come_in_the_order_of_the_index() -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    assert pick(x, torch.tensor([2, 0])).tolist() == [[5.0, 6.0], [1.0, 2.0]]
    assert pick(x.t(), torch.tensor([1])).tolist() == [[2.0, 4.0, 6.0]]  # a view that is not contiguous
    assert pick(x, torch.tensor([], dtype=torch.int64)).shape == (0, 2)


def test_spread_rows_leave_zeros_elsewhere() -> None:
    found = spread(torch.tensor([7.0, 8.0]), torch.tensor([3, 1]), torch.Size([5]))
    assert found.tolist() == [0.0, 8.0, 0.0, 7.0, 0.0]


def test_no_index_stands_for_all_rows_without_a_copy() -> None:
    x = torch.randn(4, 3)
    assert pick(x, None) is x
    assert spread(x, None, x.shape) is x


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64, torch.int64], ids=str)
def test_spread_keeps_the_dtype(dtype: torch.dtype) -> None:
    found = spread(torch.ones(1, 2, dtype=dtype), torch.tensor([1]), torch.Size([3, 2]))
    assert found.dtype == dtype
    assert found.tolist() == [[0, 0], [1, 1], [0, 0]]


@given(st.lists(st.booleans(), max_size=12), st.integers(1, 3))
def test_a_mask_of_rows_survives_the_round_trip(mask: list[bool], width: int) -> None:
    kept = torch.tensor(mask, dtype=torch.bool)
    x = torch.arange(1.0, len(mask) * width + 1).view(len(mask), width)
    index = kept.nonzero().squeeze(1)
    assert torch.equal(spread(pick(x, index), index, x.shape), x * kept[:, None])
