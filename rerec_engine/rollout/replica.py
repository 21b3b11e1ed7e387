"""The sampler on a copy of the policy: where the policy is sharded, or trains while the copy generates."""

from __future__ import annotations

import torch

from rerec_engine.model.policy import Policy, copy_of
from rerec_engine.rollout.sampler import Sampler


class ReplicaSampler(Sampler):
    """A `Sampler` whose weights change in `update_weights` alone. All ranks of a sharded policy call that at once."""

    def __init__(self, policy: Policy, version: int = 0, cache_gb: float = 0.0) -> None:
        self.source = policy
        super().__init__(copy_of(policy), cache_gb=cache_gb)
        self.update_weights(version)

    @torch.no_grad()
    def update_weights(self, version: int) -> None:
        mine = dict(self.policy.model.named_parameters())
        for name, value in self.source.whole_parameters():
            mine[name].copy_(value)
        super().update_weights(version)
