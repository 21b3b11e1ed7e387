"""What the lists of several systems are worth on the same queries: JSON and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from rerec_engine.metrics.bootstrap import bootstrap_intervals
from rerec_engine.metrics.ranking.measures import CUTOFFS, MEASURES, measure, shown
from rerec_engine.metrics.ranking.popularity import GROUPS, Popularity
from rerec_engine.metrics.report import Estimate
from rerec_engine.types import Query

if TYPE_CHECKING:
    from rich.table import Table

ALL = "all"
Lists = Mapping[str, Sequence[int]]
"""Of one system, by query id: items, best first, none twice; a negative one is a title in no catalogue, which holds its
place. A query that the system cannot rank for is not there; an empty list finds nothing."""
_NAME = 24
"""Columns of a system's name, which may be a path."""
_HEADED = ("HR@10", "NDCG@10")
"""In the table with intervals, which fits 80 columns."""


@dataclass(frozen=True)
class Figures:
    """Of one system on some queries."""

    queries: int
    """Those that it can rank for."""
    measures: Mapping[str, Estimate]
    """HR, Recall, NDCG and MRR by their names with the cut-off: "NDCG@10"."""


@dataclass(frozen=True)
class SystemReport:
    """Of one system."""

    groups: Mapping[str, Figures]
    """By category and by the right item's popularity, `ALL` the last."""
    coverage: Mapping[str, float]
    """By cut-off: the share of the catalogue that some list shows."""
    novelty: Mapping[str, float | None]
    """By cut-off: mean over the queries, bits; None without a log."""
    popularity: Mapping[str, float | None]
    """By cut-off: mean number of users who took what is shown; None without a log."""
    length: float
    """Entries of a list."""
    unknown: float
    """Share of all entries that are in no catalogue."""
    lead: Estimate | None = None
    """NDCG@10 of the first system less this one's, paired over the queries that both rank for."""

    @property
    def all(self) -> Figures:
        return self.groups[ALL]


@dataclass(frozen=True)
class RankingReport:
    """Of several systems on the same queries."""

    split: str
    queries: int
    catalogue: int
    over: str
    """What is ranked: "candidates" where a query has some, or "catalogue"."""
    systems: Mapping[str, SystemReport]
    sizes: Mapping[str, int]
    """Queries of each group."""
    single: bool
    """Every query has one right item: recall is then the hit rate."""
    notes: Sequence[str] = ()
    """What is left out, and why."""
    rows: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    """One a query: id, category, group of popularity, right items, and each system's list."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def tables(self) -> list[Table]:
        """With intervals by group, and without at all cut-offs."""
        return [self._by_group(), self._by_cutoff()]

    def _by_group(self) -> Table:
        table = self._table("95 % bootstrap intervals", ("n", *_HEADED))
        for group in self.sizes:
            table.add_row(group, style="bold")
            for name, system in self.systems.items():
                if found := system.groups.get(group):
                    table.add_row(f"  {name}", str(found.queries), *(str(found.measures[m]) for m in _HEADED))
            table.add_section()
        short = [f"{name} ({of.all.queries})" for name, of in self.systems.items() if of.all.queries < self.queries]
        notes = [f"not all of the {self.queries} queries can be ranked for by {', '.join(short)}"] if short else []
        table.caption = "\n".join([*notes, *self.notes])
        return table

    def _by_cutoff(self) -> Table:
        table = self._table("all queries", tuple(f"@{k}" for k in CUTOFFS))
        for name, system in self.systems.items():
            table.add_row(name, style="bold")
            for kind in MEASURES:
                if kind != "Recall" or not self.single:
                    means = (system.all.measures[f"{kind}@{k}"].mean for k in CUTOFFS)
                    table.add_row(f"  {kind}", *(f"{mean:.4f}" for mean in means))
            table.add_row("  coverage", *(f"{system.coverage[f'@{k}']:.4f}" for k in CUTOFFS))
            for kind, values in (("novelty", system.novelty), ("popularity", system.popularity)):
                if any(value is not None for value in values.values()):
                    cells = (values[f"@{k}"] for k in CUTOFFS)
                    table.add_row(f"  {kind}", *("" if cell is None else f"{cell:.2f}" for cell in cells))
            table.add_section()
        told = "recall is HR: every query has one right item; " if self.single else ""
        table.caption = f"{told}novelty in bits, popularity in users of the log"
        return table

    def _table(self, of: str, columns: Sequence[str]) -> Table:
        from rich.table import Table

        ranked = f"{self.catalogue} items ranked" if self.over == "catalogue" else "candidates ranked"
        title = f"{self.split or 'ranking'}: {self.queries} queries, {ranked}, {of}"
        table = Table(title=title, title_justify="left", caption_justify="left")
        table.add_column("", overflow="fold", max_width=_NAME)
        for name in columns:
            table.add_column(name, justify="right", no_wrap=True)
        return table


def report_rankings(
    systems: Mapping[str, Lists],
    queries: Sequence[Query],
    popularity: Popularity,
    *,
    over: str = "candidates",
    seed: int = 0,
    split: str = "",
    notes: Sequence[str] = (),
) -> RankingReport:
    """Figures of every system's lists; those that rank for no query are told of in the notes. seed: of the bootstrap.

    Raises ValueError where there is no query, or no system that ranks for one.
    """
    notes = list(notes)
    found: dict[str, np.ndarray] = {}  # [Q] places of the queries that it ranks for
    for name, lists in systems.items():
        places = np.array([place for place, query in enumerate(queries) if query.id in lists], dtype=np.int64)
        if len(places):
            found[name] = places
        else:
            notes.append(f"{name}: left out, it ranks for none of the queries")
    if not found:
        raise ValueError("no system ranks for any of the queries")
    groups = _groups(queries, popularity)
    values = {
        name: measure([systems[name][queries[i].id] for i in places], [queries[i].ground_truth for i in places])
        for name, places in found.items()
    }
    first = next(iter(found))
    at = (MEASURES.index("NDCG"), CUTOFFS.index(10))
    reports = {}
    for name, places in found.items():
        shown_lists = [systems[name][queries[i].id] for i in places]
        entries = [item for items in shown_lists for item in items]
        own = {
            group: _figures(values[name][mask[places]], seed) for group, mask in groups.items() if mask[places].any()
        }
        both = np.isin(found[first], places), np.isin(places, found[first])
        lead = values[first][both[0]][:, at[0], at[1]] - values[name][both[1]][:, at[0], at[1]]
        reports[name] = SystemReport(
            groups=own,
            **_shown(shown_lists, popularity),
            length=len(entries) / len(places),
            unknown=sum(item < 0 for item in entries) / max(len(entries), 1),
            lead=None if name == first or not len(lead) else Estimate.of(lead, seed),
        )
    return RankingReport(
        split=split,
        queries=len(queries),
        catalogue=len(popularity.taken),
        over=over if any(query.candidates for query in queries) else "catalogue",
        systems=reports,
        sizes={group: int(mask.sum()) for group, mask in groups.items()},
        single=all(len(query.ground_truth) == 1 for query in queries),
        notes=tuple(notes),
        rows=[_row(query, popularity, {name: systems[name] for name in found}) for query in queries],
    )


def _groups(queries: Sequence[Query], popularity: Popularity) -> dict[str, np.ndarray]:
    """Masks [Q]: categories where there are several, groups of popularity where there is a log, then `ALL`."""
    categories = np.array([query.category or "uncategorised" for query in queries])
    names = dict.fromkeys(categories.tolist())
    masks = {name: categories == name for name in names} if len(names) > 1 else {}
    if popularity.known:
        groups = np.array([popularity.group_of(query.ground_truth) for query in queries])
        masks |= {f"{name} items": groups == name for name in GROUPS if (groups == name).any()}
    return {**masks, ALL: np.ones(len(queries), dtype=bool)}


def _figures(
    values: np.ndarray,  # [Q, measures, cut-offs]
    seed: int,
) -> Figures:
    flat = values.reshape(len(values), -1)
    low, high = bootstrap_intervals(flat, seed=seed)
    names = [f"{name}@{k}" for name in MEASURES for k in CUTOFFS]
    bounds = zip(names, flat.mean(axis=0).tolist(), low.tolist(), high.tolist(), strict=True)
    return Figures(len(values), {name: Estimate(mean, below, above) for name, mean, below, above in bounds})


def _shown(lists: Sequence[Sequence[int]], popularity: Popularity) -> dict[str, Any]:
    found = {f"@{k}": shown(lists, k, popularity.taken, popularity.users) for k in CUTOFFS}

    def mean(values: np.ndarray) -> float | None:
        known = values[~np.isnan(values)]
        return float(known.mean()) if len(known) and popularity.known else None

    return {
        "coverage": {at: of.coverage for at, of in found.items()},
        "novelty": {at: mean(of.novelty) for at, of in found.items()},
        "popularity": {at: mean(of.popularity) for at, of in found.items()},
    }


def _row(query: Query, popularity: Popularity, systems: Mapping[str, Lists]) -> dict[str, Any]:
    return {
        "id": query.id,
        "category": query.category,
        "popularity": popularity.group_of(query.ground_truth) if popularity.known else None,
        "ground_truth": list(query.ground_truth),
        "lists": {name: list(lists[query.id])[: max(CUTOFFS)] for name, lists in systems.items() if query.id in lists},
    }
