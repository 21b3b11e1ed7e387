"""`segment_advantage` and `expand_segments`: group-relative advantages from segment lengths, expanded to tokens.

    raae (arXiv 2604.07851)  A = (x - mean) / std of the group's tokens, x = r - w_penalty |r| where penalised, else r
    grpo  A = (r - mean) / (sample std + 1e-6)    dr_grpo  A = r - mean    rloo  A = (r - mean) G / (G - 1)

One program per response, one launch. It finds the span of responses that holds its group, and goes over that span
twice: mean and extremes, then squares. Numbers are taken from the group's first reward, so that rewards close together
keep their differences in float32; where all are equal the advantage is exactly 0.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from .common import FUSED

_BLOCK = 512
_ESTIMATORS = {"raae": 0, "grpo": 1, "dr_grpo": 2, "rloo": 3}


@triton.jit
def upper_bound(sorted_values, x, count, STEPS: tl.constexpr):
    """How many of the `count` sorted values are <= x; STEPS halvings suffice."""
    low = tl.zeros_like(x).to(tl.int32)
    high = low + count
    for _ in tl.static_range(STEPS):
        middle = (low + high) // 2
        open_ = low < high
        below = open_ & (tl.load(sorted_values + middle, mask=open_, other=0) <= x)
        low = tl.where(below, middle + 1, low)
        high = tl.where(open_ & (below == 0), middle, high)
    return low


@triton.jit
def span_of(group, own, B, BLOCK: tl.constexpr):
    """The first response of the group `own`, and one past its last."""
    lane = tl.arange(0, BLOCK)
    low = tl.full((BLOCK,), 2147483647, tl.int32)
    high = tl.zeros((BLOCK,), tl.int32)
    for first in range(0, B, BLOCK):
        at = first + lane
        same = tl.load(group + at, mask=at < B, other=-1) == own
        low = tl.minimum(low, tl.where(same, at, 2147483647))
        high = tl.maximum(high, tl.where(same, at + 1, 0))
    return tl.min(low, 0), tl.max(high, 0)


@triton.jit
def values_at(
    at,
    end,
    lengths,
    penalised,
    bounds,
    rewards,
    group,
    own,
    origin,
    B,
    penalty,
    STEPS: tl.constexpr,
    RAAE: tl.constexpr,
):
    """Value less `origin`, and weight, of what the statistics go over: segments by tokens, or responses by one each."""
    live = at < end
    if RAAE:
        owner = upper_bound(bounds, tl.where(live, at, 0), B + 1, STEPS) - 1
        live = live & (tl.load(group + owner, mask=live, other=-1) == own)
        r = tl.load(rewards + owner, mask=live, other=0.0).to(tl.float32)
        bad = tl.load(penalised + at, mask=live, other=0) != 0
        r = tl.where(bad, r - penalty * tl.abs(r), r)
        weight = tl.load(lengths + at, mask=live, other=0).to(tl.float32)
    else:
        live = live & (tl.load(group + at, mask=live, other=-1) == own)
        r = tl.load(rewards + at, mask=live, other=0.0).to(tl.float32)
        weight = tl.where(live, 1.0, 0.0)
    return r - origin, weight


@triton.jit(do_not_specialize=["B"])
def segment_advantages(
    lengths,  # [S] int
    penalised,  # [S] uint8
    bounds,  # [B + 1] int
    rewards,  # [B]
    group,  # [B] int
    out,  # [S] float32
    B,
    penalty,
    BLOCK: tl.constexpr,
    STEPS: tl.constexpr,
    ESTIMATOR: tl.constexpr,
):
    response = tl.program_id(0)
    lane = tl.arange(0, BLOCK)
    own = tl.load(group + response)
    first_response, last_response = span_of(group, own, B, BLOCK)
    origin = tl.load(rewards + first_response).to(tl.float32)
    raae: tl.constexpr = ESTIMATOR == 0
    start = first_response
    end = last_response
    if raae:
        start = tl.load(bounds + first_response).to(tl.int32)
        end = tl.load(bounds + last_response).to(tl.int32)
    counts = tl.zeros((BLOCK,), tl.float32)
    sums = tl.zeros((BLOCK,), tl.float32)
    lows = tl.full((BLOCK,), float("inf"), tl.float32)
    highs = tl.full((BLOCK,), float("-inf"), tl.float32)
    for first in range(start, end, BLOCK):
        x, weight = values_at(
            first + lane, end, lengths, penalised, bounds, rewards, group, own, origin, B, penalty, STEPS, raae
        )  # fmt: skip
        counts += weight
        sums += weight * x
        lows = tl.where(weight > 0, tl.minimum(lows, x), lows)
        highs = tl.where(weight > 0, tl.maximum(highs, x), highs)
    count = tl.sum(counts, 0)
    mean = tl.sum(sums, 0) / tl.maximum(count, 1.0)
    varied = tl.max(highs, 0) > tl.min(lows, 0)
    squares = tl.zeros((BLOCK,), tl.float32)
    for first in range(start, end, BLOCK):
        x, weight = values_at(
            first + lane, end, lengths, penalised, bounds, rewards, group, own, origin, B, penalty, STEPS, raae
        )  # fmt: skip
        squares += weight * (x - mean) * (x - mean)
    square = tl.sum(squares, 0)
    factor = 1.0
    if ESTIMATOR == 0:
        std = tl.sqrt(square / tl.maximum(count, 1.0))
        varied = varied & (std > 0)
        factor = 1.0 / tl.where(std > 0, std, 1.0)
    elif ESTIMATOR == 1:
        factor = 1.0 / (tl.sqrt(square / tl.maximum(count - 1.0, 1.0)) + 1e-6)
    elif ESTIMATOR == 3:
        factor = count / tl.maximum(count - 1.0, 1.0)
    reward = tl.load(rewards + response).to(tl.float32)
    own_end = tl.load(bounds + response + 1).to(tl.int32)
    for first in range(tl.load(bounds + response).to(tl.int32), own_end, BLOCK):
        at = first + lane
        live = at < own_end
        r = reward + tl.zeros((BLOCK,), tl.float32)
        if raae:
            bad = tl.load(penalised + at, mask=live, other=0) != 0
            r = tl.where(bad, r - penalty * tl.abs(r), r)
        tl.store(out + at, tl.where(varied, (r - origin - mean) * factor, 0.0), mask=live)


@triton.jit(do_not_specialize=["T", "S"])
def expand(
    advantages,  # [S]
    ends,  # [S] int64: one past each segment's last token
    out,  # [T]
    T,
    S,
    BLOCK: tl.constexpr,
    STEPS: tl.constexpr,
):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    segment = upper_bound(ends, at, S, STEPS)
    live = (at < T) & (segment < S)
    tl.store(out + at, tl.load(advantages + segment, mask=live), mask=live)


def _steps(count: int) -> int:
    """Halvings of a search among `count` numbers, rounded up to a multiple of four: few different kernels."""
    return 4 * triton.cdiv(count.bit_length() + 1, 4)


def segment_advantage(
    segment_lengths: torch.Tensor,  # [S] int, tokens
    segment_penalised: torch.Tensor,  # [S] bool
    cu_segments: torch.Tensor,  # [B + 1] int
    rewards: torch.Tensor,  # [B]
    group: torch.Tensor,  # [B] int
    *,
    w_penalty: float = 0.3,
    estimator: str = "raae",
) -> torch.Tensor:
    """The advantage of every segment, [S] float32; see `rerec_engine.ops.segment_advantage`.

    A group may be scattered over the batch; where its responses are neighbours a program reads no others.
    """
    out = torch.empty(segment_lengths.shape, dtype=torch.float32, device=rewards.device)
    responses = rewards.shape[0]
    if responses and out.numel():
        segment_advantages[(responses,)](
            segment_lengths.contiguous(), segment_penalised.contiguous().view(torch.uint8), cu_segments.contiguous(),
            rewards.contiguous(), group.contiguous(), out, responses, w_penalty,
            BLOCK=_BLOCK, STEPS=_steps(responses + 1), ESTIMATOR=_ESTIMATORS[estimator], num_warps=4, **FUSED,
        )  # fmt: skip
    return out


def expand_segments(
    advantages: torch.Tensor,  # [S]
    segment_lengths: torch.Tensor,  # [S] int, tokens
    total: int | None = None,
) -> torch.Tensor:
    """The advantage of every token, [T] in the dtype of `advantages`, which gets no gradient.

    `total` is T, the sum of the lengths; without it the host waits for the device to tell it.
    """
    segments = advantages.shape[0]
    ends = segment_lengths.cumsum(0, dtype=torch.int64)  # [S]
    if total is None:
        total = int(ends[-1]) if segments else 0
    out = torch.empty(total, dtype=advantages.dtype, device=advantages.device)
    if total and segments:
        expand[(triton.cdiv(total, 1024),)](
            advantages.detach().contiguous(), ends, out, total, segments,
            BLOCK=1024, STEPS=_steps(segments), num_warps=4, **FUSED,
        )  # fmt: skip
    return out
