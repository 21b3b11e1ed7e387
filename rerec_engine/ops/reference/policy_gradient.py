"""`grpo_loss` and `linear_grpo_loss` in plain torch."""

from __future__ import annotations

import torch

from rerec_engine.ops.objective import Objective
from rerec_engine.ops.reference.logprob import token_logprob
from rerec_engine.ops.tokens import shared_log_ratio, token_weights
from rerec_engine.ops.types import LOG_RATIO_LIMIT, Kl, Loss, LossTokens, Savings, States


def grpo_loss(logp: torch.Tensor, entropy: torch.Tensor | None, tokens: LossTokens, objective: Objective) -> Loss:
    """See `rerec_engine.ops.grpo_loss`."""
    kept, ref, cu_seqlens = tokens.kept, tokens.ref, tokens.cu_seqlens
    logp, old, adv = _keep(kept, logp), _keep(kept, tokens.old.detach()), _keep(kept, tokens.adv.detach())
    log_ratio = _clamp(logp - old)  # [T]
    if objective.shares_ratios:
        h = _shared_ratio(logp, shared_log_ratio((logp - old).detach(), tokens, objective.ratio))
    else:
        h = log_ratio.exp()
    free = h * adv
    clipped = h.clamp(1.0 - objective.clip_low, 1.0 + objective.clip_high) * adv
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
        if objective.beta:
            per_token = per_token + objective.beta * _kl(x, objective.kl)
    if entropy is not None:
        entropy = _keep(kept, entropy)
        metrics["entropy"] = entropy
        if objective.entropy_coef:
            per_token = per_token - objective.entropy_coef * entropy
    weights, count = token_weights(kept, cu_seqlens, objective.aggregation, per_token.dtype)
    loss = (per_token * weights).sum() / (count if tokens.denominator is None else tokens.denominator)
    return loss, _summarise(metrics, kept)


def linear_grpo_loss(states: States, tokens: LossTokens, objective: Objective, savings: Savings) -> Loss:
    """See `rerec_engine.ops.linear_grpo_loss`. `lse_old` is not needed here."""
    hidden, weight, targets = states
    computed = tokens
    if savings.skip_zero_advantage:
        computed = tokens._replace(mask=tokens.kept & (tokens.adv != 0))
    out = savings.grad_weight_out
    leaf = weight if out is None else weight.detach().requires_grad_()
    logp, entropy, _ = token_logprob(
        hidden,
        leaf,
        targets,
        temperature=objective.temperature,
        softcap=objective.softcap,
        rows=computed.mask,
        workspace_mb=savings.workspace_mb,
    )
    loss, metrics = grpo_loss(logp, entropy, tokens, objective)  # a skipped row's term is its advantage, 0
    if savings.skip_zero_advantage:
        metrics = grpo_loss(logp.detach(), entropy, computed, objective)[1]
    if out is not None and loss.requires_grad:
        out += torch.autograd.grad(loss, leaf, retain_graph=True)[0]
    return loss, metrics


def _keep(mask: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return torch.where(mask, x, 0.0)


def _clamp(log_ratio: torch.Tensor) -> torch.Tensor:
    return log_ratio.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)


def _shared_ratio(
    logp: torch.Tensor,  # [T], 0 where masked
    mean: torch.Tensor,  # [T], of logp - old over the tokens that share the ratio
) -> torch.Tensor:
    """GSPO-token's ratio of every token, [T]: the shared one in value, with the gradient of its own log-prob."""
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
