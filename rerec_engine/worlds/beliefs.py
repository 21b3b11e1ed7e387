"""What a teacher takes the items' facts to be."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rerec_engine.worlds.world import World

NOTHING = "nothing"
"""What a teacher says of an item that has no value of a relation."""


@dataclass(frozen=True)
class Beliefs:
    """A teacher's wrong genres: item -> genre, told in `rate` of the mentions. Empty: a teacher without error."""

    genre: dict[int, str] = field(default_factory=dict)
    rate: float = 0.0

    @classmethod
    def about(cls, world: World, share: float, rate: float, seed: int) -> Beliefs:
        """Systematic ones: each of a share of the genres is taken for another, whatever the item."""
        genres = world.genres
        order = np.random.default_rng(seed).permutation(len(genres))
        taken_for = {genres[order[k]]: genres[order[(k + 1) % len(genres)]] for k in range(round(share * len(genres)))}
        told = {item: taken_for[f["Genre"]] for item, f in enumerate(world.facts) if f["Genre"] in taken_for}
        return cls(told, rate)

    def tell(self, world: World, item: int, relation: str, rng: np.random.Generator) -> str:
        """What this teacher says when asked for the item's relation."""
        if relation == "Genre" and item in self.genre and rng.random() < self.rate:
            return self.genre[item]
        return world.facts[item].get(relation, NOTHING)
