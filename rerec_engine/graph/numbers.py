"""Numbers of the items: prices, players, pages. A range ("2-4 players") has a lower and an upper end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class ItemNumbers:
    """One field's numbers: low <= high, equal for a plain number, both NaN where the item has none.

    Raises ValueError where they disagree.
    """

    low: np.ndarray  # [N] float64
    high: np.ndarray  # [N] float64

    def __post_init__(self) -> None:
        if self.low.shape != self.high.shape or self.low.ndim != 1:
            raise ValueError(f"low and high must be of one length, got {self.low.shape} and {self.high.shape}")
        known = ~np.isnan(self.low)
        if (known != ~np.isnan(self.high)).any() or np.isinf(self.low).any() or np.isinf(self.high).any():
            raise ValueError("low and high must both be finite, or both NaN")
        if (self.low[known] > self.high[known]).any():
            raise ValueError("low must not exceed high")

    @property
    def known(self) -> np.ndarray:
        """Which items have a number: [N] bool."""
        return ~np.isnan(self.low)

    @property
    def ranges(self) -> bool:
        """Whether some item has a range: a request then names one number that the range must hold."""
        return bool((self.low < self.high).any())

    def between(self, low: float = -np.inf, high: float = np.inf) -> np.ndarray:
        """Items whose number or range shares a number with low..high, ends included: [N] bool; unknown: False."""
        return (self.high >= low) & (self.low <= high)
