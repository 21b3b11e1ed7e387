"""What a request asks for: conditions that an item satisfies, or not, by the graph and the numbers alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Span(NamedTuple):
    """A number's condition. how: under, over, between, exactly, decade, before, after, most or least."""

    how: str
    first: float = 0.0
    last: float = 0.0

    @property
    def best(self) -> bool:
        """Whether it holds of one item alone: the one with the most, or least, of those that satisfy all else."""
        return self.how in ("most", "least")

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest number, both included."""
        if self.how in ("under", "before"):
            return -np.inf, float(np.nextafter(self.first, -np.inf))
        if self.how in ("over", "after"):
            return float(np.nextafter(self.first, np.inf)), np.inf
        return self.first, self.last


@dataclass(frozen=True)
class Condition:
    """One thing asked for: any of some attributes, or a span of a number. name: relation, number's field, or "year"."""

    name: str
    attributes: tuple[int, ...] = ()
    excluded: bool = False
    """The item must have none of the attributes."""
    span: Span | None = None

    @property
    def mark(self) -> str:
        """What is said behind each of its values: whether it is wanted."""
        return "no" if self.excluded else "yes"

    def key(self, values: Sequence[str]) -> str:
        """The same for all ways to ask the same."""
        if self.span is None:
            return (
                f"{'not ' if self.excluded else ''}{self.name}={'|'.join(sorted(values[a] for a in self.attributes))}"
            )
        how, first, last = self.span
        sign = {"under": "<", "before": "<", "over": ">", "after": ">"}.get(how)
        if sign:
            return f"{self.name}{sign}{first:.12g}"
        return f"{self.name}:{how}" if self.span.best else f"{self.name}={first:.12g}..{last:.12g}"
