"""What an answer is worth: which conditions its items satisfy, shown on the graph, and which are not met, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rerec_engine.assistant.conditions import KIND, Condition, Request, measure_of, satisfied
from rerec_engine.data.dataset import Dataset


@dataclass(frozen=True)
class Evidence:
    """A condition that an item satisfies, and what the catalogue says of the item there."""

    condition: str
    relation: str
    value: str


@dataclass(frozen=True)
class Unmet:
    """A condition, or several, that no item of the answer satisfies."""

    condition: str
    why: str

    def __str__(self) -> str:
        return f"{self.condition}: {self.why}"


def evidence_of(dataset: Dataset, request: Request, item: int) -> tuple[tuple[Evidence, ...], tuple[str, ...]]:
    """The evidence of the conditions that an item satisfies, and the conditions that it does not."""
    evidence: list[Evidence] = []
    missed: list[str] = []
    for condition in request.conditions:
        if not condition.mask(dataset)[item]:
            missed.append(condition.text)
            continue
        shown = condition.evidence(dataset, item)
        evidence += [Evidence(condition.text, relation, value) for relation, value in shown]
    if request.order is not None and (first := _first(dataset, request)) is not None:
        if first[item]:
            value = measure_of(dataset, request.order.field, item)
            evidence.append(Evidence(request.order.text, request.order.field, value))
        else:
            missed.append(request.order.text)
    return tuple(evidence), tuple(missed)


def unmet_by(dataset: Dataset, request: Request, items: Sequence[int], candidates: Sequence[int]) -> tuple[Unmet, ...]:
    """The conditions that no item of the answer satisfies. What nothing in the catalogue satisfies is told first."""
    unmet = []
    possible: list[Condition] = []
    for condition in request.conditions:
        mask = condition.mask(dataset)
        if not mask.any():
            unmet.append(Unmet(condition.text, "nothing in the catalogue"))
            continue
        possible.append(condition)
        if not items or any(mask[item] for item in items):
            continue
        among = int(mask[list(candidates)].sum()) if candidates else int(mask.sum())
        where = "candidates" if candidates else "items of the catalogue"
        unmet.append(
            Unmet(condition.text, f"not the answer, though {among} of the {where} would do")
            if among
            else Unmet(condition.text, "none of the candidates")
        )
    told = [c.text if c.excluded or c.relation != KIND else f"a {c.text}" for c in possible]
    if len(possible) > 1:
        mask = satisfied(dataset, possible)
        if not mask.any():
            unmet.append(Unmet(" + ".join(told), "nothing in the catalogue is all of this at once"))
        elif items and not any(mask[item] for item in items):
            left = [int(i) for i in mask.nonzero()[0] if i not in request.left_out]
            if not left:
                unmet.append(Unmet(" + ".join(told), "all that is so has been named before"))
            elif not any(item in candidates for item in left):
                unmet.append(Unmet(" + ".join(told), "none of the candidates is all of this at once"))
            elif not unmet:
                unmet.append(Unmet(" + ".join(told), "not the answer, though some candidate is all of this at once"))
    first = _first(dataset, request) if items else None
    if request.order is not None and first is not None and not any(first[item] for item in items):
        ahead = np.where(first, request.order.values(dataset), -np.inf)
        better = dataset.titles[int(ahead.argmax())]
        unmet.append(Unmet(request.order.text, f"not the answer, {better} comes before it"))
    if request.count and items and len(items) < request.count:
        unmet.append(Unmet(f"{request.count} items", f"the answer names {len(items)}"))
    return tuple(unmet)


def _first(dataset: Dataset, request: Request) -> np.ndarray | None:
    """Which items come first in the order asked for, as many as are asked for and those level with them, of all that
    satisfy the conditions and are not left out: [N] bool; None where there are none."""
    if request.order is None:
        return None
    pool = satisfied(dataset, request.conditions)
    pool[[*request.liked, *request.left_out]] = False
    ahead = np.where(pool, request.order.values(dataset), -np.inf)
    known = np.sort(ahead[ahead > -np.inf])[::-1]
    return ahead >= known[min(request.count or 1, len(known)) - 1] if len(known) else None
