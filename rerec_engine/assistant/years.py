"""Years and decades in a request: "before 1990", "from the 80s", "something older"."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

FIRST, LAST = 1, 9999
_DECADES = {
    w: 1920 + 10 * i
    for i, w in enumerate("twenties thirties forties fifties sixties seventies eighties nineties".split())
}
_YEAR = r"(?<![\d(])(?:1[89]|20)\d\d(?![\d)])"
_POINT = rf"(?:the\s+)?(?:(?:early|late|mid)[\s-]+)?((?:19|20)?\d0['’]?s|{'|'.join(_DECADES)}|{_YEAR})(?!\w)"
_RELATIVE = r"\b(older|earlier|newer|later|more\s+recent|more\s+modern)\b"
_RANGE = re.compile(
    rf"(?:\b(?:between|from)\s+)?\b{_POINT}\s*(?:-|–|and|to|until|till|through)\s*{_POINT}", re.IGNORECASE
)
_BOUND = re.compile(
    r"\b(before|older\s+than|earlier\s+than|prior\s+to|until|up\s+to|no\s+later\s+than|after|newer\s+than|later\s+than"
    rf"|more\s+recent\s+than|more\s+modern\s+than|since|no\s+earlier\s+than)\s+(?:year\s+)?{_POINT}"
    rf"|(?:\bfrom\s+)?\b{_POINT}\s+(?:or\s+)?(onwards?|on\b|later|newer|earlier|older|before)",
    re.IGNORECASE,
)
_PLAIN = re.compile(rf"(?:\b(?:in|from|of|during)\s+)?(?<!\w){_POINT}", re.IGNORECASE)
_COMPARED = re.compile(_RELATIVE + r"(?:\s+than\s+)?", re.IGNORECASE)
_OWNED = re.compile(r"\b(?:my|his|her|their|your|our)\s+(?:[\w-]+\s+)?$", re.IGNORECASE)


class YearSpan(NamedTuple):
    """start, end: characters of the request. first and last year, both included; None: older or newer than nothing."""

    start: int
    end: int
    years: tuple[int, int] | None
    text: str


def find_years(text: str, reference: Callable[[int], tuple[int, int] | None]) -> list[YearSpan]:
    """All year conditions of a text, in its order.

    reference(position): oldest and newest year that "older" or "newer" ending at this character compares with, or None.
    Years in brackets belong to titles, and "my 30s" is an age.
    """
    found: list[YearSpan] = []
    for span in _matches(text, reference):
        if all(span.end <= other.start or span.start >= other.end for other in found):
            found.append(span)
    return sorted(found)


def describe(years: tuple[int, int]) -> str:
    """
    >>> describe((1, 1989)), describe((1980, 1989)), describe((1994, 1994)), describe((2000, 9999))
    ('before 1990', 'from 1980 to 1989', 'of 1994', '2000 or later')
    """
    first, last = years
    if first <= FIRST:
        return f"before {last + 1}"
    if last >= LAST:
        return f"{first} or later"
    return f"of {first}" if first == last else f"from {first} to {last}"


def _matches(text: str, reference: Callable[[int], tuple[int, int] | None]) -> Iterator[YearSpan]:
    for m in _RANGE.finditer(text):
        if not _OWNED.search(text[: m.start(1)]):
            one, other = _point(m[1]), _point(m[2])
            yield _span(m, (min(one[0], other[0]), max(one[1], other[1])))
    for m in _BOUND.finditer(text):
        word = " ".join((m[1] or m[4]).lower().split())
        if _OWNED.search(text[: m.start(2 if m[1] else 3)]):
            continue
        first, last = _point(m[2] or m[3])
        if m[1]:
            if word in ("before", "older than", "earlier than", "prior to"):
                years = FIRST, first - 1
            elif word in ("until", "up to", "no later than"):
                years = FIRST, last
            elif word in ("since", "no earlier than"):
                years = first, LAST
            else:
                years = last + 1, LAST
            yield _span(m, years)
        else:
            yield _span(m, (FIRST, last) if word in ("earlier", "older", "before") else (first, LAST))
    for m in _PLAIN.finditer(text):
        if not _OWNED.search(text[: m.start(1)]):
            yield _span(m, _point(m[1]))
    for m in _COMPARED.finditer(text):
        between = reference(m.end())
        older = m[1].lower() in ("older", "earlier")
        if between is None:
            yield YearSpan(m.start(), m.end(), None, m[1].lower())
        else:
            yield _span(m, (FIRST, between[0] - 1) if older else (between[1] + 1, LAST))


def _span(match: re.Match[str], years: tuple[int, int]) -> YearSpan:
    return YearSpan(match.start(), match.end(), years, describe(years))


def _point(text: str) -> tuple[int, int]:
    """First and last year of a year or decade."""
    text = text.lower()
    if text in _DECADES:
        return _DECADES[text], _DECADES[text] + 9
    digits = re.sub(r"\D", "", text)
    if not text.endswith("s"):
        return int(digits), int(digits)
    start = int(digits) if len(digits) == 4 else int(digits) + (2000 if int(digits) < 20 else 1900)
    return start, start + 9
