"""How much a model's answers depend on the order in which the candidates are shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rerec_engine.metrics.report import Estimate, EvalReport
from rerec_engine.rollout.base import derive_seed
from rerec_engine.types import Query

if TYPE_CHECKING:
    from rich.table import Table

THIRDS = ("first third", "middle third", "last third")


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

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def table(self) -> Table:
        """Accuracy by order and by place, what depends on the order in the caption."""
        from rich.table import Table

        table = Table(title=f"the same {self.queries} queries in {self.orders} orders of their candidates")
        table.add_column("candidates", no_wrap=True)
        table.add_column("accuracy", justify="right", no_wrap=True)
        table.add_row("as stored", f"{self.accuracy_by_order[0]:.3f}")
        for number, accuracy in enumerate(self.accuracy_by_order[1:], 1):
            table.add_row(f"order {number}", f"{accuracy:.3f}")
        table.add_section()
        for place, accuracy in self.accuracy_by_place.items():
            table.add_row(f"right one in the {place}", f"{accuracy:.3f}")
        table.add_section()
        table.add_row("all", str(self.accuracy), style="bold")
        table.caption = f"the answer depends on the order: {self.depends}"
        return table


def evaluate_orders(
    evaluate: Callable[[Sequence[Query]], EvalReport],
    queries: Sequence[Query],
    reorder: Callable[[Query, int], Query],
    orders: int,
    seed: int = 0,
) -> tuple[EvalReport, OrderReport]:
    """Evaluate the queries as they are, and those with candidates in further orders.

    evaluate: `evaluate_queries` of a model. reorder: a query with its candidates in an order drawn from a seed. orders:
    at least 2, that in which they are stored among them. seed: of orders and bootstrap. Returns the report of the
    queries as they are, and that of all orders. Raises ValueError where no query has two candidates.
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
    thirds = np.array([[_third(query) for query in of_order] for of_order in shown])  # [orders, Q]
    return stored, OrderReport(
        orders=orders,
        queries=len(closed),
        accuracy=Estimate.of(hits.mean(axis=0), seed),
        accuracy_by_order=hits.mean(axis=1).tolist(),
        depends=Estimate.of(depends, seed),
        accuracy_by_place={
            name: float(hits[thirds == third].mean()) for third, name in enumerate(THIRDS) if (thirds == third).any()
        },
    )


def _third(query: Query) -> int:
    """Of the list, where the first right candidate stands: 0, 1 or 2."""
    place = min(query.candidates.index(item) for item in query.ground_truth if item in query.candidates)
    return 3 * place // len(query.candidates)
