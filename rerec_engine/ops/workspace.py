"""How many rows of logits fit the memory that a caller allows."""

from __future__ import annotations


def rows_within(workspace_mb: float, row_bytes: int) -> int:
    """Rows of `row_bytes` bytes in `workspace_mb` MB (2^20 bytes); ValueError where not one fits."""
    rows = int(workspace_mb * 2**20) // row_bytes
    if rows < 1:
        raise ValueError(f"workspace_mb must hold a row of logits, here {row_bytes / 2**20:.4f} MB, got {workspace_mb}")
    return rows
