"""Years and numbers as a person would ask for them: decades, round limits, for how many players."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from rerec_engine.graph.numbers import ItemNumbers
from rerec_engine.worlds.catalogue.conditions import Span
from rerec_engine.worlds.catalogue.shelf import YEAR

MOST = 0.75
"""Share of the known items that a span may hold at most."""
_ROUND = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7.5, 8)
_COUNTS = 12
"""Highest number that is asked for exactly, such as that of players."""


def draw_span(rng: np.random.Generator, name: str, numbers: ItemNumbers, item: int) -> Span | None:
    """A span that holds the item's number and not nearly every other; None where none is found."""
    low, high = float(numbers.low[item]), float(numbers.high[item])
    if math.isnan(low):
        return None
    choices: tuple[Callable[[], Span | None], ...]
    if name == YEAR:
        choices = tuple(lambda how=how: _years(rng, how, low) for how in ("decade", "decade", *_YEARS))  # type: ignore[misc]
    elif numbers.ranges:
        choices = (lambda: _within(rng, low, high),)
    else:
        choices = tuple(lambda how=how: _limit(rng, how, low) for how in ("under", "under", "over", "between"))  # type: ignore[misc]
        if _is_count(numbers):
            choices += (lambda: Span("exactly", low, low),)
    for place in rng.permutation(len(choices)):
        span = choices[place]()
        if span is not None and numbers.between(*span.bounds).sum() <= MOST * numbers.known.sum():
            return span
    return None


_YEARS = ("after", "before", "between", "exactly")


def _years(rng: np.random.Generator, how: str, year: float) -> Span:
    gap = int(rng.integers(1, 9))
    if how == "decade":
        return Span(how, year // 10 * 10, year // 10 * 10 + 9)
    if how == "between":
        return Span(how, year - gap, year + int(rng.integers(1, 9)))
    return Span(how, *{"after": (year - gap, 0.0), "before": (year + gap, 0.0), "exactly": (year, year)}[how])


def _within(rng: np.random.Generator, low: float, high: float) -> Span | None:
    """One whole number of a range."""
    whole = np.arange(math.ceil(low), min(math.floor(high), math.ceil(low) + 100) + 1)
    number = float(whole[rng.integers(len(whole))]) if len(whole) else 0.0
    return Span("exactly", number, number) if len(whole) else None


def _limit(rng: np.random.Generator, how: str, number: float) -> Span | None:
    """Round limits near the number; None for a number that is not positive."""
    if number <= 0:
        return None
    scale = 10.0 ** (math.floor(math.log10(number)) - 1)
    limits = np.array([m * s * scale for s in (1, 10, 100) for m in _ROUND])
    above, below = limits[limits > number * 1.0001][:4], limits[limits < number * 0.9999][-4:]
    upper, lower = float(above[rng.integers(len(above))]), float(below[rng.integers(len(below))]) if len(below) else 0.0
    if how == "between":
        return Span(how, lower, upper) if lower else None
    return Span(how, upper) if how == "under" else Span(how, lower) if lower else None


def _is_count(numbers: ItemNumbers) -> bool:
    known = numbers.low[numbers.known]
    return bool((known == known.round()).all() and known.min() >= 1 and known.max() <= _COUNTS)
