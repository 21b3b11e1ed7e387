"""The clipped objective of one token on the device: one definition for every kernel that needs it.

With h the ratio, A the advantage and x = ref - logp (GRPO, arXiv 2402.03300; log-ratios are clamped to +-20),

    loss = -min(h A, clip(h, 1 - clip_low, 1 + clip_high) A) + beta KL(x)
    KL = -x (k1),  x^2 / 2 (k2),  e^x - x - 1 (k3)
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

KL_CODES = {"k1": 1, "k2": 2, "k3": 3}
"""The compile-time code of a KL estimate; 0 where beta is 0."""


def loss_arguments(objective: Any, has_ref: bool) -> dict[str, Any]:
    """What every kernel hands to `row_loss`, by name, from an `ops.objective.Objective`."""
    return {
        "clip_low": objective.clip_low,
        "clip_high": objective.clip_high,
        "beta": objective.beta,
        "KL": KL_CODES[objective.kl] if objective.beta else 0,
        "HAS_REF": has_ref,
    }


@triton.jit
def clamp_log_ratio(x):
    """x within +-20; NaN stays NaN, unlike in a minimum."""
    return tl.where(x > 20.0, 20.0, tl.where(x < -20.0, -20.0, x))


@triton.jit
def exp_minus_linear(x):
    """exp(x) - 1 - x, by its series near 0, where the difference would cancel."""
    series = 1.0 / 24 + x * (1.0 / 120 + x * (1.0 / 720 + x * (1.0 / 5040)))
    series = x * x * (0.5 + x * (1.0 / 6 + x * series))
    return tl.where(tl.abs(x) < 0.4, series, tl.exp(x) - 1.0 - x)


@triton.jit
def row_loss(logp, old, ref, adv, log_h, clip_low, clip_high, beta, KL: tl.constexpr, HAS_REF: tl.constexpr):
    """(loss, its derivative by logp, h, whether the clip decided, k3 against `ref`, k3 of old against new).

    log_h is the log-ratio of the objective, not yet clamped: logp - old, or its mean over the response.
    """
    h = tl.exp(clamp_log_ratio(log_h))
    free = h * adv
    clipped = tl.where(h < 1.0 - clip_low, 1.0 - clip_low, tl.where(h > 1.0 + clip_high, 1.0 + clip_high, h)) * adv
    decided = clipped < free
    loss = -tl.where(decided, clipped, free)
    gradient = tl.where(decided | (tl.abs(log_h) > 20.0), 0.0, -free)
    kl = tl.zeros_like(logp)
    if HAS_REF:
        difference = ref - logp
        x = clamp_log_ratio(difference)
        kl = exp_minus_linear(x)
        if KL == 1:
            loss -= beta * x
            slope = x * 0.0 + 1.0
        elif KL == 2:
            loss += beta * (0.5 * x * x)
            slope = -x
        elif KL == 3:
            loss += beta * kl
            slope = -(kl + x)
        if KL > 0:
            gradient += tl.where(tl.abs(difference) > 20.0, 0.0, beta * slope)
    return loss, gradient, h, decided, kl, exp_minus_linear(clamp_log_ratio(logp - old))
