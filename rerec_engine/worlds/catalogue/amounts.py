"""How a year or a number is said: "from the nineties", "under 30 euros", "for four players", "the cheapest"."""

from __future__ import annotations

import re

from rerec_engine.data.articles import article
from rerec_engine.data.description import Number, plural_of
from rerec_engine.data.facts import figure
from rerec_engine.worlds.catalogue.conditions import Span
from rerec_engine.worlds.catalogue.english import DECADES, Atom, in_words
from rerec_engine.worlds.catalogue.shelf import YEAR

_SEATED = ("players", "people", "persons", "guests", "children", "adults")


def best(field: str, number: Number, span: Span) -> tuple[list[str], list[str]]:
    """The one with most or least: what stands instead of the article, and what stands after the noun."""
    most = span.how == "most"
    if field == YEAR:
        return ["the", "newest" if most else "oldest"], []
    if is_price(number):
        return (["the", "most", "expensive"] if most else ["the", "cheapest"]), []
    if _counts(number):
        return ["the"], ["with", "the", "most" if most else "fewest", *number.unit.split()]
    return ["the"], ["with", "the", "highest" if most else "lowest", *number.role.split()]


def spanned(field: str, number: Number, span: Span, plural: bool) -> list[list[str]]:
    """Ways to say a year or a number after the noun."""
    if field == YEAR:
        return _years(span)
    low, high = ([Atom(figure(float(end)))] for end in (span.first, span.last))
    unit = number.unit.split()
    if span.how == "exactly":
        return _exactly(number, span.first)
    if is_price(number) and unit:
        costs = ["that", "cost" if plural else "costs"]
        amount = {"between": ["between", *low, "and", *high, *unit]}.get(span.how, [*low, *unit])
        return {
            "under": [["under", *amount], ["below", *amount], ["for", "less", "than", *amount],
                      [*costs, "less", "than", *amount], ["cheaper", "than", *amount]],
            "over": [["over", *amount], ["for", "more", "than", *amount], [*costs, "more", "than", *amount]],
            "between": [["priced", *amount], [*costs, *amount]],
        }[span.how]  # fmt: skip
    if _counts(number):
        return {
            "under": [["with", "fewer", "than", *low, *unit], ["with", "under", *low, *unit]],
            "over": [["with", "more", "than", *low, *unit], ["with", "over", *low, *unit]],
            "between": [["with", *low, "to", *high, *unit], ["with", "between", *low, "and", *high, *unit]],
        }[span.how]
    owns = ["with", article(number.role), *number.role.split()]
    return {
        "under": [[*owns, "under", *low, *unit], [*owns, "of", "less", "than", *low, *unit]],
        "over": [[*owns, "over", *low, *unit], [*owns, "of", "more", "than", *low, *unit]],
        "between": [[*owns, "between", *low, "and", *high, *unit], [*owns, "of", *low, "to", *high, *unit]],
    }[span.how]


def is_price(number: Number) -> bool:
    return bool(re.search(r"(?i)\b(?:price|cost|costs)\b", number.role))


def _counts(number: Number) -> bool:
    """Whether the number counts what its unit names: pages, players."""
    return bool(number.unit) and number.unit.lower() in (number.role.lower(), plural_of(number.role.lower()))


def _exactly(number: Number, value: float) -> list[list[str]]:
    unit = number.unit
    if value == 1 and unit.endswith("s") and plural_of(unit[:-1]) == unit:
        unit = unit[:-1]
    ways = [Atom(figure(float(value))), Atom(in_words(value))]
    if number.unit.lower() in _SEATED:
        return [["for", way, *unit.split()] for way in ways]
    if _counts(number):
        return [["with", way, *unit.split()] for way in ways]
    return [["with", article(number.role), *number.role.split(), "of", way, *unit.split()] for way in ways]


def _years(span: Span) -> list[list[str]]:
    first, last = Atom(f"{span.first:.0f}"), Atom(f"{span.last:.0f}")
    if span.how == "decade":
        names = [Atom(f"{first}s")] if span.first % 100 else []
        names += [Atom(DECADES[int(span.first)])] if span.first in DECADES else []
        said = [
            way
            for name in names
            for way in (["from", "the", name], ["made", "in", "the", name], ["that", "came", "out", "in", "the", name])
        ]
        return said or [["from", first, "to", last], ["made", "between", first, "and", last]]
    return {
        "after": [["made", "after", first], ["newer", "than", first], ["that", "came", "out", "after", first]],
        "before": [["made", "before", first], ["from", "before", first], ["older", "than", first],
                   ["that", "came", "out", "before", first]],
        "between": [["from", first, "to", last], ["made", "between", first, "and", last]],
        "exactly": [["from", first], ["made", "in", first], ["that", "came", "out", "in", first]],
    }[span.how]  # fmt: skip
