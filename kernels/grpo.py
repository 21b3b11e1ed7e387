"""`grpo_loss`: the clipped objective, its gradient and all metrics from one pass over the tokens.

Formulas: `row_loss`; GSPO's ratio (arXiv 2507.18071, its token form) is exp of the response's mean of logp - old. A
program takes a block of tokens, or a response where the aggregation or the ratio needs its totals; the ratio of runs
within a response, which are short and many, is formed before (`run_means`). It writes the
gradient before division and its partial sums; a second, tiny launch adds these in a fixed order and divides. (One
launch with a counter would need that counter cleared, which is a launch as well.) The backward pass only scales.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch.autograd.function import once_differentiable

from .common import FUSED
from .row_loss import loss_arguments, row_loss

_BLOCK = 1024
_SLOTS = 16
"""Numbers per program: sums, but for the maxima in slots 8 to 10; as many results."""
_METRICS = {"clip_fraction": 2, "ratio_mean": 3, "approx_kl": 4, "kl": 5, "entropy": 6, "ratio_max": 8,
            "log_ratio_max": 9, "ratio_square_mean": 11, "log_ratio_mean": 12, "tokens": 1}  # fmt: skip
_AGGREGATIONS = {"token_mean": 0, "sequence_mean": 1, "dr_grpo": 2}


@triton.jit(do_not_specialize=["T"])
def grpo_partials(
    logp,  # [T], as the next five
    old,
    ref,
    adv,
    entropy,
    weights,  # [T] float32, of every token in the loss
    mask,  # [T] uint8
    bounds,  # [B + 1]
    log_ratios,  # [T] float32, of the tokens that share one
    d_logp,  # [T] float32
    d_entropy,  # [T] float32
    partials,  # [programs, 16] float32
    T,
    clip_low,
    clip_high,
    beta,
    entropy_coef,
    BLOCK: tl.constexpr,
    RESPONSES: tl.constexpr,  # a program takes a response, else a block
    MEAN: tl.constexpr,  # tokens weigh 1 / their response's
    SEQUENCE: tl.constexpr,
    GIVEN_RATIOS: tl.constexpr,
    KL: tl.constexpr,
    HAS_REF: tl.constexpr,
    HAS_MASK: tl.constexpr,
    HAS_WEIGHTS: tl.constexpr,
    HAS_ENTROPY: tl.constexpr,
    BONUS: tl.constexpr,  # entropy_coef is not 0
):
    program = tl.program_id(0)
    lane = tl.arange(0, BLOCK)
    if RESPONSES:
        start = tl.load(bounds + program).to(tl.int32)
        end = tl.load(bounds + program + 1).to(tl.int32)
    else:
        start = program * BLOCK
        end = tl.minimum(start + BLOCK, T)
    share = 1.0
    mean = 0.0
    if RESPONSES:
        counts = tl.zeros((BLOCK,), tl.float32)
        differences = tl.zeros((BLOCK,), tl.float32)
        for first in range(start, end, BLOCK):
            at = first + lane
            live = at < end
            if HAS_MASK:
                live = live & (tl.load(mask + at, mask=live, other=0) != 0)
            counts += tl.where(live, 1.0, 0.0)
            if SEQUENCE:
                differences += tl.load(logp + at, mask=live, other=0.0).to(tl.float32)
                differences -= tl.load(old + at, mask=live, other=0.0).to(tl.float32)
        count = tl.maximum(tl.sum(counts, 0), 1.0)
        mean = tl.sum(differences, 0) / count
        if MEAN:
            share = 1.0 / count
    zero = tl.zeros((BLOCK,), tl.float32)
    loss_sum, tokens, clips, ratios, old_kls, ref_kls, entropies, top, log_top, squares, distances = (
        zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero)  # fmt: skip
    for first in range(start, end, BLOCK):
        at = first + lane
        inside = at < end
        live = inside
        if HAS_MASK:
            live = live & (tl.load(mask + at, mask=inside, other=0) != 0)
        p = tl.load(logp + at, mask=live, other=0.0).to(tl.float32)
        q = tl.load(old + at, mask=live, other=0.0).to(tl.float32)
        a = tl.load(adv + at, mask=live, other=0.0).to(tl.float32)
        r = zero
        if HAS_REF:
            r = tl.load(ref + at, mask=live, other=0.0).to(tl.float32)
        log_h = p - q
        if SEQUENCE:
            log_h = zero + mean
        if GIVEN_RATIOS:
            log_h = tl.load(log_ratios + at, mask=live, other=0.0)
        loss, gradient, h, clip, ref_kl, old_kl = row_loss(
            p, q, r, a, log_h, clip_low, clip_high, beta, KL, HAS_REF
        )  # fmt: skip
        weight = zero + share
        if HAS_WEIGHTS:
            weight = tl.load(weights + at, mask=live, other=0.0)
        if HAS_ENTROPY:
            e = tl.load(entropy + at, mask=live, other=0.0).to(tl.float32)
            entropies += e
            if BONUS:
                loss -= entropy_coef * e
                tl.store(d_entropy + at, tl.where(live, -entropy_coef * weight, 0.0), mask=inside)
        tl.store(d_logp + at, tl.where(live, gradient * weight, 0.0), mask=inside)
        loss_sum += tl.where(live, loss * weight, 0.0)
        tokens += tl.where(live, 1.0, 0.0)
        clips += tl.where(live & clip, 1.0, 0.0)
        ratios += tl.where(live, h, 0.0)
        old_kls += tl.where(live, old_kl, 0.0)
        ref_kls += tl.where(live, ref_kl, 0.0)
        top = tl.maximum(top, tl.where(live, h, 0.0))
        squares += tl.where(live, h * h, 0.0)
        log_ratio = tl.where(live, tl.abs(p - q), 0.0)
        distances += log_ratio
        log_top = tl.maximum(log_top, log_ratio)
    out = partials + program * 16
    total = tl.sum(tokens, 0)
    tl.store(out, tl.sum(loss_sum, 0))
    tl.store(out + 1, total)
    tl.store(out + 2, tl.sum(clips, 0))
    tl.store(out + 3, tl.sum(ratios, 0))
    tl.store(out + 4, tl.sum(old_kls, 0))
    tl.store(out + 5, tl.sum(ref_kls, 0))
    tl.store(out + 6, tl.sum(entropies, 0))
    tl.store(out + 7, tl.where(total > 0, 1.0, 0.0))
    tl.store(out + 8, tl.max(top, 0))
    tl.store(out + 9, tl.max(log_top, 0))
    tl.store(out + 10, (end - start).to(tl.float32))
    tl.store(out + 11, tl.sum(squares, 0))
    tl.store(out + 12, tl.sum(distances, 0))


@triton.jit(do_not_specialize=["programs", "responses"])
def grpo_total(
    partials,  # [programs, 16]
    denominator,  # float32: a pointer, or a number
    out,  # [16] float32: loss, tokens, means and maxima by the partials' slots, 1 / denominator in slot 7
    programs,
    responses,
    BLOCK: tl.constexpr,
    AGGREGATION: tl.constexpr,
    GIVEN: tl.constexpr,  # the denominator: 0 none, 1 a number, 2 a pointer
):
    slot = tl.arange(0, 16)
    lane = tl.arange(0, BLOCK)
    sums = tl.zeros((BLOCK, 16), tl.float32)
    tops = tl.zeros((BLOCK, 16), tl.float32)
    for first in range(0, programs, BLOCK):
        at = first + lane
        x = tl.load(partials + at[:, None] * 16 + slot[None, :], mask=(at < programs)[:, None], other=0.0)
        sums += x
        tops = tl.maximum(tops, x)
    total = tl.sum(sums, 0)
    top = tl.max(tops, 0)
    tokens = tl.sum(tl.where(slot == 1, total, 0.0), 0)
    if GIVEN == 2:
        divisor = tl.load(denominator).to(tl.float32)
    elif GIVEN == 1:
        divisor = denominator
    elif AGGREGATION == 0:
        divisor = tl.maximum(tokens, 1.0)
    elif AGGREGATION == 1:
        divisor = tl.maximum(tl.sum(tl.where(slot == 7, total, 0.0), 0), 1.0)
    else:
        divisor = tl.maximum(tl.sum(tl.where(slot == 10, top, 0.0), 0) * responses, 1.0)
    mean = total / tl.maximum(tokens, 1.0)
    # A hardware maximum passes NaN over; the sums of the same numbers do not.
    ratio = tl.sum(tl.where(slot == 3, mean, 0.0), 0)
    log_ratio = tl.sum(tl.where(slot == 12, mean, 0.0), 0)
    result = tl.where(slot == 0, total / divisor, tl.where(slot == 1, total, mean))
    result = tl.where(slot == 7, 1.0 / divisor, result)
    result = tl.where(slot == 8, tl.where(ratio == ratio, top, ratio), result)
    result = tl.where(slot == 9, tl.where(log_ratio == log_ratio, top, log_ratio), result)
    tl.store(out + slot, result)


class Pass(NamedTuple):
    """What `objective_pass` returns."""

    out: torch.Tensor  # [16] float32: the loss in slot 0, 1 / denominator in slot 7, metrics by `_METRICS`
    d_logp: torch.Tensor  # [T] float32, before division
    d_entropy: torch.Tensor | None  # [T]; None without an entropy bonus


def objective_pass(
    logp: torch.Tensor,
    old: torch.Tensor,
    ref: torch.Tensor | None,
    adv: torch.Tensor,
    entropy: torch.Tensor | None,
    mask: torch.Tensor | None,
    cu_seqlens: torch.Tensor | None,
    weights: torch.Tensor | None,  # [T] float32; None: by the aggregation
    denominator: float | torch.Tensor | None,
    objective: Any,  # ops.objective.Objective, here and below
    cu_runs: torch.Tensor | None = None,
) -> Pass:
    """Loss, metrics and gradients by token, before division by the denominator, which is out[7]."""
    tokens, device = logp.shape[0], logp.device
    mean = objective.aggregation == "sequence_mean" and weights is None
    lengths = objective.aggregation == "dr_grpo" and weights is None and denominator is None
    sequence = objective.ratio == "sequence"
    by_response = mean or lengths or sequence
    shared = run_means(logp, old, mask, cu_runs) if objective.ratio == "entry" else None
    responses = 0 if cu_seqlens is None else cu_seqlens.numel() - 1
    programs = responses if by_response else triton.cdiv(tokens, _BLOCK)
    bonus = bool(objective.entropy_coef) and entropy is not None
    d_logp = torch.empty(tokens, dtype=torch.float32, device=device)
    d_entropy = torch.empty_like(d_logp) if bonus else None
    partials = (torch.empty if programs else torch.zeros)(max(programs, 1), _SLOTS, device=device)
    if programs:
        or_logp = [logp if x is None else x.contiguous() for x in (ref, entropy, weights)]
        grpo_partials[(programs,)](
            logp.contiguous(), old.contiguous(), or_logp[0], adv.contiguous(), *or_logp[1:],
            logp if mask is None else mask.contiguous().view(torch.uint8),
            cu_seqlens.to(device) if by_response else logp, logp if shared is None else shared, d_logp,
            d_logp if d_entropy is None else d_entropy,
            partials, tokens, **loss_arguments(objective, ref is not None), entropy_coef=objective.entropy_coef,
            BLOCK=_BLOCK, RESPONSES=by_response, MEAN=mean, SEQUENCE=sequence, GIVEN_RATIOS=shared is not None,
            HAS_MASK=mask is not None,
            HAS_WEIGHTS=weights is not None, HAS_ENTROPY=entropy is not None, BONUS=bonus, num_warps=4, **FUSED,
        )  # fmt: skip
    given = 0 if denominator is None else 2 if isinstance(denominator, torch.Tensor) else 1
    divisor = denominator.to(device) if given == 2 else float(denominator or 0.0)
    out = torch.empty(_SLOTS, device=device)
    grpo_total[(1,)](partials, divisor, out, partials.shape[0], responses, BLOCK=64,
                     AGGREGATION=_AGGREGATIONS[objective.aggregation], GIVEN=given, num_warps=4, **FUSED)  # fmt: skip
    return Pass(out, d_logp, d_entropy)


def run_means(
    logp: torch.Tensor,  # [T]
    old: torch.Tensor,  # [T]
    mask: torch.Tensor | None,  # [T] bool
    cu_runs: torch.Tensor,  # [R + 1]
) -> torch.Tensor:
    """For every token the mean of logp - old over the tokens of its run in the loss, [T] float32, in a fixed order."""
    difference = logp.double() - old.double()
    kept = torch.ones_like(difference) if mask is None else mask.double()
    pairs = torch.stack([torch.where(kept > 0, difference, 0.0), kept], 1)  # [T, 2]
    lengths = cu_runs.to(logp.device).long().diff()  # [R]
    total, count = torch.segment_reduce(pairs, "sum", lengths=lengths, axis=0, initial=0.0).unbind(1)
    return (total / count.clamp(min=1)).repeat_interleave(lengths, output_size=logp.shape[0]).float()


def metrics_of(out: torch.Tensor, ref: bool, entropy: bool) -> dict[str, torch.Tensor]:
    """The metrics by name, as scalars that share `out`'s memory."""
    absent = ("kl",) * (not ref) + ("entropy",) * (not entropy)
    return {name: out[slot] for name, slot in _METRICS.items() if name not in absent}


class _GrpoLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logp: torch.Tensor, entropy: torch.Tensor | None, tokens: Any, objective: Any
    ) -> tuple[torch.Tensor, ...]:
        old, ref, adv, mask, cu_seqlens, denominator, cu_runs = tokens
        out, d_logp, d_entropy = objective_pass(
            logp, old, ref, adv, entropy, mask, cu_seqlens, None, denominator, objective, cu_runs
        )
        ctx.save_for_backward(d_logp, d_entropy, out)
        ctx.dtypes = logp.dtype, None if entropy is None else entropy.dtype
        ctx.mark_non_differentiable(out)
        ctx.set_materialize_grads(False)
        return out[0].clone(), out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: torch.Tensor | None, _: Any) -> tuple[torch.Tensor | None, ...]:
        if upstream is None:
            return (None,) * 4
        d_logp, d_entropy, out = ctx.saved_tensors
        scale = upstream.float() * out[7]
        needs = ctx.needs_input_grad
        return (
            (d_logp * scale).to(ctx.dtypes[0]) if needs[0] else None,
            (d_entropy * scale).to(ctx.dtypes[1]) if needs[1] and d_entropy is not None else None,
            None,
            None,
        )


def grpo_loss(
    logp: torch.Tensor,  # [T]
    entropy: torch.Tensor | None,  # [T]
    tokens: Any,  # ops.types.LossTokens
    objective: Any,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The loss, a float32 scalar, and metrics, detached float32 scalars; see `rerec_engine.ops.grpo_loss`."""
    loss, out = _GrpoLoss.apply(logp, entropy, tokens, objective)
    return loss, metrics_of(out, tokens.ref is not None, entropy is not None)
