"""What one evaluation found, and its forms: JSON, a table, a line of `eval.jsonl`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from rerec_engine.metrics.bootstrap import bootstrap_interval

if TYPE_CHECKING:
    from rich.table import Table


def with_interval(mean: float, low: float, high: float) -> str:
    """`0.812 [0.776, 0.846]`: a figure with its interval, as tables and cards show it."""
    return f"{mean:.3f} [{low:.3f}, {high:.3f}]"


@dataclass(frozen=True)
class Estimate:
    """A mean over queries with its bootstrap 95 % interval."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: np.ndarray, seed: int = 0) -> Estimate:
        """Estimate from one value a query, at least one."""
        low, high = bootstrap_interval(values, seed=seed)
        return cls(float(np.mean(values, dtype=np.float64)), low, high)

    def __str__(self) -> str:
        return with_interval(self.mean, self.low, self.high)


@dataclass(frozen=True)
class CategoryReport:
    """Figures of the queries of one category."""

    queries: int
    accuracy: Estimate
    ndcg: Estimate
    chance: float


@dataclass(frozen=True)
class EvalReport:
    """Figures of answers to a set of queries. Rates are shares in 0..1."""

    queries: int
    """Those that were asked."""
    k: int
    accuracy: Estimate
    """hit@1: the first item named is a ground truth."""
    ndcg: Estimate
    """NDCG@k; 0 for a response without an answer."""
    chance: float
    """Accuracy of a uniform guess among the candidates, or the catalogue where a query is open."""
    format_rate: Estimate
    """Share of the responses with a parsable answer."""
    unknown_item_rate: float
    """Share of the answered responses whose first title is in no catalogue."""
    outside_rate: float
    """Share of the answered responses to closed queries that name anything but their candidates."""
    mean_length: float | None
    """Response tokens, the end token included; None where nobody has counted them."""
    truncated_rate: float
    """Share of the responses that ran into the token limit."""
    ranking: Mapping[str, float]
    """Means of hit, precision, recall and MRR at k."""
    by_category: Mapping[str, CategoryReport]
    by_mark: Mapping[str, CategoryReport] = field(default_factory=dict)
    """By what else queries are counted under (`Query.marks`); one may be under several, or under none."""
    true_reasons: float | None = None
    """Share of the statements "item has value" before the answers that are true by the graph; None: there is none."""
    statements: float = 0.0
    """Such statements a response."""
    drawn: str = "greedy"
    """How the answers were."""
    left_out: int = 0
    """Queries that were not asked, since their prompts are too long."""
    split: str = ""
    step: int = 0
    rows: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    """One mapping a query: id, category, response, items, hit, ndcg, answered, tokens."""

    def to_json(self, rows: bool = False) -> dict[str, Any]:
        """All figures as a JSON object, on request with every answer."""
        result = asdict(self)
        if not rows:
            del result["rows"]
        return result

    def line(self, step: int | None = None, split: str | None = None) -> dict[str, Any]:
        """The object of one line of `eval.jsonl`; step and split replace those of the report."""
        return {
            "step": self.step if step is None else step,
            "split": self.split if split is None else split,
            "queries": self.queries,
            "left_out": self.left_out,
            "accuracy": self.accuracy.mean,
            "accuracy_low": self.accuracy.low,
            "accuracy_high": self.accuracy.high,
            "chance": self.chance,
            f"ndcg@{self.k}": self.ndcg.mean,
            "format_rate": self.format_rate.mean,
            "unknown_item_rate": self.unknown_item_rate,
            "outside_rate": self.outside_rate,
            "true_reasons": self.true_reasons,
            "statements": self.statements,
            "mean_length": self.mean_length,
            "by_category": {name: part.accuracy.mean for name, part in self.by_category.items()},
            "interval_by_category": {
                name: [part.accuracy.low, part.accuracy.high] for name, part in self.by_category.items()
            },
        }

    def table(self) -> Table:
        """Accuracy and NDCG by category with their intervals, the other figures in the caption."""
        from rich.table import Table

        table = Table(
            title=f"{self.split or 'evaluation'}: {self.queries} queries, {self.drawn}, 95 % bootstrap intervals"
        )
        table.add_column("category", no_wrap=True)
        for name in ("n", "accuracy", "chance", f"NDCG@{self.k}"):
            table.add_column(name, justify="right", no_wrap=True)
        for name, part in self.by_category.items():
            table.add_row(name, str(part.queries), str(part.accuracy), f"{part.chance:.3f}", str(part.ndcg))
        if self.by_mark:
            table.add_section()
        for name, part in self.by_mark.items():
            table.add_row(name, str(part.queries), str(part.accuracy), f"{part.chance:.3f}", str(part.ndcg))
        table.add_section()
        table.add_row("all", str(self.queries), str(self.accuracy), f"{self.chance:.3f}", str(self.ndcg), style="bold")
        table.caption = (
            f"with an answer {self.format_rate}; of these, first title unknown {self.unknown_item_rate:.3f}, outside "
            f"the candidates {self.outside_rate:.3f}; "
            + (f"{self.mean_length:.1f} tokens, " if self.mean_length is not None else "")
            + f"cut off {self.truncated_rate:.3f}"
        )
        if self.true_reasons is not None:
            table.caption += f"; {self.statements:.1f} statements a response, true {self.true_reasons:.3f}"
        if self.left_out:
            table.caption += f"; {self.left_out} not asked, since their prompts are too long"
        return table
