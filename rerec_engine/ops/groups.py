"""Statistics within groups, float64 and vectorised: what every group-relative estimator rests on."""

from __future__ import annotations

import torch

from rerec_engine.ops.types import GRPO_STD_EPS, GroupEstimator


def group_advantage(rewards: torch.Tensor, group: torch.Tensor, estimator: GroupEstimator) -> torch.Tensor:
    """Advantage of every response against its group, [B] float32, for grpo, dr_grpo and rloo; see `segment_advantage`.

    A response alone in its group has no baseline and gets 0: its raw reward would be an advantage of another kind and
    scale than its neighbours' in the batch.
    """
    count, deviation, squares, varied = _moments(rewards.double(), torch.ones_like(rewards).double(), group)
    if estimator == "grpo":
        deviation = deviation / ((squares / (count - 1).clamp(min=1)).sqrt() + GRPO_STD_EPS)
    elif estimator == "rloo":
        deviation = deviation * (count / (count - 1).clamp(min=1))
    elif estimator != "dr_grpo":
        raise ValueError(f"estimator must be grpo, dr_grpo or rloo, got {estimator!r}")
    return torch.where(varied, deviation, 0.0).float()


def entry_advantage(
    rewards: torch.Tensor,  # [E]
    place: torch.Tensor,  # [E] int, of the entry in its list, from 0
    group: torch.Tensor,  # [E] int, of its response
    sizes: torch.Tensor,  # [Q] int, responses of each group
) -> torch.Tensor:
    """(reward - mean) / (sample std + 1e-6) of each entry over the same place of all responses of its group, [E]
    float32 (Rank-GRPO, arXiv 2510.20150). A response whose list is shorter counts with 0. Exactly 0 where all are
    equal, and for a response alone in its group.
    """
    places = int(place.max()) + 1 if place.numel() else 1
    keys, key = torch.unique(group.long() * places + place.long(), return_inverse=True)
    shorter = sizes[keys // places] - torch.bincount(key, minlength=keys.numel())
    values = torch.cat([rewards.double(), rewards.new_zeros(keys.numel()).double()])
    weights = torch.cat([torch.ones_like(rewards).double(), shorter.double()])
    every = torch.cat([key, torch.arange(keys.numel(), device=key.device)])
    count, deviation, squares, varied = _moments(values, weights, every)
    deviation = deviation / ((squares / (count - 1).clamp(min=1)).sqrt() + GRPO_STD_EPS)
    return torch.where(varied, deviation, 0.0)[: rewards.numel()].float()


def standardise(values: torch.Tensor, weights: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
    """(value - mean) / population std within each group, weighted, [N] float64; exactly 0 where all are equal."""
    count, deviation, squares, varied = _moments(values.double(), weights.double(), group)
    std = (squares / count.clamp(min=1)).sqrt()
    varied = varied & (std > 0)  # differences below 1e-162 square to 0
    return torch.where(varied, deviation / torch.where(varied, std, 1.0), 0.0)


def _moments(
    values: torch.Tensor,  # [N] float64
    weights: torch.Tensor,  # [N] float64, e.g. tokens
    group: torch.Tensor,  # [N] int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Per element, of its group: total weight, deviation from the mean, weighted sum of squared deviations, and whether
    values of positive weight differ (two passes)."""
    group = group.long()
    groups = int(group.max()) + 1 if group.numel() else 0

    def total(x: torch.Tensor) -> torch.Tensor:  # [groups]
        return x.new_zeros(groups).index_add_(0, group, x)

    def extreme(x: torch.Tensor, reduce: str) -> torch.Tensor:  # [groups]
        return x.new_zeros(groups).scatter_reduce_(0, group, x, reduce, include_self=False)

    count = total(weights)
    mean = total(weights * values) / count.clamp(min=1)
    deviation = values - mean[group]
    squares = total(weights * deviation.square())
    weighed = weights > 0
    top = extreme(torch.where(weighed, values, -torch.inf), "amax")
    bottom = extreme(torch.where(weighed, values, torch.inf), "amin")
    return count[group], deviation, squares[group], (top > bottom)[group]
