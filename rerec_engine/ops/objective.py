"""`Objective`: the options of the loss, one record that every implementation takes.

A new loss is a field here, its check below, its formula in `reference/policy_gradient.py` and `kernels/row_loss.py`
(`loss_arguments` hands it to the kernels), and its argument in the public functions of `policy_gradient.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import get_args

from rerec_engine.ops.types import Aggregation, Kl, Ratio


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What is minimised, whatever the data; `ops.grpo_loss` gives the formulas. ValueError for options out of range."""

    clip_low: float = 0.2
    clip_high: float = 0.2
    beta: float = 0.0
    kl: Kl = "k3"
    entropy_coef: float = 0.0
    aggregation: Aggregation = "token_mean"
    ratio: Ratio = "token"
    temperature: float = 1.0
    """Of the logits, where there are any: `linear_grpo_loss`, like the next."""
    softcap: float | None = None

    def __post_init__(self) -> None:
        check_scaling(self.temperature, self.softcap)
        for name, names in (("kl", Kl), ("aggregation", Aggregation), ("ratio", Ratio)):
            *some, last = get_args(names)
            if getattr(self, name) not in (*some, last):
                raise ValueError(f"{name} must be {', '.join(some)} or {last}, got {getattr(self, name)!r}")
        if not (0 <= self.clip_low <= 1 and self.clip_high >= 0):
            raise ValueError(f"clip_low must be in 0..1 and clip_high >= 0, got {self.clip_low} and {self.clip_high}")

    @property
    def moves_every_token(self) -> bool:
        """A token may have a gradient though its advantage is 0."""
        return bool(self.beta or self.entropy_coef) or self.shares_ratios

    @property
    def shares_ratios(self) -> bool:
        """The ratio of a token depends on the log-probs of others."""
        return self.ratio != "token"


def check_scaling(temperature: float, softcap: float | None) -> None:
    """ValueError where these cannot scale logits."""
    if not 1e-6 <= temperature < math.inf:  # logits over it stay finite in float32
        raise ValueError(f"temperature must be finite and >= 1e-6, got {temperature}")
    if softcap is not None and not softcap > 0:
        raise ValueError(f"softcap must be > 0 or None, got {softcap}")
