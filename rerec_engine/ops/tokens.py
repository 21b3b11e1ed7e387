"""What the losses know of whole responses: token weights by aggregation, and means over a response."""

from __future__ import annotations

import torch

from rerec_engine.ops.types import Aggregation, LossTokens, Ratio


def token_weights(
    kept: torch.Tensor,  # [T] bool
    cu_seqlens: torch.Tensor | None,  # [B + 1]
    aggregation: Aggregation,
    dtype: torch.dtype,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight of each token, [T], and the denominator that belongs to it, at least 1."""
    weights = kept.to(dtype)
    if aggregation == "token_mean" or cu_seqlens is None:
        return weights, weights.sum().clamp(min=1)
    cu_seqlens = cu_seqlens.to(kept.device)
    lengths = cu_seqlens.diff()  # [B]
    if aggregation == "dr_grpo":
        longest = lengths.max() if lengths.numel() else lengths.sum()
        return weights, (lengths.numel() * longest).clamp(min=1)
    owner = owners(cu_seqlens, kept.numel())  # [T]
    tokens = weights.new_zeros(lengths.numel()).index_add_(0, owner, weights)  # [B]
    return weights / tokens.clamp(min=1)[owner], (tokens > 0).sum().clamp(min=1)


def sequence_mean(
    values: torch.Tensor,  # [T]
    kept: torch.Tensor,  # [T] bool
    cu_seqlens: torch.Tensor,  # [B + 1]
) -> torch.Tensor:
    """For every token the mean of `values` over the kept tokens of its response, [T]; 0 where none is kept."""
    owner = owners(cu_seqlens.to(kept.device), kept.numel())  # [T]
    pairs = torch.stack([torch.where(kept, values, 0.0), kept.to(values.dtype)])
    total, count = values.new_zeros(2, cu_seqlens.numel() - 1).index_add_(1, owner, pairs)  # [B] each
    return (total / count.clamp(min=1))[owner]


def shared_log_ratio(
    difference: torch.Tensor,  # [T], logp - old, of any value where not kept
    tokens: LossTokens,
    ratio: Ratio,
) -> torch.Tensor:
    """The log-ratio that a token shares: the mean over its response, or over its run (ratio "entry"), [T]."""
    bounds = tokens.cu_seqlens if ratio == "sequence" else tokens.cu_runs
    assert bounds is not None
    return sequence_mean(difference, tokens.kept, bounds)


def owners(cu_seqlens: torch.Tensor, tokens: int) -> torch.Tensor:
    """The response that each token belongs to, [T]."""
    lengths = cu_seqlens.diff()
    return torch.arange(lengths.numel(), device=lengths.device).repeat_interleave(lengths, output_size=tokens)
