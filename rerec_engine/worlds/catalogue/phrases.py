"""How one condition is said: before or after the noun, in a relative clause, in a sentence of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rerec_engine.data.articles import article
from rerec_engine.data.description import DEEDS, DatasetDescription, Number, plural_of
from rerec_engine.worlds.catalogue.conditions import Span
from rerec_engine.worlds.catalogue.english import DECADES, Atom, in_words, listed, pieces_of
from rerec_engine.worlds.catalogue.shelf import YEAR

_NAMES = re.compile(
    r"(?i)\b(?:europe|america|brit|engl|german|french|japan|chin|ital|spa?ni|indi|afric|asia|christ|viking|rom(?:an|e)\b"
    r"|gree[kc]|egypt|arthur|victor|russia|celtic|norse|olymp)"
)
_SEATED = ("players", "people", "persons", "guests", "children", "adults")


class Phrase(NamedTuple):
    """Ways to say one condition; empty where there is none."""

    before: list[str]  # the noun
    after: list[str]
    relative: list[str]  # also after the noun
    alone: list[str]  # a sentence


def said_value(value: str, description: DatasetDescription) -> Atom:
    """A value before a noun, without the capitals of a label: "War" is said "war". In a closed form every phrase is one
    token, in requests as in facts, and stays as it is."""
    plain = not description.prompt_form.closed and re.fullmatch(r"[A-Z]?[a-z]+(?:[-' ](?:[A-Z]?[a-z]+))*", value)
    return Atom(value.lower() if plain and not _NAMES.search(value) else value)


def stands_before(value: str) -> bool:
    """Whether a value of a relation without a clause can stand before the noun: "war", but not "Pens & Refills"."""
    return len(value.split()) <= 2 and not re.search(r"[&,/;:()]|\band\b|[^s']s$", value)


def wanted(description: DatasetDescription, name: str, values: Sequence[str], plural: bool, choice: int = 0) -> Phrase:
    """Values of one relation, all of them wanted. choice: of the ways there are."""
    wording = description.wording(name)
    clause, role = wording.clause.split(), wording.role.split()
    are, should = ("are", "They should be") if plural else ("is", "It should be")
    if not clause:
        if len(values) == 1 and stands_before(values[0]):
            value = said_value(values[0], description)
            noun = description.items if plural else description.noun
            told = [*([] if plural else [article(value)]), value, *noun.split()]
            return Phrase([value], [], ["that", are, "of", "the", *role, value], [*should.split(), *told])
        named = listed([[said_value(value, description)] for value in values])
        of = ["of", "the", *(plural_of(wording.role).split() if len(values) > 1 else role), *named]
        return Phrase([], of, ["that", are, *of], [*should.split(), *of])
    named = listed([[Atom(value)] for value in values])
    if clause[:2] == ["with", "the"] and len(values) > 1:
        clause = ["with", "the", *plural_of(" ".join(clause[2:])).split()]
    one = len(values) == 1
    if wording.role in DEEDS and clause[0] == "with" and choice % 2:
        clause = [DEEDS[wording.role], "by"]
    after = [*clause, *named]
    relative = after
    if clause[-1] == "by":
        relative = ["that", "were" if plural else "was", *after]
    elif clause[0] == "with" and one:
        relative = ["whose", *role, "is", *named]
    elif clause[-1] in ("in", "at", "from", "on", "of"):
        relative = ["that", are, *after]
    alone = [*should.split(), *after] if clause[-1] in ("by", "in", "from") else ["The", *role, "should", "be", *named]
    return Phrase([], after, relative, alone if one or clause[-1] in ("by", "in", "from") else [])


def unwanted(
    description: DatasetDescription, name: str, values: Sequence[str], choice: int
) -> tuple[list[str], list[str]]:
    """Values of one relation, none of them wanted: after the noun (behind a comma), and as a sentence."""
    wording = description.wording(name)
    clause, role = wording.clause.split(), wording.role.split()
    named = listed([[Atom(value)] for value in values], "or")
    if clause:
        if wording.role in DEEDS and clause[0] == "with" and choice // 2 % 2:
            clause = [DEEDS[wording.role], "by"]
        inline = ("but" if choice % 2 else "just", "not")
        alone = (["Nothing", *clause, *named, ",", "please"], ["But", "nothing", *clause, *named])[choice % 2]
        return [*inline, *clause, *named], alone
    if all(map(stands_before, values)):
        named = listed([[said_value(value, description)] for value in values], "or")
        things = [*named, *description.items.split()]
        return ["but", "no", *things], (["No", *things, ",", "please"], ["But", "no", *things])[choice % 2]
    return ["but", "not", "of", "the", *role, *named], ["Nothing", "of", "the", *role, *named, ",", "please"]


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
    low, high = ([Atom(f"{end:.12g}")] for end in (span.first, span.last))
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
            "between": [amount, [*costs, *amount], ["priced", *amount]],
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
    ways = [Atom(f"{value:.12g}"), Atom(in_words(value))]
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
            way for name in names for way in (["from", "the", name], ["of", "the", name], ["made", "in", "the", name])
        ]
        return said or [["from", first, "to", last], ["made", "between", first, "and", last]]
    return {
        "after": [["made", "after", first], ["newer", "than", first], ["that", "came", "out", "after", first]],
        "before": [["made", "before", first], ["from", "before", first], ["older", "than", first],
                   ["that", "came", "out", "before", first]],
        "between": [["from", first, "to", last], ["made", "between", first, "and", last]],
        "exactly": [["from", first], ["of", first], ["that", "came", "out", "in", first]],
    }[span.how]  # fmt: skip


def hop(description: DatasetDescription, name: str, title: str, several: bool, plural: bool) -> list[list[str]]:
    """Ways to ask for the value, or one of the values, that an item has."""
    wording = description.wording(name)
    role, item = wording.role.split(), Atom(title)
    shares = ["that", "share" if plural else "shares"]
    if several:
        roles = plural_of(wording.role).split()
        return [
            ["with", "one", "of", "the", *roles, "of", item],
            [*shares, article(wording.role), *role, "with", item],
        ]
    ways = [["with", "the", "same", *role, "as", item], ["with", "the", *role, "of", item]]
    if wording.clause.endswith(" by"):
        ways += [["by", "the", *role, "of", item], [*pieces_of(wording.clause), "the", *role, "of", item]]
    return ways


def hop_back(description: DatasetDescription, name: str, several: bool, plural: bool) -> list[list[str]]:
    """The same of an item that was named just before."""
    wording = description.wording(name)
    role = wording.role.split()
    if several:
        shares = ["that", "share" if plural else "shares"]
        return [
            ["with", "one", "of", "its", *plural_of(wording.role).split()],
            [*shares, article(wording.role), *role, "with", "it"],
        ]
    return [["with", "the", "same", *role]]


def claim(description: DatasetDescription, name: str, value: str, several: bool) -> list[str]:
    """What is said of an item that was named just before: "its director is X"."""
    role = description.wording(name).role
    if several:
        return ["one", "of", "its", *plural_of(role).split(), "is", Atom(value)]
    return ["its", *role.split(), "is", Atom(value)]


def one_of(rng: np.random.Generator, ways: Sequence[list[str]]) -> list[str]:
    return ways[int(rng.integers(len(ways)))]
