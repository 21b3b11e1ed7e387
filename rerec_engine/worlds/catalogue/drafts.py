"""What a request is to say, before it has words; and the draws that all kinds of requests share."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np

from rerec_engine.data.facts import asked_order
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.worlds.catalogue.conditions import Condition
from rerec_engine.worlds.catalogue.groups import Group, find_groups
from rerec_engine.worlds.catalogue.shelf import Shelf

SAME_RELATION = 0.15
"""Chance that a further condition may be of a relation already asked for."""


@dataclass(frozen=True)
class Draft:
    """A request without words. What its answer must satisfy is `conditions`, all of them."""

    category: str
    form: str
    conditions: tuple[Condition, ...]
    target: int = -1
    count: int = 1
    """Items asked for."""
    inferred: int = -1
    """Place of the first condition that is not told but follows from something; those after it follow, too."""
    via: int = -1
    """The item from which it follows."""
    false: int = -1
    """The attribute that the request wrongly says of that item."""
    liked: tuple[int, ...] = ()
    """Items whose common attributes are asked for."""
    group: str = ""
    """The users whose liking is asked for."""
    user: int = -1

    @property
    def named(self) -> tuple[int, ...]:
        """Items that the request names."""
        return (*self.liked, *((self.via,) if self.via >= 0 else ()))

    @property
    def following(self) -> tuple[Condition, ...]:
        """The conditions that are not told but follow from something."""
        return self.conditions[self.inferred :] if self.inferred >= 0 else ()

    def asked(self, graph: AttributeGraph) -> tuple[str, ...]:
        """Names of the relations and numbers that the request is about, as its prompt tells them."""
        wanted, excluded = ([c.name for c in self.conditions if c.excluded is out] for out in (False, True))
        return asked_order(graph, wanted, excluded)


class Picker:
    """Draws attributes so that rare relations and values occur, too."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self._relations = list(shelf.by_relation)
        self._often = {r: np.sqrt(shelf.counts[own]) for r, own in shelf.by_relation.items()}
        self._relation_ends = np.cumsum([np.sqrt(shelf.counts[own].sum()) for own in shelf.by_relation.values()])
        self._value_ends = {relation: np.cumsum(often) for relation, often in self._often.items()}

    @cached_property
    def groups(self) -> Sequence[Group]:
        return find_groups(self.shelf)

    def attribute(self, rng: np.random.Generator) -> int:
        """A relation, then one of its values: each by the root of how often it occurs."""
        relation = self._relations[_place(rng, self._relation_ends)]
        return int(self.shelf.by_relation[relation][_place(rng, self._value_ends[relation])])

    def holder(self, rng: np.random.Generator, attribute: int) -> int:
        """An item that has the attribute."""
        items = self.shelf.holders(attribute)
        return int(items[rng.integers(len(items))])

    def further(self, rng: np.random.Generator, item: int, taken: Sequence[int]) -> int:
        """Another attribute of the item, mostly of another relation; -1 where it has none."""
        graph = self.shelf.graph
        own = [a for a in graph.ids_of(item).tolist() if self.shelf.fit[a] and a not in taken]
        if rng.random() >= SAME_RELATION:
            relations = {graph.relations[a] for a in taken}
            own = [a for a in own if graph.relations[a] not in relations]
        relations_left = list(dict.fromkeys(graph.relations[a] for a in own))
        if not relations_left:
            return -1
        relation = relations_left[rng.integers(len(relations_left))]
        values = [a for a in own if graph.relations[a] == relation]
        return values[rng.integers(len(values))]

    def wish(self, rng: np.random.Generator, count: int) -> tuple[tuple[Condition, ...], int]:
        """Up to `count` conditions that some item satisfies, and that item."""
        first = self.attribute(rng)
        target = self.holder(rng, first)
        chosen = [first]
        while len(chosen) < count and (more := self.further(rng, target, chosen)) >= 0:
            chosen.append(more)
        return tuple(self.condition(a) for a in chosen), target

    def condition(self, attribute: int, excluded: bool = False) -> Condition:
        return Condition(self.shelf.graph.relations[attribute], (attribute,), excluded)


def how_many(rng: np.random.Generator, shares: Sequence[float]) -> int:
    """1, 2, ... with these chances."""
    return 1 + min(bisect_right([*accumulate(shares)], rng.random()), len(shares) - 1)


def _place(rng: np.random.Generator, ends: np.ndarray) -> int:
    return min(int(ends.searchsorted(rng.random() * ends[-1], side="right")), len(ends) - 1)
