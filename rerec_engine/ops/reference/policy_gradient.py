"""`grpo_loss` and `linear_grpo_loss` in plain torch."""

from __future__ import annotations

from typing import Any

import torch

from rerec_engine.ops.reference.logprob import token_logprob
from rerec_engine.ops.tokens import sequence_mean, token_weights
from rerec_engine.ops.types import LOG_RATIO_LIMIT, Aggregation, Kl, Loss, Ratio


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
) -> Loss:
    """See `rerec_engine.ops.grpo_loss`."""
    kept = torch.ones_like(logp, dtype=torch.bool) if mask is None else mask  # [T]
    logp, old, adv = _keep(kept, logp), _keep(kept, old.detach()), _keep(kept, adv.detach())
    log_ratio = _clamp(logp - old)  # [T]
    if ratio == "sequence":
        assert cu_seqlens is not None
        h = _sequence_ratio(logp, old, kept, cu_seqlens)
    else:
        h = log_ratio.exp()
    free = h * adv
    clipped = h.clamp(1.0 - clip_low, 1.0 + clip_high) * adv
    per_token = -torch.minimum(free, clipped)
    metrics = {
        "clip_fraction": clipped < free,
        "ratio_mean": h,
        "ratio_square_mean": h.detach().square(),
        "log_ratio_mean": (logp - old).detach().abs(),
        "approx_kl": torch.expm1(log_ratio) - log_ratio,
    }
    if ref is not None:
        x = _clamp(_keep(kept, ref.detach()) - logp)  # [T]
        metrics["kl"] = torch.expm1(x) - x
        if beta:
            per_token = per_token + beta * _kl(x, kl)
    if entropy is not None:
        entropy = _keep(kept, entropy)
        metrics["entropy"] = entropy
        if entropy_coef:
            per_token = per_token - entropy_coef * entropy
    weights, count = token_weights(kept, cu_seqlens, aggregation, per_token.dtype)
    loss = (per_token * weights).sum() / (count if denominator is None else denominator)
    return loss, _summarise(metrics, kept)


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
    lse_old: torch.Tensor | None = None,  # [T]
    skip_zero_advantage: bool = False,
    grad_weight_out: torch.Tensor | None = None,  # [V, H] float32
    workspace_mb: float | None = None,
) -> Loss:
    """See `rerec_engine.ops.linear_grpo_loss`."""
    rows = mask
    if skip_zero_advantage:
        rows = adv != 0 if mask is None else mask & (adv != 0)
    leaf = weight if grad_weight_out is None else weight.detach().requires_grad_()
    logp, entropy, _ = token_logprob(
        hidden, leaf, targets, temperature=temperature, softcap=softcap, rows=rows, workspace_mb=workspace_mb
    )
    options: dict[str, Any] = dict(
        cu_seqlens=cu_seqlens,
        clip_low=clip_low,
        clip_high=clip_high,
        beta=beta,
        kl=kl,
        entropy=entropy,
        entropy_coef=entropy_coef,
        aggregation=aggregation,
        denominator=denominator,
        ratio=ratio,
    )
    loss, metrics = grpo_loss(logp, old, ref, adv, mask=mask, **options)  # a skipped row's term is its advantage, 0
    if skip_zero_advantage:
        metrics = grpo_loss(logp.detach(), old, ref, adv, mask=rows, **options)[1]
    if grad_weight_out is not None and loss.requires_grad:
        grad_weight_out += torch.autograd.grad(loss, leaf, retain_graph=True)[0]
    return loss, metrics


def _keep(mask: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return torch.where(mask, x, 0.0)


def _clamp(log_ratio: torch.Tensor) -> torch.Tensor:
    return log_ratio.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)


def _sequence_ratio(
    logp: torch.Tensor,  # [T], 0 where masked
    old: torch.Tensor,  # [T], 0 where masked
    kept: torch.Tensor,  # [T] bool
    cu_seqlens: torch.Tensor,  # [B + 1]
) -> torch.Tensor:
    """GSPO-token's ratio of every token, [T]: its response's in value, with the gradient of its own log-prob."""
    mean = sequence_mean((logp - old).detach(), kept, cu_seqlens)  # [T]
    own = torch.where(mean.abs() <= LOG_RATIO_LIMIT, logp, logp.detach())
    return torch.exp(_clamp(mean) + (own - logp.detach()))


def _kl(x: torch.Tensor, kind: Kl) -> torch.Tensor:
    """KL estimate per token from x = ref - logp (Schulman's k1, k2, k3)."""
    if kind == "k1":
        return -x
    return x.square() / 2 if kind == "k2" else torch.expm1(x) - x


def _summarise(per_token: dict[str, torch.Tensor], kept: torch.Tensor) -> dict[str, torch.Tensor]:
    tokens = kept.sum()
    divisor = tokens.clamp(min=1)
    metrics = {name: (x.detach() * kept).sum() / divisor for name, x in per_token.items()}
    for name in ("ratio", "log_ratio"):
        x = per_token[f"{name}_mean"].detach() * kept
        metrics[f"{name}_max"] = x.max() if x.numel() else x.sum()
    metrics["tokens"] = tokens
    return metrics
