"""A model's answers beside rankers that need none: on the same queries, with the same candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from rerec_engine.cli import progress_bar
from rerec_engine.metrics.rankers import Ranker
from rerec_engine.metrics.report import Estimate, EvalReport
from rerec_engine.types import Query

if TYPE_CHECKING:
    from rich.table import Table

ALL = "all"


@dataclass(frozen=True)
class Figures:
    """Of one ranker on some queries."""

    queries: int
    """Those that it can rank for."""
    accuracy: Estimate
    """hit@1; where several items are equally good, the share of right ones among them."""
    ndcg: Estimate
    lead: Estimate | None
    """The model's accuracy less this one, over the same queries, paired; None without a model."""


@dataclass(frozen=True)
class Comparison:
    """Figures by ranker, then by category, `ALL` the last."""

    queries: int
    k: int
    split: str
    figures: Mapping[str, Mapping[str, Figures]]
    notes: Sequence[str] = ()
    """Rankers that are left out, and why."""
    hits: Mapping[str, Sequence[float | None]] = field(default_factory=dict, repr=False)
    """By ranker, one a query, in their order; None where it knows nothing to go by."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def table(self, report: EvalReport | None = None) -> Table:
        """By category, the model first, where there is one."""
        from rich.table import Table

        beside = "beside " if report else ""
        title = f"{self.split or 'evaluation'}: {self.queries} queries, {beside}what needs no model"
        table = Table(title=title, title_justify="left", caption_justify="left")
        table.add_column("", no_wrap=True)
        for name in ("n", "accuracy", "the model's lead") if report else ("n", "accuracy", f"NDCG@{self.k}"):
            table.add_column(name, justify="right", no_wrap=True)
        for category in dict.fromkeys(category for own in self.figures.values() for category in own):
            table.add_row(category, style="bold")
            if report:
                part = report if category == ALL else report.by_category[category]
                table.add_row("  the model", str(part.queries), str(part.accuracy), "")
            for name, own in self.figures.items():
                if found := own.get(category):
                    last = _signed(found.lead) if found.lead else str(found.ndcg)
                    table.add_row(f"  {name}", str(found.queries), str(found.accuracy), last)
            table.add_section()
        short = [name for name, own in self.figures.items() if own[ALL].queries < self.queries]
        why = "of the others no history is known, or it gives the answer away"
        notes = [f"{', '.join(short)}: over n of the {self.queries} queries; {why}"] if short else []
        table.caption = "\n".join([*notes, *self.notes])
        return table


def compare(
    rankers: Mapping[str, Ranker],
    queries: Sequence[Query],
    catalogue_size: int,
    *,
    report: EvalReport | None = None,
    k: int = 1,
    seed: int = 0,
    split: str = "",
    notes: Sequence[str] = (),
    progress: bool = False,
) -> Comparison:
    """Rank for every query its candidates, or the whole catalogue [N]; a uniform guess, "chance", is the first.

    report: a model's, of these queries. seed: of the bootstrap. notes: on rankers that are left out. Raises ValueError
    where there is no query, or the report is one of others.
    """
    if not queries:
        raise ValueError("no query to rank for")
    if report is not None and [row["id"] for row in report.rows] != [query.id for query in queries]:
        raise ValueError("the report must hold the rows of these queries")
    rankers = {"chance": lambda _, shown: np.zeros(len(shown)), **rankers}
    values = {name: np.full((len(queries), 2), np.nan) for name in rankers}  # [Q, 2] hit@1, NDCG@k
    bar = progress_bar(len(queries), "baselines", "query", shown=progress)
    for number, query in enumerate(queries):
        shown = np.array(query.candidates or range(catalogue_size), dtype=np.int64)
        right = np.isin(shown, query.ground_truth)
        for name, ranker in rankers.items():
            if (scores := ranker(query, shown)) is not None:
                values[name][number] = expected(scores, right, len(query.ground_truth), k)
        bar.update()
    bar.close()
    model = None if report is None else np.array([row["hit"] for row in report.rows], dtype=np.float64)
    categories = np.array([query.category or "uncategorised" for query in queries])
    chosen = {name: categories == name for name in dict.fromkeys(categories.tolist())}
    chosen = {**(chosen if len(chosen) > 1 else {}), ALL: np.ones(len(queries), dtype=bool)}
    figures: dict[str, dict[str, Figures]] = {}
    left_out = list(notes)
    for name, own in values.items():
        known = ~np.isnan(own[:, 0])
        if not known.any():
            left_out.append(f"{name}: left out, no query has a history, or the log gives its answer away")
            continue
        places = {category: np.flatnonzero(mask & known) for category, mask in chosen.items()}
        figures[name] = {
            category: Figures(
                queries=len(place),
                accuracy=Estimate.of(own[place, 0], seed),
                ndcg=Estimate.of(own[place, 1], seed),
                lead=None if model is None else Estimate.of(model[place] - own[place, 0], seed),
            )
            for category, place in places.items()
            if len(place)
        }
    hits = {name: [None if np.isnan(hit) else float(hit) for hit in values[name][:, 0]] for name in figures}
    return Comparison(len(queries), k, split, figures, tuple(left_out), hits)


def expected(
    scores: np.ndarray,  # [C], -inf: ruled out
    right: np.ndarray,  # [C] bool
    truths: int,
    k: int,
) -> tuple[float, float]:
    """Hit@1 and NDCG@k of a ranking by scores, best first; of equal scores the mean over their orders."""
    named = np.flatnonzero(scores > -np.inf)
    if not len(named):
        return 0.0, 0.0
    _, group = np.unique(-np.round(scores[named], 9), return_inverse=True)  # 0 is the best
    sizes = np.bincount(group)
    ranked = np.sort(group)  # of each rank, its group
    discount = _discounts(len(named), k)
    gain = np.bincount(ranked, discount) / sizes  # of an item of the group
    hit = right[named][group == 0].mean()
    return float(hit), float(gain[group[right[named]]].sum() / _discounts(truths, k).sum())


def _discounts(count: int, k: int) -> np.ndarray:
    """Of the ranks 1 to count, 0 beyond k."""
    discounts = 1 / np.log2(np.arange(2, count + 2))
    discounts[k:] = 0
    return discounts


def _signed(lead: Estimate) -> str:
    return f"{lead.mean:+.3f} [{lead.low:+.3f}, {lead.high:+.3f}]"
