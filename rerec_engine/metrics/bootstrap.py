"""Percentile bootstrap of a mean (Efron & Tibshirani 1993, chapter 13)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

_CHUNK = 4_000_000  # drawn indices held at once, 32 MB


def bootstrap_interval(
    values: ArrayLike,  # [n]
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Lower and upper percentile bound of the mean of `values`, one value a query.

    The same values and seed give the same bounds. One value, or equal values, give an interval of width 0.

    >>> bootstrap_interval([1.0, 1.0, 1.0])
    (1.0, 1.0)

    Raises ValueError on an empty, non-finite or not one-dimensional input and on settings out of range.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"values must be one-dimensional and not empty, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("values must be finite")
    if resamples < 1 or not 0 < confidence < 1:
        raise ValueError(f"expected resamples >= 1 and confidence in (0, 1), got {resamples} and {confidence}")
    rng = np.random.default_rng(seed)
    rows = max(1, _CHUNK // array.size)
    means = np.empty(resamples, dtype=np.float64)
    for start in range(0, resamples, rows):
        stop = min(start + rows, resamples)
        drawn = rng.integers(0, array.size, size=(stop - start, array.size))  # [rows, n]
        means[start:stop] = array[drawn].mean(axis=1)
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(means, [tail, 100.0 - tail])
    return float(low), float(high)


def bootstrap_intervals(
    values: ArrayLike,  # [n, M]
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """`bootstrap_interval` of M figures of the same queries, up to rounding: bounds [M] and [M].

    The queries are drawn once for all figures, and a draw is the product of its counts with the values.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"values must be two-dimensional and not empty, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("values must be finite")
    means = _drawn_sums(array, resamples, seed) / len(array)
    means = np.clip(means, array.min(axis=0), array.max(axis=0))  # equal values have no width
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(means, [tail, 100.0 - tail], axis=0)
    return low, high


def bootstrap_ratios(
    sums: ArrayLike,  # [n, M]
    counts: ArrayLike,  # [n, M]
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds [M] and [M] of sum(sums) / sum(counts) over the queries: of means over several answers to each query,
    which depend on each other. Of a ratio without a count they are NaN; draws without one are left out.

    Raises ValueError on inputs that are no two arrays of one shape.
    """
    above, below = np.asarray(sums, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    if above.ndim != 2 or above.shape != below.shape or above.size == 0:
        raise ValueError(f"expected two arrays [n, M], not empty, got shapes {above.shape} and {below.shape}")
    drawn = _drawn_sums(np.concatenate([above, below], axis=1), resamples, seed)
    tail = 50.0 * (1.0 - confidence)
    low, high = np.full(above.shape[1], np.nan), np.full(above.shape[1], np.nan)
    for column in range(above.shape[1]):
        known = drawn[:, above.shape[1] + column] > 0
        if known.any():
            ratios = drawn[known, column] / drawn[known, above.shape[1] + column]
            low[column], high[column] = np.percentile(ratios, [tail, 100.0 - tail])
    return low, high


def _drawn_sums(
    array: np.ndarray,  # [n, M]
    resamples: int,
    seed: int,
) -> np.ndarray:  # [resamples, M]
    """Sums over n queries drawn with replacement, the same for all columns."""
    rng = np.random.default_rng(seed)
    size = len(array)
    rows = max(1, _CHUNK // size)
    sums = np.empty((resamples, array.shape[1]), dtype=np.float64)
    for start in range(0, resamples, rows):
        stop = min(start + rows, resamples)
        drawn = rng.integers(0, size, size=(stop - start, size))  # [rows, n]
        drawn += size * np.arange(stop - start)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=(stop - start) * size).reshape(-1, size)
        sums[start:stop] = counts.astype(np.float64) @ array
    return sums
