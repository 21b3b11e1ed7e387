"""Records and option names that every implementation of the ops shares."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch

Kl = Literal["k1", "k2", "k3"]
Aggregation = Literal["token_mean", "sequence_mean", "dr_grpo"]
GroupEstimator = Literal["raae", "grpo", "dr_grpo", "rloo"]
Ratio = Literal["token", "sequence"]
Loss = tuple[torch.Tensor, dict[str, torch.Tensor]]
"""A scalar to minimise, and metrics: detached scalars."""

LOG_RATIO_LIMIT = 20.0
"""Log-ratios are clamped to +-20 before they are exponentiated; see `grpo_loss`."""

GRPO_STD_EPS = 1e-6
"""Added to the sample standard deviation of the GRPO estimator."""


class TokenLogprob(NamedTuple):
    """What `token_logprob` returns, per token; float32 (float64 for float64 input), nats."""

    logp: torch.Tensor  # [T], log p(target)
    entropy: torch.Tensor | None  # [T], of the whole distribution; None where it was not asked for
    lse: torch.Tensor  # [T], log-sum-exp of the scaled logits
