"""A catalogue as requests are drawn from it: which items satisfy a condition, and what is fit to be asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from rerec_engine.data.facts import clean_names
from rerec_engine.data.knowledge import Knowledge
from rerec_engine.errors import UserError
from rerec_engine.graph.numbers import ItemNumbers
from rerec_engine.worlds.catalogue.conditions import Condition

YEAR = "year"
LONGEST = 60
"""Characters of a value that a request can name."""
MOST = 0.6
"""Share of the items beyond which a value tells them too little apart."""
FEWEST_ITEMS = 20
_EMPTY = re.compile(r"(?i)(?:yes|no|true|false|none|n/?a|null|nan|unknown|other|others|various|-|\W*)")


class Shelf:
    """Masks over the N items, from the graph's columns. Raises UserError for a catalogue that is too poor."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self.graph = knowledge.attributes
        self.size = knowledge.item_count
        columns = self.graph.item_attributes.tocsc()
        self._rows, self._ends = columns.indices, columns.indptr
        self._known: dict[str, np.ndarray] = {}
        if self.size < FEWEST_ITEMS:
            raise UserError(f"requests need a catalogue of at least {FEWEST_ITEMS} items, got {self.size}")
        if not self.by_relation:
            raise UserError(
                f"no attribute of the {self.size} items is fit to be asked for: requests need attributes that some "
                f"items have and others do not, of at most {LONGEST} characters; give more columns or triples"
            )

    @cached_property
    def counts(self) -> np.ndarray:
        """Items with each attribute: [A] int64."""
        return np.diff(self._ends).astype(np.int64)

    @cached_property
    def names(self) -> Sequence[str]:
        """The attributes' values as they are said: [A]."""
        return clean_names(self.graph.values, self.knowledge.titles)

    @cached_property
    def fit(self) -> np.ndarray:
        """Whether a request can name the attribute: [A] bool. Its name is that of no other value of its relation."""
        pairs = [(r, n.casefold()) for r, n in zip(self.graph.relations, self.names, strict=True)]
        bearers: dict[tuple[str, str], int] = {}
        for pair in pairs:
            bearers[pair] = bearers.get(pair, 0) + 1
        said = [bearers[pair] == 1 and _sayable(name) for pair, name in zip(pairs, self.names, strict=True)]
        return np.array(said, bool) & (self.counts >= 1) & (self.counts <= MOST * self.size)

    @cached_property
    def by_relation(self) -> Mapping[str, np.ndarray]:
        """Relation -> its attributes that are fit: int64."""
        ids: dict[str, list[int]] = {}
        for a in np.flatnonzero(self.fit).tolist():
            ids.setdefault(self.graph.relations[a], []).append(a)
        return {relation: np.array(own) for relation, own in ids.items()}

    @cached_property
    def numbers(self) -> Mapping[str, ItemNumbers]:
        """By field, the years among them where some item has one."""
        own = {field: numbers for field, numbers in self.knowledge.numbers.items() if field != YEAR}
        years = np.array([np.nan if year is None else year for year in self.knowledge.years], float)
        return own if np.isnan(years).all() else {**own, YEAR: ItemNumbers(years, years)}

    def holders(self, attribute: int) -> np.ndarray:
        """Items that have the attribute, ascending: int32."""
        return self._rows[self._ends[attribute] : self._ends[attribute + 1]]

    def known(self, condition: Condition) -> np.ndarray:
        """Items of which the graph tells something that the condition is about: [N] bool."""
        if condition.span is not None:
            return self.numbers[condition.name].known
        if condition.name not in self._known:
            mask = np.zeros(self.size, bool)
            for a in np.flatnonzero(np.array(self.graph.relations) == condition.name):
                mask[self.holders(a)] = True
            self._known[condition.name] = mask
        return self._known[condition.name]

    def mask(self, condition: Condition, rest: np.ndarray | None = None) -> np.ndarray:
        """Items that satisfy the condition: [N] bool. rest [N] bool: those that satisfy all others."""
        if condition.span is None:
            mask = np.zeros(self.size, bool)
            for a in condition.attributes:
                mask[self.holders(a)] = True
            return ~mask if condition.excluded else mask
        numbers = self.numbers[condition.name]
        if not condition.span.best:
            return numbers.between(*condition.span.bounds)
        mask = np.zeros(self.size, bool)
        items = np.flatnonzero(numbers.known if rest is None else numbers.known & rest)
        if len(items):
            own = numbers.low[items]
            found = items[own == (own.max() if condition.span.how == "most" else own.min())]
            mask[found] = len(found) == 1
        return mask


def _sayable(name: str) -> bool:
    return len(name) <= LONGEST and not _EMPTY.fullmatch(name) and not re.search(r"[\n\r\\{}]|https?:", name)
