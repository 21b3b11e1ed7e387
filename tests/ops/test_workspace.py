"""Rows that a workspace holds, to the byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.ops.workspace import rows_within


@pytest.mark.parametrize(
    "workspace_mb, row_bytes, rows",
    [(1, 2**20, 1), (1, 2**20 // 3, 3), (1, 2**19 + 1, 1), (0.5, 1000, 524), (2.5, 4, 655_360), (1 / 2**20, 1, 1)],
)
def test_whole_rows_alone_are_counted(workspace_mb: float, row_bytes: int, rows: int) -> None:
    assert rows_within(workspace_mb, row_bytes) == rows


@given(st.integers(1, 2**40), st.integers(1, 2**30))
def test_one_row_more_would_not_fit(room: int, row_bytes: int) -> None:
    if room < row_bytes:
        with pytest.raises(ValueError):
            rows_within(room / 2**20, row_bytes)
        return
    rows = rows_within(room / 2**20, row_bytes)
    assert rows * row_bytes <= room < (rows + 1) * row_bytes


@pytest.mark.parametrize("workspace_mb", [0.5, 0.0, -3.0])
def test_less_than_a_row_is_refused_with_the_size_of_one(workspace_mb: float) -> None:
    with pytest.raises(ValueError) as raised:
        rows_within(workspace_mb, 3 * 2**19)
    assert str(raised.value) == f"workspace_mb must hold a row of logits, here 1.5000 MB, got {workspace_mb}"
