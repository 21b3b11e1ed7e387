"""The candidates of a request: right ones that satisfy every condition, and wrong ones that do not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rerec_engine.worlds.catalogue.conditions import Condition
from rerec_engine.worlds.catalogue.shelf import Shelf

HARD = 0.4
"""Share of the candidates, at most, that satisfy all conditions but one."""
FEWEST_WRONG = 3


class Judged:
    """How each of the N items stands to a request's conditions. banned: items that the request names."""

    def __init__(self, shelf: Shelf, conditions: Sequence[Condition], banned: Sequence[int] = ()) -> None:
        self._shelf = shelf
        self._conditions = conditions
        plain = [shelf.mask(c) for c in conditions if not (c.span and c.span.best)]
        rest = np.logical_and.reduce(plain) if plain else np.ones(shelf.size, bool)
        masks = iter(plain)
        self.masks = [shelf.mask(c, rest) if c.span and c.span.best else next(masks) for c in conditions]
        known = [shelf.known(c) for c in conditions]
        self.banned = np.zeros(shelf.size, bool)
        self.banned[list(banned)] = True
        hits = np.add.reduce([mask.view(np.int8) for mask in self.masks])
        self.right = (hits == len(conditions)) & ~self.banned  # [N]
        self.near = (hits == len(conditions) - 1) & ~self.banned
        sure = np.logical_or.reduce([k & ~m for k, m in zip(known, self.masks, strict=True)])
        self.wrong = ~self.right & ~self.banned
        self.surely_wrong = sure & ~self.banned
        self.surely_right = self.right & np.logical_and.reduce(known)

    def draw(
        self, rng: np.random.Generator, count: int, right: int = 1, tempting: np.ndarray | None = None, target: int = -1
    ) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """Ground truth and candidates in random order; None where the catalogue has too few.

        right: ground truths, `target` among them. tempting [k]: items that a reader could take for right ones, which
        count among the hard ones.
        """
        pool = np.flatnonzero(self.surely_right)
        pool = pool[pool != target]
        others = right - (target >= 0)
        if len(pool) < others or count - right < FEWEST_WRONG:
            return None
        truth = [*([target] if target >= 0 else []), *rng.choice(pool, others, replace=False).tolist()]
        wrong = self._hard(rng, min(int(HARD * count), count - right), tempting)
        wrong += self._easy(rng, count - right - len(wrong), wrong)
        if len(wrong) < FEWEST_WRONG:
            return None
        chosen = rng.permutation([*truth, *wrong])
        return tuple(int(i) for i in truth), tuple(int(i) for i in chosen)

    def _hard(self, rng: np.random.Generator, most: int, tempting: np.ndarray | None) -> list[int]:
        """Wrong items by what they miss in turn, so that each condition is needed to tell the right one."""
        pools = [] if tempting is None else [tempting[self.surely_wrong[tempting]]]
        outs = [mask for mask, c in zip(self.masks, self._conditions, strict=True) if c.excluded]
        wish = [mask for mask, c in zip(self.masks, self._conditions, strict=True) if not c.excluded]
        if outs:
            unwanted = np.flatnonzero(np.logical_and.reduce(wish) & ~self.banned)
            pools.append(unwanted[~np.logical_and.reduce([mask[unwanted] for mask in outs])])
        if len(self.masks) > 1:
            near = np.flatnonzero(self.near & self.surely_wrong)
            pools += [near[~mask[near]] for mask in wish]
        drawn = [rng.permutation(pool)[:most] if len(pool) <= 4 * most else _some(rng, pool, most) for pool in pools]
        turns = [int(pool[i]) for i in range(most) for pool in drawn if i < len(pool)]
        return list(dict.fromkeys(turns))[:most]

    def _easy(self, rng: np.random.Generator, count: int, taken: Sequence[int]) -> list[int]:
        """Any wrong items, rather those that are known to be wrong than those of which nothing is known."""
        free = self.surely_wrong.copy()
        free[list(taken)] = False
        tries = rng.integers(0, self._shelf.size, 4 * count)
        drawn = list(dict.fromkeys(tries[free[tries]].tolist()))[:count]
        for pool in (free, self.wrong):
            if len(drawn) < count:
                rest = pool.copy()
                rest[[*drawn, *taken]] = False
                drawn += rng.permutation(np.flatnonzero(rest))[: count - len(drawn)].tolist()
        return drawn


def _some(rng: np.random.Generator, pool: np.ndarray, most: int) -> np.ndarray:
    """Up to `most` distinct entries of a pool that is much larger."""
    return pool[rng.permutation(np.unique(rng.integers(0, len(pool), most)))]
