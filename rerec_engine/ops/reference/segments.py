"""`segment_advantage` and `expand_segments` in plain torch."""

from __future__ import annotations

import torch

from rerec_engine.ops.groups import group_advantage, standardise
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
    responses = torch.arange(rewards.numel(), device=rewards.device)
    owner = responses.repeat_interleave(cu_segments.diff(), output_size=segment_lengths.numel())  # [S]
    if estimator != "raae":
        return group_advantage(rewards, group, estimator)[owner]
    value = rewards.double()[owner]  # [S]
    value = torch.where(segment_penalised, value - w_penalty * value.abs(), value)
    return standardise(value, segment_lengths, group[owner]).float()


def expand_segments(
    advantages: torch.Tensor,  # [S]
    segment_lengths: torch.Tensor,  # [S] int, tokens
    total: int | None = None,
) -> torch.Tensor:
    """See `rerec_engine.ops.expand_segments`."""
    return advantages.repeat_interleave(segment_lengths, output_size=total)
