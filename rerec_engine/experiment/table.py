"""From runs to a table: means over seeds with intervals, and each arm against one of them, seed by seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table
from scipy import stats

LEVEL = 0.95


@dataclass(frozen=True)
class Comparison:
    """An arm over its seeds. Accuracies, or what else the suite judges by, are of the test split after training; low
    and high: Student's 95 % interval of the mean (NaN for one seed). difference: from the arm it is compared with, over
    the seeds that both have; p: paired t-test, two-sided; p_holm: adjusted for all arms of the table (Holm). NaN where
    there is nothing to compare.
    """

    arm: str
    seeds: int
    accuracy: float
    low: float
    high: float
    by_category: dict[str, float]
    more: dict[str, float]
    difference: float
    difference_low: float
    difference_high: float
    p: float
    p_holm: float
    cpu_minutes: float
    tokens: float
    runs: tuple[float, ...]


Results = Mapping[str, Mapping[int, dict[str, Any]]]
"""arm -> seed -> accuracy, by_category, more, cpu_minutes, tokens (of all responses)."""


def compare(results: Results, against: str) -> list[Comparison]:
    """The table's rows, in the arms' order. Arms without a run are left out."""
    base = results.get(against, {})
    paired = {arm: paired_difference(runs, base) for arm, runs in results.items() if runs and arm != against}
    adjusted = dict(zip(paired, holm([found[3] for found in paired.values()]), strict=True))
    nothing = (float("nan"),) * 4
    rows = []
    for arm, runs in results.items():
        if not runs:
            continue
        values = np.array([run["accuracy"] for run in runs.values()])
        difference, low, high, p = paired.get(arm, nothing)
        rows.append(
            Comparison(
                arm=arm,
                seeds=len(values),
                accuracy=float(values.mean()),
                **dict(zip(("low", "high"), interval(values), strict=True)),
                by_category=_means(run["by_category"] for run in runs.values()),
                more=_means(run.get("more", {}) for run in runs.values()),
                difference=difference,
                difference_low=low,
                difference_high=high,
                p=p,
                p_holm=adjusted.get(arm, float("nan")),
                cpu_minutes=_mean(run["cpu_minutes"] for run in runs.values()),
                tokens=_mean(run["tokens"] for run in runs.values()),
                runs=tuple(values.tolist()),
            )
        )
    return rows


def paired_difference(
    runs: Mapping[int, dict[str, Any]], base: Mapping[int, dict[str, Any]]
) -> tuple[float, float, float, float]:
    """Mean difference over the seeds that both have, its interval, and p of the paired t-test."""
    seeds = [seed for seed in runs if seed in base]
    apart = np.array([runs[seed]["accuracy"] - base[seed]["accuracy"] for seed in seeds])
    if not len(apart):
        return (float("nan"),) * 4
    p = float("nan")
    if len(apart) > 1:
        p = 1.0 if not apart.any() else 0.0 if np.ptp(apart) == 0 else float(stats.ttest_1samp(apart, 0.0).pvalue)
    return (float(apart.mean()), *interval(apart), p)


def interval(values: np.ndarray) -> tuple[float, float]:
    """Student's interval of the mean; NaN for a single value."""
    if len(values) < 2:
        return float("nan"), float("nan")
    half = stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return float(values.mean() - half), float(values.mean() + half)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjustment: the probability that any of the tests errs stays below the level. NaN stays and counts for
    none."""
    values = np.asarray(p, dtype=np.float64)
    adjusted = values.copy()
    known = np.flatnonzero(~np.isnan(values))
    largest = 0.0
    for rank, i in enumerate(known[np.argsort(values[known], kind="stable")]):
        largest = max(largest, min(1.0, float(values[i]) * (len(known) - rank)))
        adjusted[i] = largest
    return [float(x) for x in adjusted]


def markdown(rows: Sequence[Comparison], against: str, judge: str = "accuracy") -> str:
    """The table as Markdown, with the categories."""
    categories = list(dict.fromkeys(name for row in rows for name in [*row.by_category, *row.more]))
    heads = ["", judge, *categories, f"against {against}", "p (Holm)", "CPU minutes", "tokens"]
    lines = [_line(heads), _line(["---"] * len(heads))]
    for row in rows:
        told = {**row.by_category, **row.more}
        shares = [f"{told[name]:.3f}" if name in told else "" for name in categories]
        name, mean, apart, p = cells(row)
        lines.append(_line([name, mean, *shares, apart, p, f"{row.cpu_minutes:.1f}", f"{row.tokens / 1e3:.0f} k"]))
    return "\n".join(lines) + "\n"


def terminal_table(rows: Sequence[Comparison], against: str, judge: str = "accuracy") -> Table:
    """The table without the categories, as narrow as a terminal."""
    table = Table("arm", judge, f"against {against}", "p (Holm)")
    for row in rows:
        table.add_row(*cells(row))
    return table


def cells(row: Comparison) -> tuple[str, str, str, str]:
    """Arm, accuracy, difference and p as text; empty where there is nothing to say."""
    mean, apart = f"{row.accuracy:.3f}", "" if np.isnan(row.difference) else f"{row.difference:+.3f}"
    if row.seeds > 1:
        mean += f" [{row.low:.3f}, {row.high:.3f}]"
        apart += f" [{row.difference_low:+.3f}, {row.difference_high:+.3f}]" if apart else ""
    p = "" if np.isnan(row.p) else f"{_p(row.p)} ({_p(row.p_holm)})"
    return f"{row.arm} (n = {row.seeds})", mean, apart, p


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _means(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    parts = list(parts)
    return {name: _mean(part.get(name) for part in parts) for name in dict.fromkeys(n for part in parts for n in part)}


def _mean(values: Any) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")
