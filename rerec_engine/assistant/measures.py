"""What a request says of years and numbers: conditions, an order, comparisons with what was named."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rerec_engine.assistant.conditions import YEAR, Condition, Order
from rerec_engine.assistant.mentions import Reading
from rerec_engine.assistant.negation import Target
from rerec_engine.assistant.numbers import find_numbers
from rerec_engine.assistant.superlatives import find_best, find_better
from rerec_engine.assistant.units import Field, Fields
from rerec_engine.assistant.years import find_years
from rerec_engine.data.dataset import Dataset

_SHORT = 8  # words of a request in which a comparison with nothing is told
_OPENING = frozenset("ok okay and but or something anything one ones only the a an for with maybe no not at".split())


class Measured(NamedTuple):
    """targets: the conditions. ties: whether the words tie the request to the one before it, as far as there is one."""

    targets: list[Target]
    order: Order | None
    ties: bool


class Measures:
    """Reads years and numbers in requests about one dataset. nouns: of its kinds of items."""

    def __init__(self, dataset: Dataset, nouns: Sequence[str] = ()) -> None:
        self._dataset = dataset
        said = dataset.description
        self._fields = Fields(dataset.numbers, said.numbers)
        own = (*nouns, said.noun, said.items)
        self._nouns = [word for noun in own for word in noun.lower().split()[-1:]]
        self._nouns += [f"{word}s" for word in self._nouns]

    def read(self, reading: Reading, last: Sequence[int], notes: list[str]) -> Measured:
        """last: items of the answer before, that "cheaper" compares with where the request names none. notes are
        added to."""
        text = _masked(reading.text, [(reading.words[m.first].start, reading.words[m.stop - 1].end) for m in
                                      reading.mentions])  # fmt: skip
        found: list[tuple[int, int, Condition]] = []
        taken: list[tuple[int, int]] = []
        for span in find_numbers(text, self._fields):
            taken.append((span.start, span.end))
            if span.field is None:
                notes.append(span.note)
            else:
                condition = Condition(span.said, span.field.name, numbers=span.ranges, holding=span.holding)
                found.append((span.start, span.end, condition))
        text = _masked(text, taken)
        order = self._order(text, notes, taken)
        text = _masked(text, taken)
        better = self._better(reading, text, last, notes)
        found += better + self._years(reading, text, last, notes)
        starts, ends = [w.start for w in reading.words], [w.end for w in reading.words]
        places = [(bisect_right(ends, start), bisect_left(starts, end), c) for start, end, c in found]
        targets = [Target(first, stop, condition) for first, stop, condition in places if first < stop]
        opening = next((i for i, w in enumerate(reading.words) if w.text not in _OPENING), 0)
        ties = bool(better) or any(t.condition and t.condition.numbers and t.first <= opening for t in targets)
        return Measured(targets, order, ties)

    def _order(self, text: str, notes: list[str], taken: list[tuple[int, int]]) -> Order | None:
        """The first superlative; of others a note tells that they were not read."""
        order = None
        years = self._dataset.catalogue.years
        for best in find_best(text, self._fields, bool((years > 0).any()), self._nouns):
            taken.append((best.start, best.end))
            if best.note:
                notes.append(best.note)
            elif order is None:
                order = Order(best.text, best.field, best.most)
            elif (order.field, order.most) != (best.field, best.most):
                notes.append(f'"{best.text}" was not read: the order is "{order.text}"')
        return order

    def _better(
        self, reading: Reading, text: str, last: Sequence[int], notes: list[str]
    ) -> list[tuple[int, int, Condition]]:
        def reference(position: int, field: Field) -> tuple[float, float] | None:
            own = self._dataset.numbers[field.name]
            items = _named_at(reading, position)
            compared = [i for i in (*items, *(() if items else reading.titles or last)) if own.known[i]]
            return (float(own.low[compared].min()), float(own.high[compared].max())) if compared else None

        found = []
        for better, between in find_better(text, self._fields, reference):
            if better.note and len(reading.words) <= _SHORT:
                notes.append(better.note)
            if better.field is None or between is None:
                continue
            low, high = between
            inside = (float(np.nextafter(high, np.inf)), np.inf) if better.most else (
                -np.inf, float(np.nextafter(low, -np.inf)))  # fmt: skip
            said = f"over {better.field.amount(high)}" if better.most else f"under {better.field.amount(low)}"
            condition = Condition(f"{better.field.title}: {said}", better.field.name, numbers=(inside,))
            found.append((better.start, better.end, condition))
        return found

    def _years(
        self, reading: Reading, text: str, last: Sequence[int], notes: list[str]
    ) -> list[tuple[int, int, Condition]]:
        years = self._dataset.catalogue.years
        if not (years > 0).any():
            return []

        def reference(position: int) -> tuple[int, int] | None:
            items = [i for i in _named_at(reading, position) if years[i] > 0]
            known = [int(years[i]) for i in items or reading.titles or last if years[i] > 0]
            return (min(known), max(known)) if known else None

        found = []
        for span in find_years(text, reference):
            if span.years is not None:
                found.append((span.start, span.end, Condition(span.text, YEAR, years=(span.years,))))
            elif len(reading.words) <= _SHORT:
                notes.append(f'"{span.text}" compares with nothing: no item with a known year was named before')
        return found


def _named_at(reading: Reading, position: int) -> tuple[int, ...]:
    """The title that begins at a character, or right behind it."""
    titles = (m for m in reading.mentions if m.is_title)
    return next((m.ids for m in titles if 0 <= reading.words[m.first].start - position <= 1), ())


def _masked(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The text with other characters, of no word, in place of the spans."""
    masked = list(text)
    for start, end in spans:
        masked[start:end] = "_" * (end - start)
    return "".join(masked)
