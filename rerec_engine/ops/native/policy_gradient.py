"""`grpo_loss` on a CPU: loss, metrics and the gradient of every token in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from rerec_engine import _core
from rerec_engine.ops.native.rows import pick, spread
from rerec_engine.ops.objective import Objective
from rerec_engine.ops.tokens import shared_log_ratio, token_weights
from rerec_engine.ops.types import Loss, LossTokens, Ratio


class LossSums:
    """The loss of a batch, to which live tokens are added part by part; see `ops.grpo_loss` for the arguments."""

    def __init__(self, tokens: LossTokens, objective: Objective) -> None:
        kept, denominator = tokens.kept, tokens.denominator
        self.old, self.adv = (x.detach().float().contiguous() for x in (tokens.old, tokens.adv))
        self.ref = None if tokens.ref is None else tokens.ref.detach().float().contiguous()
        if objective.aggregation == "token_mean":  # the common case, without a pass over the tokens
            count = kept.sum().clamp(min=1) if denominator is None else denominator
            self.weights = torch.full(kept.shape, 1 / float(count))
        else:
            weights, count = token_weights(kept, tokens.cu_seqlens, objective.aggregation, torch.float64)
            self.weights = (weights / float(count if denominator is None else denominator)).float()
        self.options = (
            objective.clip_low,
            objective.clip_high,
            objective.beta,
            objective.kl,
            objective.entropy_coef,
        )
        self.entropy_coef = objective.entropy_coef
        self.sums = np.zeros(10)
        self.tokens = 0

    def add(
        self,
        index: torch.Tensor | None,  # [R] int64, the tokens; None: all
        logp: torch.Tensor,  # [R]
        entropy: torch.Tensor | None,  # [R]
        log_ratio: torch.Tensor | None = None,  # [R] float32, of the tokens that share one
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Gradients with respect to logp and entropy (None without a bonus), [R] float32."""
        gradient = torch.empty(logp.shape)
        _core.policy_tokens(
            logp.detach().float().contiguous().numpy(),
            pick(self.old, index).numpy(),
            pick(self.adv, index).numpy(),
            pick(self.weights, index).numpy(),
            None if self.ref is None else pick(self.ref, index).numpy(),
            None if log_ratio is None else log_ratio.numpy(),
            None if entropy is None else entropy.detach().float().contiguous().numpy(),
            *self.options,
            gradient.numpy(),
            self.sums,
        )
        self.tokens += logp.numel()
        return gradient, pick(self.weights, index) * -self.entropy_coef if self.entropy_coef else None

    def loss(self) -> torch.Tensor:
        return torch.tensor(self.sums[0], dtype=torch.float32)

    def metrics(self, entropy: bool) -> dict[str, torch.Tensor]:
        _, clipped, ratio, square, ratio_max, log_ratio, log_ratio_max, approx_kl, kl, entropies = self.sums.tolist()
        count = max(self.tokens, 1)
        found = {
            "clip_fraction": clipped / count,
            "ratio_mean": ratio / count,
            "ratio_square_mean": square / count,
            "log_ratio_mean": log_ratio / count,
            "approx_kl": approx_kl / count,
        }
        if self.ref is not None:
            found["kl"] = kl / count
        if entropy:
            found["entropy"] = entropies / count
        found |= {"ratio_max": ratio_max, "log_ratio_max": log_ratio_max}
        values = torch.tensor(list(found.values()), dtype=torch.float32).unbind()
        return dict(zip(found, values, strict=True)) | {"tokens": torch.tensor(self.tokens)}


def shared_ratios(
    logp: torch.Tensor,  # [T], of any value where not kept
    tokens: LossTokens,
    ratio: Ratio,
) -> torch.Tensor:
    """The log-ratio of every token's response or run, [T] float32."""
    difference = logp.detach().double() - tokens.old.detach().double()
    return shared_log_ratio(difference, tokens, ratio).float()


def grpo_loss(logp: torch.Tensor, entropy: torch.Tensor | None, tokens: LossTokens, objective: Objective) -> Loss:
    """See `rerec_engine.ops.grpo_loss`."""
    sums = LossSums(tokens, objective)
    index = None if tokens.mask is None else tokens.mask.nonzero().squeeze(1)
    log_ratio = None
    if objective.shares_ratios:
        log_ratio = pick(shared_ratios(logp, tokens, objective.ratio), index)
    live_entropy = None if entropy is None else pick(entropy.detach(), index)
    gradients = sums.add(index, pick(logp.detach(), index), live_entropy, log_ratio)
    spread_out = (None if x is None else spread(x, index, logp.shape) for x in gradients)
    return Precomputed.apply(sums.loss(), *spread_out, logp, entropy), sums.metrics(entropy is not None)


class Precomputed(torch.autograd.Function):
    """A loss whose gradients with respect to two inputs are known; they are kept for one backward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        loss: torch.Tensor,
        first_gradient: torch.Tensor | None,
        second_gradient: torch.Tensor | None,
        first: torch.Tensor,
        second: torch.Tensor | None,
    ) -> torch.Tensor:
        ctx.gradients = [first_gradient, second_gradient]
        ctx.dtypes = [first.dtype, None if second is None else second.dtype]
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        if ctx.gradients is None:
            raise RuntimeError("the gradients of this loss were kept for one backward pass, and it has been made")
        gradients, ctx.gradients = ctx.gradients, None  # autograd may keep what it is given, and need not copy it
        scale = float(upstream)
        for i, dtype in enumerate(ctx.dtypes):
            if gradients[i] is not None:
                gradients[i] = gradients[i].to(dtype) if scale == 1.0 else gradients[i].mul_(scale).to(dtype)
        return None, None, None, *gradients
