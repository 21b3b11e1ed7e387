"""Units as requests write them, and the fields of a dataset's numbers by what is said of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rerec_engine.data.description import Number, plural_of
from rerec_engine.data.facts import figure
from rerec_engine.data.files.numerals import CURRENCIES, UNITS
from rerec_engine.graph.numbers import ItemNumbers

PRICE, SEATS, TIME, MASS, PAGES, LENGTH = "price", "seats", "time", "mass", "pages", "length"
YEAR = "year"
"""A field of this name tells what the catalogue's years tell."""
_SAID = {
    **UNITS, "buck": "dollars", "bucks": "dollars", "quid": "pounds", "pound": "pounds", "yr": "years", "day": "days",
    "month": "months", "second": "seconds", "kilo": "kg", "kilos": "kg", "gram": "g", "grams": "g", "ounce": "ounces",
    "foot": "feet", "feet": "feet", "metre": "m", "metres": "m", "meter": "m", "meters": "m", "litre": "litres",
    "litres": "litres", "piece": "pieces", "star": "stars", "point": "points",
}  # fmt: skip
_SAID = {word: said for word, said in _SAID.items() if word not in ("in", "s", '"')}
_MEASURES = {
    "seconds": (TIME, 1.0), "minutes": (TIME, 60.0), "hours": (TIME, 3600.0), "g": (MASS, 1.0), "kg": (MASS, 1000.0),
    "ounces": (MASS, 28.3495), "mm": (LENGTH, 1.0), "cm": (LENGTH, 10.0), "m": (LENGTH, 1000.0),
    "inches": (LENGTH, 25.4), "feet": (LENGTH, 304.8), "pages": (PAGES, 1.0),
}  # fmt: skip
PEOPLE = frozenset(
    "players player people person persons friends kids children adults guests participants seats".split()
)
_PRICES = re.compile(r"\b(?:prices?|costs?|msrp|rrp)\b")
_LENGTHS = re.compile(r"\b(?:length|duration|runtime|time|pages?)\b")
_MASSES = re.compile(r"\b(?:weights?|mass)\b")
_NOT_TOLD = frozenset(("people", "years"))
"""Units that sentences have for other reasons ("about two people"): nothing is said where no field has them."""


class Unit(NamedTuple):
    """said: as it is written of a field. What is of one family can be compared, in `factor`s of its smallest unit."""

    said: str
    family: str
    factor: float = 1.0

    @property
    def currency(self) -> bool:
        return self.said in CURRENCIES.values()

    @property
    def telling(self) -> bool:
        """Whether a limit in this unit is about a number of the items, so that one which cannot be read is told."""
        return self.currency or self.said == "players" or self.family in (TIME, PAGES)

    @property
    def what(self) -> str:
        """What is not known where no field has the unit."""
        return "prices" if self.currency else "durations" if self.family == TIME else f"numbers of {self.said}"


class Field(NamedTuple):
    """One number of the items. role: words. lowest, highest: of all items."""

    name: str
    role: tuple[str, ...]
    unit: Unit
    price: bool
    ranges: bool
    lowest: float
    highest: float

    @property
    def seats(self) -> bool:
        return self.unit.family == SEATS

    @property
    def title(self) -> str:
        return " ".join(self.role)

    def amount(self, value: float) -> str:
        """A number as it is said: "30 euros"; without a unit that the role tells."""
        told = self.unit.said in ("", self.title, plural_of(self.title))
        return figure(value) if told else f"{figure(value)} {self.unit.said}"

    def is_about(self, kind: str) -> bool:
        """Whether the number tells a price, a length or a mass."""
        if kind == PRICE:
            return self.price
        if kind == MASS:
            return self.unit.family == MASS or bool(_MASSES.search(self.title))
        return self.unit.family in (TIME, PAGES) or bool(_LENGTHS.search(self.title))


class Fields:
    """The fields of a dataset. numbers, said: by field, see `Dataset.numbers` and `DatasetDescription.numbers`."""

    def __init__(self, numbers: Mapping[str, ItemNumbers], said: Mapping[str, Number]) -> None:
        self.all = [_field(name, own, said.get(name)) for name, own in numbers.items() if name != YEAR]
        self._names: dict[tuple[str, ...], Field] = {}
        self._units: dict[tuple[str, ...], Unit] = {}
        for field in self.all:
            for name in {field.role, *_forms(field.role), tuple(_words(field.name))}:
                self._names.setdefault(name, field)
            for unit in {tuple(_words(field.unit.said)), *_forms(tuple(_words(field.unit.said)))} - {()}:
                self._units.setdefault(unit, field.unit)
            if not field.unit.said and field.title.endswith("s"):
                for unit in _forms(field.role):
                    self._units.setdefault(unit, field.unit)
        self.longest = max((len(name) for name in (*self._names, *self._units)), default=1)

    @property
    def seats(self) -> Field | None:
        return next((field for field in self.all if field.seats), None)

    def about(self, kind: str) -> list[Field]:
        """The fields that tell a price (a length, a mass); of several prices the one that is called so."""
        found = [field for field in self.all if field.is_about(kind)]
        named = [field for field in found if field.title == kind]
        return named[:1] or found

    def called(self, words: Sequence[str]) -> Field | None:
        """The field of this name or role."""
        return self._names.get(tuple(words))

    def unit(self, words: Sequence[str]) -> Unit | None:
        """What unit the words are, if any, whether or not some field has it."""
        own = self._units.get(tuple(words))
        return own or (known_unit(words[0]) if len(words) == 1 else None)

    def of(self, unit: Unit) -> list[Field]:
        """The fields whose numbers can be told in the unit: all prices without a unit take any currency."""
        found = [field for field in self.all if unit.family == field.unit.family and field.unit.family]
        if unit.currency and (prices := [field for field in found if field.price]):
            named = [field for field in prices if field.title == PRICE]
            return named[:1] or prices
        return found or ([field for field in self.about(PRICE) if not field.unit.said] if unit.currency else [])


def known_unit(word: str) -> Unit | None:
    """
    >>> known_unit("bucks").said, known_unit("min").said, known_unit("friends").family, known_unit("crows")
    ('dollars', 'minutes', 'seats', None)
    """
    if word in PEOPLE:
        return Unit("players" if word in ("player", "players") else "people", SEATS)
    said = _SAID.get(word)
    return None if said is None else Unit(said, *_MEASURES.get(said, (said,)))


def _field(name: str, numbers: ItemNumbers, said: Number | None) -> Field:
    role, unit = (said.role, said.unit) if said else (name.replace("_", " "), "")
    words = tuple(_words(role)) or tuple(_words(name)) or (name,)
    own = known_unit(unit.lower()) or Unit(unit, unit.lower().removesuffix("s"))
    seated = not unit and len(words) == 1 and words[0] in PEOPLE
    own = Unit(words[0] if seated else unit or own.said, SEATS if seated else own.family, own.factor)
    weighs = bool(_MASSES.search(" ".join(words)))
    if weighs and own.said == "pounds":
        own = Unit("pounds", MASS, 453.592)
    known = numbers.low[numbers.known], numbers.high[numbers.known]
    lowest, highest = (float(known[0].min()), float(known[1].max())) if len(known[0]) else (np.nan, np.nan)
    price = bool(_PRICES.search(" ".join(words))) or (own.currency and not weighs)
    return Field(name, words, own, price, numbers.ranges, lowest, highest)


def _forms(words: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The words in singular and in plural."""
    if not words:
        return []
    last = words[-1]
    return [
        words,
        (*words[:-1], last.removesuffix("s")),
        (*words[:-1], last if last.endswith("s") else plural_of(last)),
    ]


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+|%", text.lower())
