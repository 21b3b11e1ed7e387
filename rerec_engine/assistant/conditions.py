"""What a request asks, as conditions on the attribute graph, the years and the numbers of a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rerec_engine.data.dataset import Dataset
from rerec_engine.data.facts import amount_of

YEAR, KIND = "year", "kind"
"""Relations of the conditions that are not on an attribute: the year, and what an item is (a film, a book)."""


@dataclass(frozen=True)
class Condition:
    """One thing asked. An item satisfies it with any of the attributes, or with a year in any of the ranges of years
    (both ends included), or with a number (of the field `relation`) in any of the ranges of numbers.

    holding: an item's number is a range itself, which must hold one of the ranges whole. excluded turns it round.
    near: attributes of the same value under another relation, where none has the one asked. parts: of "X or Y", the
    conditions X and Y.
    """

    text: str
    relation: str
    attributes: tuple[int, ...] = ()
    years: tuple[tuple[int, int], ...] = ()
    excluded: bool = False
    near: tuple[int, ...] = ()
    parts: tuple[Condition, ...] = ()
    numbers: tuple[tuple[float, float], ...] = ()
    holding: bool = False

    @property
    def measured(self) -> bool:
        """Whether it is on years or numbers."""
        return bool(self.years or self.numbers)

    def mask(self, dataset: Dataset) -> np.ndarray:
        """Which items satisfy it, [N] bool. An unknown year satisfies no range, but an excluded one; an unknown number
        neither."""
        if self.numbers:
            own = dataset.numbers[self.relation]
            has = np.zeros(len(own.low), dtype=bool)
            for low, high in self.numbers:
                has |= (own.low <= low) & (own.high >= high) if self.holding else own.between(low, high)
            return np.asarray(own.known & ~has if self.excluded else has)
        if self.years:
            years = dataset.catalogue.years
            has = np.zeros(len(years), dtype=bool)
            for first, last in self.years:
                has |= (years >= first) & (years <= last) & (years > 0)
        else:
            has = dataset.attributes.count_shared(self.attributes) > 0
        return np.asarray(~has if self.excluded else has)

    def evidence(self, dataset: Dataset, item: int) -> tuple[tuple[str, str], ...]:
        """(relation, value) pairs of the item that show that it satisfies the condition; for an excluded one, what the
        item has instead."""
        if self.measured:
            value = measure_of(dataset, YEAR if self.years else self.relation, item)
            return ((YEAR if self.years else self.relation, value),) if value else ()
        graph = dataset.attributes
        if self.relation == KIND and not self.excluded:
            return ()
        asked = {graph.relations[a] for a in self.attributes}
        own = [int(a) for a in graph.ids_of(item)]
        shown = [a for a in own if (graph.relations[a] in asked if self.excluded else a in self.attributes)]
        return tuple((graph.relations[a], graph.values[a]) for a in shown)


@dataclass(frozen=True)
class Order:
    """Which items are wanted first, of those that satisfy the conditions: the newest, the cheapest. field: of numbers,
    or YEAR. most: those with the highest number."""

    text: str
    field: str
    most: bool

    def values(self, dataset: Dataset) -> np.ndarray:
        """How far ahead each item is, [N] float64; -inf where its number is unknown."""
        if self.field == YEAR:
            years = np.asarray(dataset.catalogue.years, dtype=np.float64)
            return np.where(years > 0, years if self.most else -years, -np.inf)
        own = dataset.numbers[self.field]
        return np.where(own.known, own.high if self.most else -own.low, -np.inf)


@dataclass(frozen=True)
class Request:
    """A request as it was understood, those before it included.

    liked: items named as examples. left_out: items not to be named again. count: how many are asked for.
    notes: what was understood otherwise than it was said. order: which of the items that satisfy all are wanted first.
    words: those that say something more of what is wanted.
    """

    conditions: tuple[Condition, ...] = ()
    liked: tuple[int, ...] = ()
    left_out: tuple[int, ...] = ()
    count: int | None = None
    follows: bool = False
    notes: tuple[str, ...] = ()
    order: Order | None = None
    words: tuple[str, ...] = ()

    @property
    def told(self) -> list[str]:
        """The conditions and the order in words."""
        return [c.text for c in self.conditions] + ([self.order.text] if self.order else [])

    @property
    def wanted(self) -> tuple[Condition, ...]:
        return tuple(c for c in self.conditions if not c.excluded)

    @property
    def excluded(self) -> tuple[Condition, ...]:
        return tuple(c for c in self.conditions if c.excluded)

    def needs(self, relation: str) -> Condition | None:
        """The wanted condition on a relation, the last one, if any."""
        return next((c for c in reversed(self.wanted) if c.relation == relation), None)


def merge(earlier: Request, own: Request, adding: bool, dataset: Dataset) -> Request:
    """The request of a follow-up: what was asked before, changed by what is asked now.

    A new value of a relation replaces the earlier one, or comes to it where `adding`; new years, numbers of a field and
    a new order replace earlier ones; exclusions and other words add up. What is now excluded is no longer wanted, and
    the other way round. Where the kind of item changes, earlier conditions that no item of the new kind satisfies are
    dropped, and exclusions that concern none.
    """
    new_wanted = {c.relation for c in own.wanted if not c.numbers}
    wanted_now = {a for c in own.wanted if c.relation != KIND for a in c.attributes}
    excluded_now = {a for c in own.excluded for a in c.attributes}
    years_now = any(c.years for c in own.conditions)
    numbers_now = {c.relation for c in own.conditions if c.numbers}
    kept = []
    for c in earlier.conditions:
        if c.years:
            keep = not years_now
        elif c.numbers:
            keep = c.relation not in numbers_now
        elif c.excluded:
            keep = not set(c.attributes) & wanted_now
        else:
            replaced = c.relation in new_wanted and (not adding or c.relation == KIND)
            keep = not replaced and not (c.attributes and set(c.attributes) <= excluded_now)
        if keep:
            kept.append(c)
    kind, before = own.needs(KIND), earlier.needs(KIND)
    if kind is not None and before is not None and kind.text != before.text:
        of_kind = kind.mask(dataset)
        masks = {c: c.mask(dataset)[of_kind] for c in kept}
        kept = [c for c in kept if masks[c].any() and not (c.excluded and masks[c].all())]
    conditions = tuple(dict.fromkeys([*kept, *own.conditions]))
    return replace(
        own,
        conditions=conditions,
        liked=tuple(dict.fromkeys([*earlier.liked, *own.liked])) if not own.liked or adding else own.liked,
        left_out=tuple(dict.fromkeys([*earlier.left_out, *own.left_out])),
        follows=True,
        order=own.order or earlier.order,
        words=tuple(dict.fromkeys([*earlier.words, *own.words])),
    )


def measure_of(dataset: Dataset, field: str, item: int) -> str:
    """An item's year, or its number with its unit; "" where it is unknown."""
    if field == YEAR:
        year = int(dataset.catalogue.years[item])
        return str(year) if year else ""
    said = dataset.description.numbers.get(field)
    return amount_of(dataset.numbers[field], item, said.unit if said else "")


def satisfied(dataset: Dataset, conditions: Sequence[Condition]) -> np.ndarray:
    """Which items satisfy all of the conditions, [N] bool."""
    mask = np.ones(len(dataset.titles), dtype=bool)
    for condition in conditions:
        mask &= condition.mask(dataset)
    return mask
