"""Numbers in a request: "under 30 euros", "for four players", "over 300 pages". Years are `years`' matter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rerec_engine.assistant.amounts import Amount, Amounts, tokens_of
from rerec_engine.assistant.lexicon import NEGATIONS, SEEN
from rerec_engine.assistant.units import LENGTH, MASS, PRICE, SEATS, TIME, Field, Fields, Unit
from rerec_engine.data.facts import figure

_SOME = 12  # the highest number that is meant exactly
_FRONT = {
    "under": "under|below|beneath|less than|fewer than|lower than|smaller than|not as much as|<",
    "most": "at most|no more than|not more than|no greater than|no higher than|maximum of|maximum|max|max .|within"
            "|no fewer or more than|not exceeding|< =|≤|up to and including",
    "up to": "up to",
    "over": "over|above|more than|greater than|higher than|bigger than|exceeding|exceeds|exceed|>|beyond",
    "least": "at least|no less than|not less than|no fewer than|not fewer than|minimum of|minimum|min .|> =|≥"
             "|starting at|starting from|no lower than|from",
    "about": "around|about|roughly|approximately|approx|approx .|circa|ca|ca .|some|~|near|close to|more or less",
    "exactly": "exactly|precisely",
    "between": "between",
}  # fmt: skip
_KINDS = {
    PRICE: ("cheaper than|less expensive than", "more expensive than|pricier than", "no more expensive than"),
    LENGTH: ("shorter than", "longer than", "no longer than|not longer than"),
    MASS: ("lighter than", "heavier than", "no heavier than|not heavier than"),
}  # fmt: skip
_BEFORE = {tuple(p.split()): (how, "") for how, phrases in _FRONT.items() for p in phrases.split("|")} | {
    tuple(p.split()): (how, kind)
    for kind, all_phrases in _KINDS.items()
    for how, phrases in zip(("under", "over", "most"), all_phrases, strict=True)
    for p in phrases.split("|")
}
"""What stands before an amount -> how it limits, and which kind of number it is about."""
_LONGEST = max(map(len, _BEFORE))
_SKIPPED = frozenset("a an of the only just about around roughly".split())
_LINKS = frozenset("of is at be was are should must can may to cost from = : between it that not no never".split())
_VERBS = {"costs": PRICE, "cost": PRICE, "costing": PRICE, "priced": PRICE, "weighs": MASS, "weighing": MASS}
_MEANS = "budget"
_BUDGET = frozenset("have has got spend pay afford".split())
_PAST = frozenset("paid spent lost saved won stole made earned".split()) | SEEN
_AFTER_BARE = frozenset(
    "and or but with by for please that which in from if when to as i we not no thanks thank a an the starring of on"
    " is would so also about set because at my it you made directed written designed just only though who than then"
    " maybe or nor under below over above between around at up less more fewer cheaper longer shorter".split()
)
_NOT_BARE = SEEN | frozenset(
    "am i'm im is are aged age ages who people children kids adults anyone someone everyone those players played own"
    " owns have had me show give recommend suggest list name top 're we're they're he's she's over".split()
)
"""Words after which a limit without a unit is no price: "I am under 30"."""


class NumberSpan(NamedTuple):
    """start, end: characters of the request. field: None where there is only a note to give. ranges: both ends
    included. holding: the item's range must hold the whole of one of them. said: the condition."""

    start: int
    end: int
    field: Field | None
    ranges: tuple[tuple[float, float], ...] = ()
    holding: bool = False
    said: str = ""
    note: str = ""


def find_numbers(text: str, fields: Fields) -> list[NumberSpan]:
    """All conditions on numbers in a text, in its order, without overlap; and those that cannot be read, with a note.

    A number with a unit is about the field that has the unit; one behind a field's name about that ("a rating over
    8"); "for four" about players; a limit alone ("under 30") about the price. A whole number up to 12 is meant
    exactly, a higher one, a price and a length within 10 %.
    """
    return _Finder(text, fields).spans()


class _Front(NamedTuple):
    """What stands before an amount: how it limits, what it is about, and its first token."""

    how: str
    kind: str
    first: int


class _Finder:
    def __init__(self, text: str, fields: Fields) -> None:
        self._text, self._fields = text, fields
        self._tokens = tokens_of(text)
        self._amounts = Amounts(self._tokens, fields)
        self._floor = 0

    def spans(self) -> list[NumberSpan]:
        found, place = [], 0
        while place < len(self._tokens):
            amount = self._amounts.at(place, self._floor)
            if amount is None:
                place += 1
                continue
            if span := self._span(amount):
                found.append(span)
                self._floor = amount.stop
            place = max(place + 1, amount.stop)
        return found

    def _span(self, amount: Amount) -> NumberSpan | None:
        front = self._front(amount.first)
        called, kind, first = self._name(front.first)
        kind = front.kind or kind
        how = front.how or amount.how or ("most" if kind == _MEANS else "")
        if how == "between" and not amount.ranged:
            return None
        first, seated = self._seated(first)
        if not how and amount.unit is not None:
            how = self._held(first, amount.unit)
            if how == "past":
                return None
        text = self._text[self._tokens[first].start : self._tokens[amount.stop - 1].end]
        field, note = self._field(amount, how, called, kind, seated, text)
        start, end = self._tokens[first].start, self._tokens[amount.stop - 1].end
        if field is None:
            return NumberSpan(start, end, None, note=note) if note else None
        values = amount.values
        if amount.unit is not None and amount.unit.family == field.unit.family and field.unit.factor:
            values = tuple(value * amount.unit.factor / field.unit.factor for value in values)
        ranges, said = _ranges(field, values, how, amount.ranged)
        holding = field.seats and field.ranges and all(math.isfinite(end) for pair in ranges for end in pair)
        return NumberSpan(start, end, field, ranges, holding, f"{field.title}: {said}")

    def _front(self, start: int) -> _Front:
        """The longest phrase of `_BEFORE` that ends before a token, articles between."""
        for skipped in range(3):
            if skipped and self._amounts.text(start - skipped) not in _SKIPPED:
                break
            stop = start - skipped
            for size in range(min(_LONGEST, stop - self._floor), 0, -1):
                how, kind = _BEFORE.get(self._amounts.words(stop - size, stop), ("", ""))
                if how:
                    outer = self._front(stop - size) if how == "about" else None
                    return outer if outer is not None and outer.how else _Front(how, kind, stop - size)
        return _Front("", "", start)

    def _name(self, stop: int) -> tuple[Field | None, str, int]:
        """The field named before a token, or the kind of number that a verb tells; and its first token, which a
        negation between leaves out."""
        first, place = stop, stop
        negation = False
        for _ in range(4):
            for size in range(min(self._fields.longest, place - self._floor), 0, -1):
                words = self._amounts.words(place - size, place)
                field = self._fields.called(words)
                kind = _VERBS.get(words[0], "") if size == 1 else ""
                if words == ("budget",):
                    kind = _MEANS
                if words == ("rated",):
                    field = self._fields.called(("rating",))
                if field is not None or kind:
                    return field, kind, first if negation else place - size
            word = self._amounts.text(place - 1)
            if place - 1 < self._floor or (word not in _LINKS and not word.endswith("n't")):
                break
            negation = negation or word in NEGATIONS or word.endswith("n't")
            place -= 1
        return None, "", stop

    def _seated(self, first: int) -> tuple[int, bool]:
        """Whether "for" stands before a token, and the first token with it."""
        for back in (1, 2, 3):
            word = self._amounts.text(first - back)
            if word == "for" and first - back >= self._floor:
                return first - back, True
            if word not in ("my", "our", "the", "all", "us"):
                break
        return first, False

    def _held(self, first: int, unit: Unit) -> str:
        """What the words before say of an amount alone: "I have 30 euros" is at most that, "I paid 30 euros" none."""
        before = set(self._amounts.words(max(self._floor, first - 4), first))
        if before & _PAST:
            return "past"
        return "most" if before & _BUDGET and (unit.currency or unit.family == TIME) else ""

    def _field(
        self, amount: Amount, how: str, called: Field | None, kind: str, seated: bool, text: str
    ) -> tuple[Field | None, str]:
        """The field that an amount is about, or a note why there is none."""
        if amount.unit is not None:
            return self._field_of(amount.unit, how, called, seated, text)
        if called is not None:
            return called, ""
        if kind == _MEANS:
            return self._only(self._fields.about(PRICE), text, "")
        if kind:
            return self._only(self._fields.about(kind), text, "prices" if kind == PRICE else "")
        return self._bare(amount, how, seated, text)

    def _field_of(
        self, unit: Unit, how: str, called: Field | None, seated: bool, text: str
    ) -> tuple[Field | None, str]:
        found = self._fields.of(unit)
        people = unit.family == SEATS and unit.said != "players"
        if people and not (seated or how not in ("", "about")):
            return None, ""
        if called in found:
            return called, ""
        prices = [field for field in self._fields.about(PRICE) if field.unit.currency]
        if unit.currency and prices and not found:
            return None, f'prices are in {prices[0].unit.said}: "{text}" was not read'
        limits = seated or how not in ("", "about") or (how == "about" and unit.currency)
        told = unit.what if unit.telling and limits else ""
        return self._only(found, text, told)

    def _only(self, found: Sequence[Field], text: str, unknown: str) -> tuple[Field | None, str]:
        if len(found) == 1:
            return found[0], ""
        if found:
            return None, f'"{text}" was not read: it may be {" or ".join(field.title for field in found)}'
        return None, f'no {unknown} are known: "{text}" was not read' if unknown else ""

    def _bare(self, amount: Amount, how: str, seated: bool, text: str) -> tuple[Field | None, str]:
        """Of an amount without a unit."""
        front = self._front(amount.first).first
        following, before = self._amounts.text(amount.stop), self._amounts.text(front - 1)
        if (following.isalpha() and following not in _AFTER_BARE) or following == "%":
            return None, ""
        if before in _NOT_BARE or any(value in range(1800, 2100) for value in amount.values):
            return None, ""
        if not (how or seated) or self._amounts.text(amount.first) == "one":
            return None, ""
        seats, prices = self._fields.seats, self._fields.about(PRICE)
        fits = seats is not None and all(v.is_integer() and 0 < v <= max(_SOME, seats.highest) for v in amount.values)
        if seats is not None and seated and fits:
            few = how == "most" and max(amount.values) <= seats.highest
            if few or not (prices and how in ("under", "over", "about", "most")):
                return seats, ""
        if len(prices) == 1:
            return prices[0], ""
        if not how or not self._fields.all:
            return None, ""
        named = ", ".join(field.title for field in self._fields.all)
        return None, f'"{text}" was not read: of what? ({named})'


def _ranges(
    field: Field, values: Sequence[float], how: str, ranged: bool
) -> tuple[tuple[tuple[float, float], ...], str]:
    """The ranges that satisfy an amount, and its words."""
    low, high = min(values), max(values)
    held = field.seats and field.ranges
    if how == "under":
        return ((-np.inf, float(np.nextafter(high, -np.inf))),), f"under {field.amount(high)}"
    if how == "over":
        return ((float(np.nextafter(low, np.inf)), np.inf),), f"over {field.amount(low)}"
    if ranged:
        return ((low, high),), f"{figure(low)} to {field.amount(high)}"
    if how in ("most", "up to"):
        least = high if held and how == "up to" else -np.inf
        return ((least, high),), f"{'up to' if how == 'up to' else 'at most'} {field.amount(high)}"
    if how == "least":
        return ((low, np.inf),), f"at least {field.amount(low)}"
    measured = field.price or field.unit.family in (TIME, MASS, LENGTH)
    near = how == "about" or (how != "exactly" and (measured or high > _SOME) and field.highest > _SOME)
    near = near and not held
    said = ", ".join(map(figure, values[:-1]))
    said = f"{said} or {field.amount(values[-1])}" if said else field.amount(values[-1])
    if near:
        return tuple((v - v / 10, v + v / 10) for v in values), f"about {said}"
    return tuple((v, v) for v in values), said
