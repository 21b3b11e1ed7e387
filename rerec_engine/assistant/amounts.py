"""Amounts in a text: figures and number words, ranges and lists of them, with the unit that stands beside them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from rerec_engine.assistant.units import SEATS, TIME, Fields, Unit

_TOKEN = re.compile(r"\d{1,3}(?:[.,]\d{3})+(?!\d)(?:[.,]\d+)?|\d+(?:[.,]\d+)?|[^\W\d_]+(?:['’][^\W\d_]+)*|\S")
_DIGITS = 15
_ONES = "one two three four five six seven eight nine ten eleven twelve".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_WORDS = {w: i for i, w in enumerate(_ONES, 1)} | {w: 10 * i for i, w in enumerate(_TENS, 2)}
_MANY = {"dozen": 12, "hundred": 100, "thousand": 1000}
_DASHES = ("-", "–", "—")
_LISTED = 8  # numbers of a list
_LESS, _MORE = "less fewer under below cheaper lower shorter lighter", "more over above up higher longer heavier"
BEHIND: dict[tuple[str, ...], str] = {
    **{("or", word): "most" for word in _LESS.split()}, **{("and", word): "most" for word in ("under", "below")},
    **{("or", word): "least" for word in _MORE.split()}, **{("and", word): "least" for word in ("up", "above", "over")},
    ("at", "most"): "most", ("or", "at", "most"): "most", ("maximum",): "most", ("max",): "most", ("tops",): "most",
    ("at", "least"): "least", ("minimum",): "least", ("upwards",): "least", ("plus",): "least", ("+",): "least",
}  # fmt: skip
"""What may stand behind an amount -> most or least."""


class Token(NamedTuple):
    """A word in small letters, a figure or a sign. value: of a figure that stands by itself."""

    text: str
    start: int
    end: int
    value: float | None


class Amount(NamedTuple):
    """tokens[first:stop]. values: several of "2 or 3", two of a range. how: what is said behind it, see `BEHIND`."""

    first: int
    stop: int
    values: tuple[float, ...]
    unit: Unit | None
    ranged: bool = False
    how: str = ""


def tokens_of(text: str) -> list[Token]:
    """
    >>> [(token.text, token.value) for token in tokens_of("€1,024.95 (1995)")]
    [('€', None), ('1,024.95', 1024.95), ('(', None), ('1995', None), (')', None)]
    """
    return [Token(m[0].lower(), m.start(), m.end(), _figure(text, m)) for m in _TOKEN.finditer(text)]


def _figure(text: str, match: re.Match[str]) -> float | None:
    """The number, unless it is part of a name, a date, a time, a decade or a title's year."""
    plain = match[0]
    if not plain[0].isdecimal() or len(plain) > _DIGITS:
        return None
    before, after = text[max(0, match.start() - 2) : match.start()], text[match.end() : match.end() + 2]
    if before and (before[-1].isalnum() or before[-1] in "_#/:." or (before[-1] == "-" and before[:1].isalpha())):
        return None
    if (before[-1:] == "(" and after[:1] == ")") or (after[:1] in ("/", ":") and after[1:].isdecimal()):
        return None
    if after[:1] in ("'", "’", "_"):
        return None
    if re.fullmatch(r"[1-9]\d{0,2}(?:\.\d{3})+(?:,\d+)?", plain):
        return float(plain.replace(".", "").replace(",", "."))
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", plain):
        return float(plain.replace(",", ""))
    return float(plain.replace(",", ".")) if len(re.findall(r"[.,]", plain)) < 2 else None


class Amounts:
    """Finds the amounts of one text."""

    def __init__(self, tokens: Sequence[Token], fields: Fields) -> None:
        self._tokens, self._fields = tokens, fields

    def text(self, place: int) -> str:
        return self._tokens[place].text if 0 <= place < len(self._tokens) else ""

    def words(self, first: int, stop: int) -> tuple[str, ...]:
        return tuple(token.text for token in self._tokens[max(0, first) : stop])

    def at(self, place: int, floor: int = 0) -> Amount | None:
        """The amount whose number begins at a token. floor: the first token that it may take in."""
        one = self._one(place, floor)
        if one is None:
            return None
        sign = self.text(one.stop)
        joined = sign in _DASHES or sign in ("to", "till", "until")
        if joined or (sign == "and" and {"between", "from"} & set(self.words(max(floor, one.first - 2), one.first))):
            other = self._one(one.stop + 1, one.stop + 1) or self._one(one.stop + 2, one.stop + 1)
            if other is not None and not one.how and (both := _joined(one, other)) is not None:
                return both._replace(ranged=True)
        return self._listed(one)

    def _listed(self, one: Amount) -> Amount:
        """ "2 or 3 players", "2, 3 or 4 players"."""
        whole = one
        for _ in range(_LISTED):
            if whole.how or self.text(whole.stop) not in (",", "or"):
                break
            sign, other = self.text(whole.stop), self._one(whole.stop + 1, whole.stop + 1)
            both = None if other is None else _joined(whole, other)
            if both is None:
                break
            whole = both
            if sign == "or":
                return whole
        return one

    def _one(self, place: int, floor: int) -> Amount | None:
        """One number with its unit, and what is said behind it."""
        found = self._number(place)
        if found is None:
            return None
        value, stop = found
        first = place
        unit = self._unit_before(place, floor)
        if unit is not None:
            first -= 1
        how, stop = self._behind(stop)
        if unit is None:
            unit, stop = self._unit(stop)
            glued = self._tokens[found[1] - 1].end == (self._tokens[found[1]].start if self.text(found[1]) else -1)
            if unit is None and glued and self.text(found[1])[:1].isalpha():
                return None
        if not how:
            how, stop = self._behind(stop)
        return Amount(first, stop, (value,), unit, how=how)

    def _number(self, place: int) -> tuple[float, int] | None:
        """The number whose first token this is, and where it ends."""
        if place >= len(self._tokens):
            return None
        token, following = self._tokens[place], self.text(place + 1)
        if token.text[0].isdecimal():
            return None if token.value is None else (token.value, place + 1)
        if token.text == "half" and following in ("a", "an"):
            dozen = self.text(place + 2) == "dozen"
            return (6.0, place + 3) if dozen else (0.5, place + 2) if self._is_time(place + 2) else None
        if token.text in ("a", "an"):
            if following in _MANY:
                return float(_MANY[following]), place + 2
            return (1.0, place + 1) if self._is_time(place + 1) else None
        if token.text == "single" and "player" in self.words(place + 1, place + 3):
            return 1.0, place + 1
        if token.text not in _WORDS:
            return None
        value, stop = float(_WORDS[token.text]), place + 1
        if value >= 20:
            ones = stop + 1 if self.text(stop) in _DASHES else stop
            if 0 < _WORDS.get(self.text(ones), 0) < 10:
                value, stop = value + _WORDS[self.text(ones)], ones + 1
        if self.text(stop) in _MANY:
            value, stop = value * _MANY[self.text(stop)], stop + 1
        return value, stop

    def _is_time(self, place: int) -> bool:
        unit = self._fields.unit((self.text(place),)) if self.text(place) in ("hour", "minute") else None
        return unit is not None and unit.family == TIME

    def _unit_before(self, place: int, floor: int) -> Unit | None:
        if place - 1 < floor:
            return None
        before = self._tokens[place - 1]
        unit = self._fields.unit((before.text,)) if not before.text[0].isdecimal() else None
        sign = not before.text.isalpha() or before.text in ("eur", "usd", "gbp", "chf")
        return unit if unit is not None and unit.currency and sign else None

    def _unit(self, place: int) -> tuple[Unit | None, int]:
        """The unit that begins at a token, perhaps behind a dash, and where it ends."""
        for first in (place, place + 1) if self.text(place) in _DASHES else (place,):
            for size in range(min(self._fields.longest, len(self._tokens) - first), 0, -1):
                if unit := self._fields.unit(self.words(first, first + size)):
                    return unit, first + size
            if self.text(first) == "of" and self.text(first + 1) in ("us", "you"):
                return Unit("people", SEATS), first + 2
        return None, place

    def _behind(self, place: int) -> tuple[str, int]:
        for size in (3, 2, 1):
            words = self.words(place, place + size)
            how = BEHIND.get(words, "") if len(words) == size else ""
            if how and self._number(place + size) is None:
                return how, place + size
        return "", place


def _joined(one: Amount, other: Amount) -> Amount | None:
    """Two amounts as one; None where their units do not agree."""
    unit = other.unit or one.unit
    values = one.values
    if one.unit is not None and unit is not None:
        if one.unit.family != unit.family:
            return None
        values = tuple(value * one.unit.factor / unit.factor for value in values)
    return Amount(one.first, other.stop, (*values, *other.values), unit, how=other.how)
