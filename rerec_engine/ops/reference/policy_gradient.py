"""`grpo_loss` and `linear_grpo_loss` in plain torch."""

from __future__ import annotations

import torch

from rerec_engine.ops.reference.logprob import token_logprob
from rerec_engine.ops.types import LOG_RATIO_LIMIT, Aggregation, Kl

Loss = tuple[torch.Tensor, dict[str, torch.Tensor]]


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
) -> Loss:
    """See `rerec_engine.ops.grpo_loss`."""
    kept = torch.ones_like(logp, dtype=torch.bool) if mask is None else mask  # [T]
    logp, old, adv = _keep(kept, logp), _keep(kept, old.detach()), _keep(kept, adv.detach())
    log_ratio = _clamp(logp - old)  # [T]
    ratio = log_ratio.exp()
    free = ratio * adv
    clipped = ratio.clamp(1.0 - clip_low, 1.0 + clip_high) * adv
    per_token = -torch.minimum(free, clipped)
    metrics = {
        "clip_fraction": clipped < free,
        "ratio_mean": ratio,
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
    weights, count = _weights(kept, cu_seqlens, aggregation, per_token.dtype)
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
    chunk_rows: int | None = None,
) -> Loss:
    """See `rerec_engine.ops.linear_grpo_loss`."""
    logp, entropy, _ = token_logprob(
        hidden, weight, targets, temperature=temperature, softcap=softcap, rows=mask, chunk_rows=chunk_rows
    )
    return grpo_loss(
        logp,
        old,
        ref,
        adv,
        mask=mask,
        cu_seqlens=cu_seqlens,
        clip_low=clip_low,
        clip_high=clip_high,
        beta=beta,
        kl=kl,
        entropy=entropy,
        entropy_coef=entropy_coef,
        aggregation=aggregation,
        denominator=denominator,
    )


def _keep(mask: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return torch.where(mask, x, 0.0)


def _clamp(log_ratio: torch.Tensor) -> torch.Tensor:
    return log_ratio.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)


def _kl(x: torch.Tensor, kind: Kl) -> torch.Tensor:
    """KL estimate per token from x = ref - logp (Schulman's k1, k2, k3)."""
    if kind == "k1":
        return -x
    return x.square() / 2 if kind == "k2" else torch.expm1(x) - x


def _weights(
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
    owner = torch.arange(lengths.numel(), device=kept.device).repeat_interleave(
        lengths, output_size=kept.numel()
    )  # [T]
    tokens = weights.new_zeros(lengths.numel()).index_add_(0, owner, weights)  # [B]
    return weights / tokens.clamp(min=1)[owner], (tokens > 0).sum().clamp(min=1)


def _summarise(per_token: dict[str, torch.Tensor], kept: torch.Tensor) -> dict[str, torch.Tensor]:
    tokens = kept.sum()
    divisor = tokens.clamp(min=1)
    metrics = {name: (x.detach() * kept).sum() / divisor for name, x in per_token.items()}
    ratio = per_token["ratio_mean"].detach() * kept
    metrics["ratio_max"] = ratio.max() if ratio.numel() else ratio.sum()
    metrics["tokens"] = tokens
    return metrics
