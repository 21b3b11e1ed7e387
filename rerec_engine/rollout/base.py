"""What the loop asks of a rollout engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rerec_engine.types import Rollout, Sampling


class RolloutEngine(Protocol):
    """Generates responses with the policy's current weights."""

    weight_version: int
    """Number of weight updates that the engine has taken over."""

    def generate(self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling) -> list[Rollout]:
        """n responses per prompt, prompt-major: len(prompts) * n rollouts."""
        ...

    def update_weights(self) -> None:
        """Take over the policy's weights as they are now."""
        ...

    def close(self) -> None:
        """Free what the engine holds."""
        ...
