"""What the loop asks of a rollout engine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from torch import Tensor

from rerec_engine.types import Rollout, Sampling


def derive_seed(*parts: object) -> int:
    """A seed of 63 bits for (run seed, step, ...): the same everywhere and for ever."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


class RolloutEngine(Protocol):
    """Generates responses with the policy's current weights."""

    weight_version: int
    """The step after which its weights were the policy's."""

    def generate(self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling) -> list[Rollout]:
        """n responses per prompt, prompt-major: len(prompts) * n rollouts."""
        ...

    def update_weights(self, version: int) -> None:
        """Take over the policy's weights as they are now; `weight_version` becomes `version`."""
        ...

    def sleep(self) -> None:
        """Nothing will be generated for a while: free the device's memory where that is possible."""
        ...

    def close(self) -> None:
        """Free what the engine holds."""
        ...


class Follower:
    """The engine of a rank that has none: an engine on several GPUs belongs to the first of their ranks.

    `weights` gathers a sharded policy's parameters, which takes all ranks; here they are let go of.
    """

    def __init__(self, weights: Callable[[], Iterable[tuple[str, Tensor]]], version: int = 0) -> None:
        self.weights = weights
        self.update_weights(version)

    def generate(self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling) -> list[Rollout]:
        """Nothing, for no prompt."""
        if prompts:
            raise ValueError("a rank without an engine was given prompts")
        return []

    def update_weights(self, version: int) -> None:
        for _ in self.weights():
            pass
        self.weight_version = version

    def sleep(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is held."""
