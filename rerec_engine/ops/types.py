"""Records and option names that every implementation of the ops shares."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch

Kl = Literal["k1", "k2", "k3"]
Aggregation = Literal["token_mean", "sequence_mean", "dr_grpo"]
GroupEstimator = Literal["raae", "grpo", "dr_grpo", "rloo"]
Ratio = Literal["token", "entry", "sequence"]
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


@dataclass(frozen=True)
class AllowedTokens:
    """Which tokens could be drawn where not all could; all tensors on one device.

    Row r stands at token at[r] of T, ascending, and holds ids[ptr[r]:ptr[r + 1]]: the only ones that could be drawn
    there, or, where `denied`, the only ones that could not.
    """

    at: torch.Tensor  # [R] int64
    denied: torch.Tensor  # [R] bool
    ptr: torch.Tensor  # [R + 1] int64
    ids: torch.Tensor  # [X] int64

    def __len__(self) -> int:
        """R."""
        return len(self.at)

    def rows(self, index: torch.Tensor) -> AllowedTokens:
        """Some rows, [R'] int64, with their places as they are."""
        sizes = self.ptr.diff()[index]
        ptr = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
        owner = torch.arange(len(index), device=index.device).repeat_interleave(sizes)
        place = torch.arange(int(ptr[-1]), device=index.device) - ptr[owner] + self.ptr[index][owner]
        return AllowedTokens(self.at[index], self.denied[index], ptr, self.ids[place])

    def among(self, tokens: torch.Tensor) -> AllowedTokens:
        """Of a part of the tokens, [T'] int64, as places in that part."""
        where = torch.full((int(torch.cat([tokens, self.at]).max()) + 1 if len(self) else 1,), -1, device=tokens.device)
        where[tokens] = torch.arange(len(tokens), device=tokens.device)
        place = where[self.at]
        index = (place >= 0).nonzero()[:, 0]
        index = index[place[index].argsort()]
        return replace(self.rows(index), at=place[index])

    def on(self, device: torch.device) -> AllowedTokens:
        """The same on a device."""
        return AllowedTokens(*(x.to(device) for x in (self.at, self.denied, self.ptr, self.ids)))


class LossTokens(NamedTuple):
    """What a loss knows of every token beside the policy's own log-prob; see `ops.grpo_loss`."""

    old: torch.Tensor  # [T]
    ref: torch.Tensor | None  # [T]
    adv: torch.Tensor  # [T]
    mask: torch.Tensor | None = None  # [T] bool
    cu_seqlens: torch.Tensor | None = None  # [B + 1] int
    denominator: float | torch.Tensor | None = None
    cu_runs: torch.Tensor | None = None  # [R + 1] int

    @property
    def kept(self) -> torch.Tensor:
        """The tokens that count, [T] bool."""
        return torch.ones_like(self.adv, dtype=torch.bool) if self.mask is None else self.mask


class States(NamedTuple):
    """What log-probs are computed from."""

    hidden: torch.Tensor  # [T, H]
    weight: torch.Tensor  # [V, H], of the LM head
    targets: torch.Tensor  # [T] int64


class Savings(NamedTuple):
    """What makes `linear_grpo_loss` faster or smaller, and leaves the loss as it is; see there."""

    lse_old: torch.Tensor | None = None  # [T]
    skip_zero_advantage: bool = False
    grad_weight_out: torch.Tensor | None = None  # [V, H] float32
    workspace_mb: float | None = None
