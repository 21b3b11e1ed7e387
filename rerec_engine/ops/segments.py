"""`segment_advantage` and `expand_segments`: group-relative advantages from segments instead of tokens."""

from __future__ import annotations

import torch

from rerec_engine.ops.dispatch import implementation
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
    """Advantage of every segment, [S] float32; response i owns segments cu_segments[i]:cu_segments[i + 1].

    raae (ReRec, arXiv 2604.07851): a segment's reward is r_i, or r_i - w_penalty |r_i| where it is penalised, every
    token has its segment's reward, and A = (r - mean) / std over all tokens of the group (population std). The
    statistics come from segment lengths, so their cost and rounding do not grow with the tokens.
    The others know only the response's reward, and take their statistics over the group's responses:
    grpo (arXiv 2402.03300) A = (r - mean) / (std + 1e-6), sample std; dr_grpo (arXiv 2503.20783) A = r - mean;
    rloo (arXiv 2402.14740) A = r - mean of the others.

    Exactly 0 throughout a group whose rewards (raae: of segments that have tokens) are all equal; that includes a
    group of a single response for all but raae. Statistics are float64. Group ids are any integers >= 0.

    Raises ValueError for shapes that do not fit, negative lengths or ids (checked on the CPU only), NaN or infinity.
    """
    responses = rewards.shape[0] if rewards.ndim == 1 else -1
    if cu_segments.shape != (responses + 1,) or group.shape != (responses,):
        raise ValueError(
            f"rewards [B], group [B] and cu_segments [B + 1] must fit, got {list(rewards.shape)}, "
            f"{list(group.shape)} and {list(cu_segments.shape)}"
        )
    if segment_lengths.ndim != 1 or segment_penalised.shape != segment_lengths.shape:
        raise ValueError(
            f"segment_lengths and segment_penalised must be [S], got {list(segment_lengths.shape)} and "
            f"{list(segment_penalised.shape)}"
        )
    if estimator not in ("raae", "grpo", "dr_grpo", "rloo"):
        raise ValueError(f"estimator must be raae, grpo, dr_grpo or rloo, got {estimator!r}")
    if rewards.device.type == "cpu":
        _check_values(segment_lengths, cu_segments, rewards, group)
    result: torch.Tensor = implementation("segment_advantage", rewards)(
        segment_lengths, segment_penalised, cu_segments, rewards, group, w_penalty=w_penalty, estimator=estimator
    )
    return result


def expand_segments(
    advantages: torch.Tensor,  # [S]
    segment_lengths: torch.Tensor,  # [S] int, tokens
    total: int | None = None,
) -> torch.Tensor:
    """The advantage of every token, [T] in the dtype of `advantages`: each segment's value, once per token.

    `total` is T, the sum of the lengths; giving it saves a GPU the wait for that sum.
    """
    if advantages.ndim != 1 or advantages.shape != segment_lengths.shape:
        raise ValueError(
            f"advantages and segment_lengths must be [S], got {list(advantages.shape)}, {list(segment_lengths.shape)}"
        )
    if total is not None and segment_lengths.device.type == "cpu" and int(segment_lengths.sum()) != total:
        raise ValueError(f"total must be the sum of segment_lengths, {int(segment_lengths.sum())}, got {total}")
    result: torch.Tensor = implementation("expand_segments", advantages)(advantages, segment_lengths, total)
    return result


def _check_values(
    segment_lengths: torch.Tensor, cu_segments: torch.Tensor, rewards: torch.Tensor, group: torch.Tensor
) -> None:
    segments = segment_lengths.shape[0]
    if int(cu_segments[0]) != 0 or int(cu_segments[-1]) != segments or bool((cu_segments.diff() < 0).any()):
        raise ValueError(f"cu_segments must rise from 0 to S = {segments}, got {cu_segments.tolist()[:8]} ...")
    if bool((segment_lengths < 0).any()) or bool((group < 0).any()):
        raise ValueError("segment_lengths and group must be >= 0, got a negative value")
    if not bool(rewards.isfinite().all()):
        bad = int((~rewards.isfinite()).nonzero()[0])
        raise ValueError(f"rewards must be finite, got {float(rewards[bad])} for response {bad}")
