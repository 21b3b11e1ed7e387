"""`grpo_loss` and `linear_grpo_loss`: the clipped policy objective with a per-token advantage."""

from __future__ import annotations

import torch

from rerec_engine.ops.dispatch import implementation
from rerec_engine.ops.logprob import check_inputs
from rerec_engine.ops.objective import Objective
from rerec_engine.ops.types import Aggregation, Kl, Loss, LossTokens, Ratio, Savings, States


def grpo_loss(
    logp: torch.Tensor,  # [T]
    old: torch.Tensor,  # [T]
    ref: torch.Tensor | None,  # [T]
    adv: torch.Tensor,  # [T]
    *,
    mask: torch.Tensor | None = None,  # [T] bool
    cu_seqlens: torch.Tensor | None = None,  # [B + 1] int
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    beta: float = 0.0,
    kl: Kl = "k3",
    entropy: torch.Tensor | None = None,  # [T]
    entropy_coef: float = 0.0,
    aggregation: Aggregation = "token_mean",
    denominator: float | torch.Tensor | None = None,
    ratio: Ratio = "token",
    cu_runs: torch.Tensor | None = None,  # [R + 1] int
) -> Loss:
    """The loss to minimise (a scalar) and metrics (detached scalars) of packed tokens; everything is in nats.

    With h = exp(logp - old) and x = ref - logp, per token

        loss_t = -min(h A, clip(h, 1 - clip_low, 1 + clip_high) A) + beta * KL_t - entropy_coef * entropy_t
        KL_t   = -x (k1),  x^2 / 2 (k2),  exp(x) - x - 1 (k3)

    (GRPO, arXiv 2402.03300, eq. 3-4; clip_high > clip_low is DAPO's clip-higher, arXiv 2503.14476.) The tokens where
    `mask` is True are summed and divided:

    | aggregation | weight of a token | denominator, where none is given |
    |---|---|---|
    | token_mean | 1 | unmasked tokens |
    | sequence_mean | 1 / its response's unmasked tokens | responses with an unmasked token |
    | dr_grpo (arXiv 2503.20783) | 1 | responses x length of the longest: constant lengths bias nothing |

    ratio "sequence" is GSPO (arXiv 2507.18071; its GSPO-token form, so that A may differ within a response): every
    token of a response has h = exp(mean of logp - old over the response's unmasked tokens), and each token's log-prob
    receives its own share of the gradient, dh / dlogp_t = h. It needs `cu_seqlens`.
    ratio "entry" is Rank-GRPO's (arXiv 2510.20150), the same for runs of tokens within a response: h is the geometric
    mean over the run. `cu_runs` bounds them, as `cu_seqlens` bounds responses; it needs no other. An entry of a list
    answer is such a run; a token that belongs to none is a run of its own, whose ratio is its own.

    Give `denominator` (of the same kind, over the whole batch) when the batch is cut into micro-batches of whole
    responses: the losses and gradients then add up to the whole batch's. `cu_seqlens` bounds the responses; the last
    two aggregations need it. `ref` may be None where beta is 0; the gradient reaches `logp` and `entropy` only.

    Log-ratios are clamped to +-20 before they are exponentiated: values and gradients stay finite (e^20 = 4.9e8), and
    a token beyond the clamp, which only a diverged or mismatched policy has, gets no gradient from that term. Masked
    tokens are replaced before any arithmetic, so NaN or infinity there reaches neither the loss nor a gradient; a NaN
    in an unmasked token makes the loss NaN.

    Metrics, means over the unmasked tokens: clip_fraction (the clip is what the minimum took), ratio_mean and
    ratio_square_mean (of h and h^2: ratio_mean^2 / ratio_square_mean, in (0, 1], is the effective sample size as a
    share of the tokens), log_ratio_mean (of |logp - old| by token, not clamped), approx_kl (k3 of old against new, by
    token), kl (k3 against `ref`; absent without one), entropy (absent without one); and ratio_max, log_ratio_max, the
    largest of a token, and tokens, the number of them, the weight with which micro-batches' metrics are averaged.
    """
    objective = Objective(clip_low=clip_low, clip_high=clip_high, beta=beta, kl=kl, entropy_coef=entropy_coef,
                          aggregation=aggregation, ratio=ratio)  # fmt: skip
    tokens = LossTokens(old, ref, adv, mask, cu_seqlens, denominator, cu_runs)
    return loss_of_logprobs(logp, entropy, tokens, objective)


def linear_grpo_loss(
    hidden: torch.Tensor,  # [T, H]
    weight: torch.Tensor,  # [V, H]
    targets: torch.Tensor,  # [T] int64
    old: torch.Tensor,  # [T]
    ref: torch.Tensor | None,  # [T]
    adv: torch.Tensor,  # [T]
    *,
    mask: torch.Tensor | None = None,  # [T] bool
    cu_seqlens: torch.Tensor | None = None,  # [B + 1] int
    temperature: float = 1.0,
    softcap: float | None = None,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    beta: float = 0.0,
    kl: Kl = "k3",
    entropy_coef: float = 0.0,
    aggregation: Aggregation = "token_mean",
    denominator: float | torch.Tensor | None = None,
    ratio: Ratio = "token",
    cu_runs: torch.Tensor | None = None,  # [R + 1] int
    lse_old: torch.Tensor | None = None,  # [T]
    skip_zero_advantage: bool = False,
    grad_weight_out: torch.Tensor | None = None,  # [V, H] float32
    workspace_mb: float | None = None,
) -> Loss:
    """`grpo_loss` of `token_logprob(hidden, weight, targets)`: that composition is the specification.

    Masked rows are not computed, and their rows of the gradient of `hidden` are exactly 0. `old` and `ref` are
    log-probs of the same temperature. See the two functions for options, metrics and errors.

    The fused implementations form the gradients together with the loss, chunk by chunk of rows, from one look at the
    logits: three matrix products where the composition takes four. Rows whose advantage is 0 take only the first of
    them where neither `beta` nor `entropy_coef` gives them a gradient.

    lse_old: log-sum-exp of the logits under the policy that sampled (`token_logprob(...).lse` then). It changes speed
    alone: a GPU then needs no running maximum and reads the logits once.
    skip_zero_advantage: rows whose advantage is 0 are not computed at all. Loss, gradients and denominators stay the
    same; the metrics are those of the rows computed. ValueError with `beta`, `entropy_coef` or a ratio that tokens
    share, where such rows do count. Such ratios take two passes, and four matrix products.
    grad_weight_out: the gradient of the loss with respect to `weight` is added to it during this call, as for an
    upstream gradient of 1, and autograd gets none for `weight`: no [V, H] buffer but this one. Under `no_grad` it stays
    as it is.
    workspace_mb: bound of the chunks' buffers in MB (2^20 bytes), None: a default for the device. ValueError where
    it holds less than one row of logits.
    """
    objective = Objective(clip_low=clip_low, clip_high=clip_high, beta=beta, kl=kl, entropy_coef=entropy_coef,
                          aggregation=aggregation, ratio=ratio, temperature=temperature, softcap=softcap)  # fmt: skip
    tokens = LossTokens(old, ref, adv, mask, cu_seqlens, denominator, cu_runs)
    savings = Savings(lse_old, skip_zero_advantage, grad_weight_out, workspace_mb)
    return loss_of_states(States(hidden, weight, targets), tokens, objective, savings)


def loss_of_logprobs(
    logp: torch.Tensor, entropy: torch.Tensor | None, tokens: LossTokens, objective: Objective
) -> Loss:
    """`grpo_loss`, whose options are a record already."""
    _check_shapes(old=tokens.old, ref=tokens.ref, adv=tokens.adv, entropy=entropy, logp=logp)
    _check_tokens(tokens, objective)
    if objective.entropy_coef and entropy is None:
        raise ValueError("entropy_coef != 0 needs entropy, got None")
    result: Loss = implementation("grpo_loss", logp)(logp, entropy, tokens, objective)
    return result


def loss_of_states(states: States, tokens: LossTokens, objective: Objective, savings: Savings) -> Loss:
    """`linear_grpo_loss`, whose options are records already."""
    hidden, weight, targets = states
    check_inputs(hidden, weight, targets, tokens.mask, savings.workspace_mb)
    _check_shapes(old=tokens.old, ref=tokens.ref, adv=tokens.adv, targets=targets, lse_old=savings.lse_old)
    _check_tokens(tokens, objective)
    if savings.skip_zero_advantage and objective.moves_every_token:
        raise ValueError(
            "skip_zero_advantage needs beta 0, entropy_coef 0 and ratio token, since rows without advantage count "
            f"otherwise; got {objective.beta}, {objective.entropy_coef} and {objective.ratio}"
        )
    out = savings.grad_weight_out
    if out is not None and (out.dtype != torch.float32 or out.shape != weight.shape or not out.is_contiguous()):
        raise ValueError(
            f"grad_weight_out must be contiguous float32 {list(weight.shape)}, got {out.dtype} {list(out.shape)}"
        )
    result: Loss = implementation("linear_grpo_loss", hidden, weight)(states, tokens, objective, savings)
    return result


def _check_shapes(**tensors: torch.Tensor | None) -> None:
    shapes = {name: list(x.shape) for name, x in tensors.items() if x is not None}
    if any(len(shape) != 1 for shape in shapes.values()) or len({shape[0] for shape in shapes.values()}) > 1:
        raise ValueError(f"all of {', '.join(shapes)} must be [T], got {shapes}")


def _check_tokens(tokens: LossTokens, objective: Objective) -> None:
    count, mask, cu_seqlens, denominator = tokens.adv.shape[0], tokens.mask, tokens.cu_seqlens, tokens.denominator
    if objective.beta and tokens.ref is None:
        raise ValueError(f"beta {objective.beta} needs ref, got None")
    if mask is not None and (mask.dtype != torch.bool or mask.shape != (count,)):
        raise ValueError(f"mask must be bool [T] = [{count}], got {mask.dtype} {list(mask.shape)}")
    if isinstance(denominator, (int, float)) and not denominator > 0:
        raise ValueError(f"denominator must be > 0, got {denominator}")
    if cu_seqlens is None:
        if objective.aggregation == "sequence_mean" or (objective.aggregation == "dr_grpo" and denominator is None):
            raise ValueError(f"aggregation {objective.aggregation} needs cu_seqlens, got None")
        if objective.ratio == "sequence":
            raise ValueError("ratio sequence needs cu_seqlens, got None")
    else:
        _check_bounds("cu_seqlens", cu_seqlens, "B", count)
    if tokens.cu_runs is not None:
        _check_bounds("cu_runs", tokens.cu_runs, "R", count)
    elif objective.ratio == "entry":
        raise ValueError("ratio entry needs cu_runs, got None")


def _check_bounds(name: str, bounds: torch.Tensor, size: str, count: int) -> None:
    if bounds.ndim != 1 or bounds.is_floating_point() or bounds.shape[0] < 1:
        raise ValueError(f"{name} must be int [{size} + 1], got {bounds.dtype} {list(bounds.shape)}")
    if bounds.device.type == "cpu" and (
        int(bounds[0]) != 0 or int(bounds[-1]) != count or bool((bounds.diff() < 0).any())
    ):
        raise ValueError(f"{name} must rise from 0 to T = {count}, got {int(bounds[0])}..{int(bounds[-1])}")
