"""The title matching and ranking metrics of the RecBench+ evaluator, rebuilt from its published figures.

The rules (arXiv 2503.09382; every published row of the demographics queries follows from them):

- titles of an answer are separated by `[SEP]`; an answer without one counts as failed to recommend (`ftr`), and its
  whole text is still scored as a single title;
- blanks, then ', then " are taken off both ends of a predicted title, then its trailing year in brackets; the ground
  truth stays as it is;
- two titles match where difflib's ratio is at least 0.8;
- recall = matched ground truths / ground truths, precision = matched ground truths / predicted titles;
- NDCG has gain 1 for each predicted title that matches any ground truth, discount log2(rank + 1), no cut-off, and
  the ideal list of as many hits as there are ground truths. Two predictions may match one ground truth, so that it can
  exceed 1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher

import numpy as np

SEPARATOR = "[SEP]"
THRESHOLD = 0.8
METRICS = ("precision", "recall", "ndcg", "ftr")

_TRAILING_YEAR = re.compile(r"\s*\(\d{4}\)$")


@dataclass(frozen=True)
class RowScore:
    """Metrics of one answer; ftr is True where it recommends nothing that can be read as a list."""

    id: str
    precision: float
    recall: float
    ndcg: float
    ftr: bool

    def to_json(self) -> dict[str, object]:
        """The row as it stands in the JSON output."""
        return asdict(self)


def split_titles(response: str) -> list[str]:
    """The titles of an answer, in its order; never empty."""
    return [title.strip() for title in response.split(SEPARATOR)]


def binary_ndcg(relevant: Sequence[bool], ideal: int) -> float:
    """DCG of a ranking of hits and misses over the DCG of `ideal` hits in a row.

    >>> round(binary_ndcg([False, True], 1), 6)
    0.63093
    """
    length = max(len(relevant), ideal)
    discount = 1.0 / np.log2(np.arange(2, length + 2))  # [length]
    return float(discount[: len(relevant)][np.asarray(relevant, dtype=bool)].sum() / discount[:ideal].sum())


def score_recbench(row_id: str, response: str, ground_truth: Sequence[str]) -> RowScore:
    """Score one answer as the published evaluator does. ground_truth: titles, at least one."""
    if not ground_truth:
        raise ValueError(f"query {row_id!r} has no ground truth")
    predicted = [_bare(title) for title in split_titles(response)]
    matches = [_matches(predicted, truth) for truth in ground_truth]  # [ground truths][predicted]
    found = sum(any(row) for row in matches)
    return RowScore(
        id=row_id,
        precision=found / len(predicted),
        recall=found / len(ground_truth),
        ndcg=binary_ndcg([any(column) for column in zip(*matches, strict=True)], len(ground_truth)),
        ftr=SEPARATOR not in response,
    )


def mean_metrics(rows: Sequence[RowScore]) -> dict[str, float]:
    """The mean of each metric over the rows; 0 for no row at all."""
    return {name: float(np.mean([getattr(row, name) for row in rows])) if rows else 0.0 for name in METRICS}


def _bare(title: str) -> str:
    return _TRAILING_YEAR.sub("", title.strip().strip("'").strip('"')).strip()


def _matches(predicted: Sequence[str], truth: str) -> list[bool]:
    matcher = SequenceMatcher(None, b=truth)
    result = []
    for title in predicted:
        matcher.set_seq1(title)
        # The quick ratios are upper bounds; they also keep a very long title from a quadratic comparison.
        result.append(
            matcher.real_quick_ratio() >= THRESHOLD
            and matcher.quick_ratio() >= THRESHOLD
            and matcher.ratio() >= THRESHOLD
        )
    return result
