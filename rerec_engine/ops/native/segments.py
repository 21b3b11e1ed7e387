"""`segment_advantage` and `expand_segments` on a CPU."""

from __future__ import annotations

import torch

from rerec_engine import _core
from rerec_engine.ops.types import GroupEstimator


def segment_advantage(
    segment_lengths: torch.Tensor,  # [S] int, tokens
    segment_penalised: torch.Tensor,  # [S] bool
    cu_segments: torch.Tensor,  # [B + 1] int
    rewards: torch.Tensor,  # [B]
    group: torch.Tensor,  # [B] int
    *,
    w_penalty: float = 0.3,
    estimator: GroupEstimator = "raae",
) -> torch.Tensor:
    """See `rerec_engine.ops.segment_advantage`."""
    found = _core.segment_advantage(
        segment_lengths.long().numpy(),
        segment_penalised.bool().numpy(),
        cu_segments.long().numpy(),
        rewards.detach().float().numpy(),
        group.long().numpy(),
        w_penalty,
        estimator,
    )
    return torch.from_numpy(found)


def expand_segments(
    advantages: torch.Tensor,  # [S]
    segment_lengths: torch.Tensor,  # [S] int, tokens
    total: int | None = None,
) -> torch.Tensor:
    """See `rerec_engine.ops.expand_segments`."""
    lengths = segment_lengths.long()
    out = torch.empty(int(lengths.sum()) if total is None else total)
    _core.expand_segments(advantages.detach().float().numpy(), lengths.numpy(), out.numpy())
    return out.to(advantages.dtype)
