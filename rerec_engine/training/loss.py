"""The losses of an update: `LossConfig` laid over `ops`, and the metrics of micro-batches merged into one record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import SupportsFloat

import torch

from rerec_engine.config import LossConfig
from rerec_engine.ops.objective import Objective
from rerec_engine.ops.policy_gradient import loss_of_logprobs, loss_of_states
from rerec_engine.ops.types import LOG_RATIO_LIMIT, Loss, LossTokens, Savings, States


def loss_denominator(config: LossConfig, lengths: Sequence[int] | torch.Tensor, max_new_tokens: int) -> float:
    """What the loss of one optimizer update is divided by, from the lengths [B] (tokens) of all its responses.

    token_mean: their tokens; sequence_mean: the non-empty ones; dr_grpo: their number x `max_new_tokens`, a constant,
    so that no response's length changes its weight (arXiv 2503.20783). At least 1.
    """
    counts = torch.as_tensor(lengths)
    if config.aggregation == "dr_grpo":
        total = counts.numel() * max_new_tokens
    else:
        total = int(counts.sum()) if config.aggregation == "token_mean" else int((counts > 0).sum())
    return float(max(total, 1))


def objective(config: LossConfig, temperature: float = 1.0, softcap: float | None = None) -> Objective:
    """The loss that `config` asks for; the logits, where there are any, are of `temperature` and `softcap`."""
    return Objective(
        clip_low=config.clip_low,
        clip_high=config.clip_high,
        beta=config.beta if config.kl_in == "loss" else 0.0,
        kl=config.kl,
        entropy_coef=config.entropy,
        aggregation=config.aggregation,
        ratio=config.ratio,
        temperature=temperature,
        softcap=softcap,
    )


def policy_loss(
    logp: torch.Tensor,  # [T]
    entropy: torch.Tensor | None,  # [T]
    old_logprobs: torch.Tensor,  # [T]
    ref_logprobs: torch.Tensor | None,  # [T]
    advantages: torch.Tensor,  # [T]
    config: LossConfig,
    *,
    cu_seqlens: torch.Tensor | None = None,  # [B + 1]
    mask: torch.Tensor | None = None,  # [T] bool
    denominator: float | None = None,
    cu_runs: torch.Tensor | None = None,  # [R + 1]
) -> Loss:
    """`ops.grpo_loss` of a micro-batch of whole responses, with the options of `config`.

    Where `loss.kl_in` is "reward" the loss has no KL term; the metric `kl` is there whenever `ref_logprobs` are given.
    `denominator` is the whole update's `loss_denominator`: the gradients of its micro-batches then add up to it.
    """
    tokens = LossTokens(old_logprobs, ref_logprobs, advantages, mask, cu_seqlens, denominator, cu_runs)
    return loss_of_logprobs(logp, entropy, tokens, objective(config))


def linear_policy_loss(
    hidden: torch.Tensor,  # [T, H]
    weight: torch.Tensor,  # [V, H]
    targets: torch.Tensor,  # [T] int64
    old_logprobs: torch.Tensor,  # [T]
    ref_logprobs: torch.Tensor | None,  # [T]
    advantages: torch.Tensor,  # [T]
    config: LossConfig,
    *,
    temperature: float,
    softcap: float | None = None,
    cu_seqlens: torch.Tensor | None = None,  # [B + 1]
    mask: torch.Tensor | None = None,  # [T] bool
    denominator: float | None = None,
    cu_runs: torch.Tensor | None = None,  # [R + 1]
) -> Loss:
    """`policy_loss` straight from the model's last hidden states, through `ops.linear_grpo_loss`."""
    tokens = LossTokens(old_logprobs, ref_logprobs, advantages, mask, cu_seqlens, denominator, cu_runs)
    return loss_of_states(States(hidden, weight, targets), tokens, objective(config, temperature, softcap), Savings())


def join_losses(parts: Sequence[Loss]) -> Loss:
    """Losses of the parts of a micro-batch's tokens over one denominator: their sum, and metrics of all tokens."""
    loss = torch.stack([loss for loss, _ in parts]).sum()
    tokens = torch.stack([metrics["tokens"] for _, metrics in parts]).to(loss)
    joined = {"tokens": tokens.sum()}
    for name in parts[0][1]:
        values = torch.stack([metrics[name] for _, metrics in parts]).to(loss)
        if name != "tokens":
            joined[name] = (
                values.max() if name.endswith("_max") else (values * tokens).sum() / tokens.sum().clamp(min=1)
            )
    return loss, joined


def kl_penalty(
    old_logprobs: torch.Tensor,  # [T]
    ref_logprobs: torch.Tensor,  # [T]
    config: LossConfig,
) -> torch.Tensor:
    """beta * (old - ref) of every token, [T] float32 without gradient, nats: `token_advantages`' `kl`.

    What `loss.kl_in` "reward" takes off the reward (arXiv 1909.08593). `old_logprobs` are those that the ratio is taken
    against: of the policy that drew the tokens. The difference is clamped to +-20, as in `ops.grpo_loss`. It is the
    estimate k1, whatever `loss.kl` says: as a reward, the others would have another gradient than the KL's.

    Raises ValueError for shapes that differ, and where `loss.kl_in` is "loss": the KL would count twice.
    """
    if config.kl_in != "reward":
        raise ValueError(f"kl_penalty needs loss.kl_in reward, got {config.kl_in!r}, where the loss has the KL term")
    if old_logprobs.ndim != 1 or old_logprobs.shape != ref_logprobs.shape:
        raise ValueError(
            f"old_logprobs and ref_logprobs must be [T], got {list(old_logprobs.shape)} and {list(ref_logprobs.shape)}"
        )
    difference = old_logprobs.detach().double() - ref_logprobs.detach().double()
    return (config.beta * difference.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)).float()


def value_loss(
    values: torch.Tensor,  # [T]
    old_values: torch.Tensor,  # [T]
    returns: torch.Tensor,  # [T]
    config: LossConfig,
    *,
    mask: torch.Tensor | None = None,  # [T] bool
    denominator: float | None = None,
) -> Loss:
    """PPO's clipped critic loss, value_weight * mean(max((v - R)^2, (clip(v, v_old +- value_clip) - R)^2)).

    The mean is over the unmasked tokens, or the sum over `denominator`. Metrics: value_clip_fraction,
    value_error (mean squared, unclipped), tokens.
    """
    for name, x in (("old_values", old_values), ("returns", returns), ("mask", mask)):
        if x is not None and (values.ndim != 1 or x.shape != values.shape):
            raise ValueError(f"{name} must be [T] = {list(values.shape)}, got {list(x.shape)}")
    kept = torch.ones_like(values, dtype=torch.bool) if mask is None else mask
    values, old_values, returns = (torch.where(kept, x, 0.0) for x in (values, old_values.detach(), returns.detach()))
    near = torch.minimum(torch.maximum(values, old_values - config.value_clip), old_values + config.value_clip)
    free, clipped = (values - returns).square(), (near - returns).square()
    tokens = kept.sum()
    count = tokens.clamp(min=1)
    loss = config.value_weight * torch.maximum(free, clipped).sum() / (count if denominator is None else denominator)
    metrics = {
        "value_clip_fraction": (clipped > free).sum() / count,
        "value_error": free.detach().sum() / count,
        "tokens": tokens,
    }
    return loss, metrics


def merge_metrics(parts: Sequence[Mapping[str, SupportsFloat]]) -> dict[str, float]:
    """Metrics of several micro-batches as one: `tokens` are summed, `*_max` maximised, the rest averaged by tokens.

    A metric must be in all parts or in none. No parts, or no tokens at all: what there is, as 0.
    """
    if not parts:
        return {}
    tokens = [float(part["tokens"]) for part in parts]
    total = sum(tokens)
    merged = {"tokens": total}
    for name in parts[0]:
        found = [float(part[name]) for part in parts]
        if name.endswith("_max"):
            merged[name] = max(found)
        elif name != "tokens":
            merged[name] = sum(x * n for x, n in zip(found, tokens, strict=True)) / max(total, 1.0)
    return merged
