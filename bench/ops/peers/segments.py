"""Segment advantages: a batch to measure with, ours, and the same statistics taken from tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from rerec_engine.ops import expand_segments, segment_advantage

W_PENALTY = 0.3


@dataclass(frozen=True)
class Segments:
    lengths: torch.Tensor  # [S] int64, tokens
    penalised: torch.Tensor  # [S] bool
    cu_segments: torch.Tensor  # [B + 1] int64
    rewards: torch.Tensor  # [B] float32
    group: torch.Tensor  # [B] int64
    total: int  # tokens

    def to(self, device: torch.device | str) -> Segments:
        tensors = (self.lengths, self.penalised, self.cu_segments, self.rewards, self.group)
        return Segments(*(x.to(device) for x in tensors), self.total)


def make_segments(responses: int, segments: int, tokens: int, group_size: int = 8) -> Segments:
    """Each response of about `tokens / responses` tokens in `segments` segments, a quarter of them penalised."""
    make = torch.Generator().manual_seed(0)
    mean = max(1, tokens // (responses * segments))
    count = responses * segments
    lengths = torch.randint(max(1, mean // 2), mean + (mean + 1) // 2 + 1, (count,), generator=make)
    penalised = torch.rand(count, generator=make) < 0.25
    rewards = torch.rand(responses, generator=make) * 2 - 0.5
    cu_segments = torch.arange(0, count + 1, segments)
    return Segments(lengths, penalised, cu_segments, rewards, torch.arange(responses) // group_size, int(lengths.sum()))


def segments_ours(batch: Segments) -> torch.Tensor:
    """[T] float32."""
    advantages = segment_advantage(
        batch.lengths, batch.penalised, batch.cu_segments, batch.rewards, batch.group, w_penalty=W_PENALTY
    )
    return expand_segments(advantages, batch.lengths, batch.total)


def segments_of_tokens(batch: Segments, dtype: torch.dtype) -> torch.Tensor:
    """[T] in `dtype`: every token is given its reward and its group, then mean and standard deviation are formed."""
    owner = torch.arange(len(batch.rewards), device=batch.rewards.device)
    owner = owner.repeat_interleave(batch.cu_segments.diff(), output_size=len(batch.lengths))  # [S]
    of_token = torch.arange(len(batch.lengths), device=owner.device)
    of_token = of_token.repeat_interleave(batch.lengths, output_size=batch.total)  # [T], the segment
    response = owner[of_token]  # [T]
    reward = batch.rewards.to(dtype)[response]  # [T]
    reward = torch.where(batch.penalised[of_token], reward - W_PENALTY * reward.abs(), reward)
    group = batch.group[response]  # [T]
    zeros = reward.new_zeros(len(batch.rewards))  # at least one a group
    count = zeros.index_add(0, group, torch.ones_like(reward)).clamp(min=1)
    mean = zeros.index_add(0, group, reward) / count
    deviation = reward - mean[group]
    std = (zeros.index_add(0, group, deviation.square()) / count).sqrt()[group]
    return torch.where(std > 0, deviation / std, 0.0)
