"""How much a model's answers depend on the order in which the candidates are shown, on the place of the right one and
on its popularity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from rerec_engine.metrics.bootstrap import bootstrap_ratios
from rerec_engine.metrics.ranking.popularity import GROUPS, Popularity
from rerec_engine.metrics.report import Estimate, EvalReport
from rerec_engine.rollout.base import derive_seed
from rerec_engine.types import Query

if TYPE_CHECKING:
    from rich.table import Table

THIRDS = ("first third", "middle third", "last third")
_BAR = 24
"""Characters of an accuracy of 1 in the table."""


@dataclass(frozen=True)
class Group:
    """Answers of which one thing is alike. The interval is over queries, whose answers depend on each other."""

    answers: int
    accuracy: Estimate
    chosen: float | None = None
    """At a place: share of all answers that name what stands there; 1 / candidates where places do not matter."""


@dataclass(frozen=True)
class OrderReport:
    """Figures of greedy answers to the same queries with their candidates in several orders."""

    orders: int
    queries: int
    """With candidates; open ones have no order."""
    accuracy: Estimate
    """Of all answers; the interval is over queries."""
    accuracy_by_order: Sequence[float]
    """The stored order first."""
    depends: Estimate
    """Share of the queries whose answer, its first item, is not the same in all orders; to give none is an answer."""
    accuracy_by_place: dict[str, float]
    """Where the right item stood in this third of the list; the first of several right ones counts."""
    by_place: Mapping[str, Group] = field(default_factory=dict)
    """By the right item's place in the list, from "1"."""
    by_third: Mapping[str, Group] = field(default_factory=dict)
    by_popularity: Mapping[str, Group] = field(default_factory=dict)
    """By the right item's popularity: head, middle, tail; empty without a log."""
    lean: Estimate | None = None
    """Mean share of the candidates that are less popular than the one that is answered, equally popular ones half:
    above that of the right items the model leans to what is popular. None without a log."""
    lean_of_right: float | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def table(self) -> Table:
        """Accuracy by order, place and popularity, what depends on the order in the caption."""
        from rich.table import Table

        table = Table(title=f"the same {self.queries} queries in {self.orders} orders of their candidates")
        for name, how in (("candidates", "left"), ("answers", "right"), ("accuracy", "right")):
            table.add_column(name, justify=how, no_wrap=True)  # type: ignore[arg-type]
        table.add_row("as stored", str(self.queries), f"{self.accuracy_by_order[0]:.3f}")
        for number, accuracy in enumerate(self.accuracy_by_order[1:], 1):
            table.add_row(f"order {number}", str(self.queries), f"{accuracy:.3f}")
        for groups, told in ((self.by_third, "right one in the {}"), (self.by_popularity, "right one of the {}")):
            table.add_section()
            for name, group in groups.items():
                table.add_row(told.format(name), str(group.answers), str(group.accuracy))
        table.add_section()
        table.add_row("all", str(self.queries * self.orders), str(self.accuracy), style="bold")
        table.caption = f"the answer depends on the order: {self.depends}"
        if self.lean is not None:
            table.caption += (
                f"; of the other candidates {self.lean} are less popular than the one answered, "
                f"{self.lean_of_right:.3f} less than the right one"
            )
        return table

    def places(self) -> Table:
        """Accuracy by the right item's place, with bars, and which places are answered."""
        from rich.table import Table

        table = Table(title="by the right candidate's place")
        for name, how in (("place", "right"), ("answers", "right"), ("accuracy", "right"), ("", "left")):
            table.add_column(name, justify=how, no_wrap=True)  # type: ignore[arg-type]
        table.add_column("answered", justify="right", no_wrap=True)
        for place, group in self.by_place.items():
            bar = "█" * round(_BAR * group.accuracy.mean)
            chosen = "" if group.chosen is None else f"{group.chosen:.3f}"
            table.add_row(place, str(group.answers), str(group.accuracy), bar, chosen)
        table.caption = "answered: share of all answers that name what stands there"
        return table


def evaluate_orders(
    evaluate: Callable[[Sequence[Query]], EvalReport],
    queries: Sequence[Query],
    reorder: Callable[[Query, int], Query],
    orders: int,
    seed: int = 0,
    popularity: Popularity | None = None,
) -> tuple[EvalReport, OrderReport]:
    """Evaluate the queries as they are, and those with candidates in further orders.

    evaluate: `evaluate_queries` of a model. reorder: a query with its candidates in an order drawn from a seed. orders:
    at least 2, that in which they are stored among them. seed: of orders and bootstrap. popularity: of the items.
    Returns the report of the queries as they are, and that of all orders. Raises ValueError where no query has two
    candidates.
    """
    closed = [i for i, query in enumerate(queries) if len(query.candidates) > 1]
    if orders < 2 or not closed:
        raise ValueError(f"expected 2 orders and a query with 2 candidates at least, got {orders} and {len(closed)}")
    stored = evaluate(queries)
    shown = [[queries[i] for i in closed]]
    rows = [[stored.rows[i] for i in closed]]
    for number in range(1, orders):
        shown.append([reorder(query, derive_seed(seed, "permutation", number, query.id)) for query in shown[0]])
        rows.append(list(evaluate(shown[-1]).rows))
    hits = np.array([[row["hit"] for row in of_order] for of_order in rows], dtype=np.float64)  # [orders, Q]
    answers = [[row["items"][0] if row["answered"] else None for row in of_order] for of_order in rows]
    depends = np.array([len(set(own)) > 1 for own in zip(*answers, strict=True)], dtype=np.float64)  # [Q]
    places = np.array([[_place(query) for query in of_order] for of_order in shown])  # [orders, Q] from 0
    sizes = np.array([len(query.candidates) for query in shown[0]])  # [Q]
    thirds = 3 * places // sizes
    chosen = np.array(
        [
            [
                query.candidates.index(item) if item in query.candidates else -1
                for query, item in zip(*pair, strict=True)
            ]
            for pair in zip(shown, answers, strict=True)
        ]
    )  # [orders, Q], -1: none of the candidates
    known = popularity is not None and popularity.known
    return stored, OrderReport(
        orders=orders,
        queries=len(closed),
        accuracy=Estimate.of(hits.mean(axis=0), seed),
        accuracy_by_order=hits.mean(axis=1).tolist(),
        depends=Estimate.of(depends, seed),
        accuracy_by_place={
            name: float(hits[thirds == third].mean()) for third, name in enumerate(THIRDS) if (thirds == third).any()
        },
        by_place={
            name: Group(group.answers, group.accuracy, float((chosen == int(name) - 1).mean()))
            for name, group in _groups(hits, places, [str(n + 1) for n in range(sizes.max())], seed).items()
        },
        by_third=_groups(hits, thirds, THIRDS, seed),
        **(_by_popularity(popularity, shown, answers, hits, seed) if popularity is not None and known else {}),
    )


def _place(query: Query) -> int:
    """Of the first right candidate, from 0."""
    return min(query.candidates.index(item) for item in query.ground_truth if item in query.candidates)


def _groups(
    hits: np.ndarray,  # [orders, Q]
    group: np.ndarray,  # [orders, Q] int, the number of a name
    names: Sequence[str],
    seed: int,
) -> dict[str, Group]:
    """Of those that have an answer."""
    masks = [group == number for number in range(len(names))]
    sums, counts = (np.stack([(of * mask).sum(axis=0) for mask in masks], axis=1) for of in (hits, np.ones_like(hits)))
    low, high = bootstrap_ratios(sums, counts, seed=seed)
    return {
        name: Group(int(counts[:, i].sum()), Estimate(float(hits[mask].mean()), float(low[i]), float(high[i])))
        for i, (name, mask) in enumerate(zip(names, masks, strict=True))
        if mask.any()
    }


def _by_popularity(
    popularity: Popularity,
    shown: Sequence[Sequence[Query]],
    answers: Sequence[Sequence[int | None]],
    hits: np.ndarray,
    seed: int,
) -> dict[str, Any]:
    groups = np.array([GROUPS.index(popularity.group_of(query.ground_truth)) for query in shown[0]])
    names = [f"{name} items" for name in GROUPS]
    leans = [
        [_lean(popularity, query, item) for query, item in zip(*pair, strict=True) if item in query.candidates]
        for pair in zip(shown, answers, strict=True)
    ]
    named = np.array([lean for of_order in leans for lean in of_order])
    right = [np.mean([_lean(popularity, q, i) for i in q.ground_truth if i in q.candidates]) for q in shown[0]]
    return {
        "by_popularity": _groups(hits, np.broadcast_to(groups, hits.shape), names, seed),
        "lean": Estimate.of(named, seed) if len(named) else None,
        "lean_of_right": float(np.mean(right)),
    }


def _lean(popularity: Popularity, query: Query, item: int | None) -> float:
    """Share of the other candidates that are less popular, equally popular ones half."""
    taken = popularity.taken[[other for other in query.candidates if other != item]]
    own = popularity.taken[item]
    return float((taken < own).mean() + (taken == own).mean() / 2)
