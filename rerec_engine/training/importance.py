"""Truncated importance sampling (TIS): what the rollout engine drew, weighed as if the trainer's policy had drawn it.

Engine and trainer compute the same weights' log-probs with different kernels and precisions, or from weights of
different ages; then the engine samples from mu where the trainer has pi_old. Yao et al. (2025, "Your Efficient RL
Framework Secretly Brings You Off-Policy RL Training", fengyao.notion.site/off-policy-rl) keep PPO's ratio pi / pi_old,
whose clip then bounds the update alone, and weigh every token by min(pi_old / mu, cap). The truncation is Ionides'
(2008, "Truncated Importance Sampling", J. Comput. Graph. Stat. 17(2)), in reinforcement learning IMPALA's (arXiv
1802.01561); the two ratios apart are the decoupled objective of arXiv 2110.00641.
"""

from __future__ import annotations

import torch

from rerec_engine.ops.types import LOG_RATIO_LIMIT


def truncated_weights(
    old_logprobs: torch.Tensor,  # [T]
    rollout_logprobs: torch.Tensor,  # [T]
    cap: float,
) -> torch.Tensor:
    """min(exp(old - rollout), cap) of every token, [T] float32 without gradient: what its advantage is multiplied by.

    old_logprobs: the trainer's, before the step's first update; the loss then takes its ratio against these.
    rollout_logprobs: the engine's, of the same tokens at the same temperature. Both in nats. The log-ratio is clamped
    to +-20 before it is exponentiated, as in `ops.grpo_loss`; NaN stays NaN.

    On average over what the engine draws, a token's weighted gradient is the policy's own where no weight reaches the
    cap; each truncated weight makes it smaller, and no weight exceeds the cap, so that the variance stays bounded. A
    weight by token leaves the drawn prefix as it is: exact for a single token, an approximation for a sequence.

    Raises ValueError for shapes that differ and a cap that is not > 0.
    """
    if not cap > 0:
        raise ValueError(f"cap must be > 0, got {cap}")
    return _ratio(old_logprobs, rollout_logprobs).clamp(max=cap).float()


def mismatch(old_logprobs: torch.Tensor, rollout_logprobs: torch.Tensor) -> dict[str, float]:
    """How far the engine's log-probs are from the trainer's own, over T tokens [T] each; nats.

    logprob_mismatch_mean and logprob_mismatch_max: of |old - rollout|. effective_sample_size: of the weights
    exp(old - rollout), not truncated but clamped as there. No tokens: 0, 0 and 1. A NaN makes all three NaN.

    Raises ValueError for shapes that differ.
    """
    ratio = _ratio(old_logprobs, rollout_logprobs)
    if not ratio.numel():
        return {"logprob_mismatch_mean": 0.0, "logprob_mismatch_max": 0.0, "effective_sample_size": 1.0}
    gap = (old_logprobs.detach().double() - rollout_logprobs.detach().double()).abs()
    return {
        "logprob_mismatch_mean": float(gap.mean()),
        "logprob_mismatch_max": float(gap.max()),
        "effective_sample_size": effective_sample_size(float(ratio.mean()), float(ratio.square().mean())),
    }


def effective_sample_size(ratio_mean: float, ratio_square_mean: float) -> float:
    """(sum w)^2 / (n sum w^2) of weights w, from their mean and mean square, such as the metrics of `ops.grpo_loss`.

    In (0, 1], as a share of n: that many equal weights would give an average of the same variance (Kong, Liu and Wong
    1994, J. Am. Stat. Assoc. 89). 1 for equal weights and for none at all; 1 / n where one has all the weight.
    """
    if ratio_square_mean == 0:
        return 1.0
    share = ratio_mean**2 / ratio_square_mean
    return 1.0 if share > 1 else share  # by rounding; a NaN stays one


def _ratio(old_logprobs: torch.Tensor, rollout_logprobs: torch.Tensor) -> torch.Tensor:
    """exp(old - rollout), [T] float64."""
    if old_logprobs.ndim != 1 or old_logprobs.shape != rollout_logprobs.shape:
        raise ValueError(
            f"old_logprobs and rollout_logprobs must be [T], got {list(old_logprobs.shape)} and "
            f"{list(rollout_logprobs.shape)}"
        )
    log_ratio = old_logprobs.detach().double() - rollout_logprobs.detach().double()
    return log_ratio.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp()
