"""How values of a relation are said: before or after the noun, in a relative clause, in a sentence of its own, and as
those of another item."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rerec_engine.data.articles import article
from rerec_engine.data.description import DEEDS, DatasetDescription, Wording, plural_of
from rerec_engine.worlds.catalogue.english import Atom, listed

_NAMES = re.compile(
    r"(?i)\b(?:europe|america|brit|engl|german|french|japan|chin|ital|spa?ni|indi|afric|asia|christ|viking|rom(?:an|e)\b"
    r"|gree[kc]|egypt|arthur|victor|russia|celtic|norse|olymp)"
)
_MAKERS = frozenset(
    "artist author band composer creator designer developer director maker manufacturer performer publisher"
    " writer".split()
)
"""Whom the whole item is by."""
_PLACED = ("in", "at", "from", "on", "of")


class Phrase(NamedTuple):
    """Ways to say what is wanted; empty where there is none."""

    before: list[str]  # the noun
    after: list[str]
    relative: list[str]  # also after the noun
    alone: list[str]  # a sentence


class Exclusion(NamedTuple):
    """Ways to say what is not wanted; relative is empty where there is none."""

    inline: list[str]  # behind a comma
    alone: list[str]  # a sentence
    relative: list[str]  # right after the noun


class Hop(NamedTuple):
    """Ways to ask for what another item has."""

    plain: list[list[str]]
    relative: list[list[str]]


def said_value(value: str, description: DatasetDescription) -> Atom:
    """A value before a noun, without the capitals of a label: "War" is said "war". In a closed form every phrase is one
    token, in requests as in facts, and stays as it is."""
    plain = not description.prompt_form.closed and re.fullmatch(r"[A-Z]?[a-z]+(?:[-' ](?:[A-Z]?[a-z]+))*", value)
    return Atom(value.lower() if plain and not _NAMES.search(value) else value)


def stands_before(value: str, noun: str) -> bool:
    """Whether a value of a relation without a clause can stand before the noun: "war", but not "Pens & Refills", and
    not "Card Game" or "Wargame" before "board game"."""
    fits = len(value.split()) <= 2 and not re.search(r"[&,/;:()]|\band\b|[^s']s$", value)
    return fits and not value.casefold().endswith(noun.split()[-1].casefold())


def wanted(description: DatasetDescription, name: str, values: Sequence[str], plural: bool, choice: int = 0) -> Phrase:
    """Values of one relation, all of them wanted. choice: of the ways there are."""
    wording = description.wording(name)
    role, one, be = wording.role.split(), len(values) == 1, "are" if plural else "is"
    should = ["They" if plural else "It", "should"]
    if not wording.clause:
        if one and stands_before(values[0], description.noun):
            value = said_value(values[0], description)
            noun = description.items if plural else description.noun
            told = [*([] if plural else [article(value)]), value, *noun.split()]
            return Phrase([value], [], ["that", be, "of", "the", *role, value], [*should, "be", *told])
        of = ["of", "the", *_roles(wording, len(values)), *listed([[said_value(v, description)] for v in values])]
        return Phrase([], of, ["that", be, *of], [*should, "be", *of])
    named = listed([[Atom(value)] for value in values])
    clause = _clause(wording, deed=choice % 2 == 1)
    if clause[:2] == ["with", "the"] and not one:
        clause = ["with", "the", *plural_of(" ".join(clause[2:])).split()]
    after, verb = [*clause, *named], _verb(clause)
    relative, alone = after, [*should, "be", *after]
    if verb:
        relative = ["that", verb if plural else f"{verb}s", *named]
        alone = [*should, verb, *named]
    elif clause[0] == "with":
        relative = ["whose", *role, "is", *named] if one and clause[1:2] == ["the"] else after
        alone = ["The", *role, "should", "be", *named] if one else []
        if clause[-1] == "by":
            relative = ["that", "have" if plural else "has", *clause[1:], *named]
            alone = [*should, "have", *clause[1:], *named]
    elif clause == ["by"]:
        relative = ["whose", *role, "is", *named] if one else after
    elif clause[-1] == "by":
        relative = ["that", "were" if plural else "was", *after]
    elif clause[-1] in _PLACED:
        relative = ["that", be, *after]
    return Phrase([], after, relative, alone)


def unwanted(
    description: DatasetDescription,
    name: str,
    values: Sequence[str],
    plural: bool,
    choice: int = 0,
    again: bool = False,
) -> Exclusion:
    """Values of one relation, none of them wanted. again: something else was excluded before."""
    wording = description.wording(name)
    but = "And" if again else "But"
    lead = ["but", "nothing"] if choice % 2 else ["but", "none"] if plural else ["but", "not", "one"]
    if not wording.clause and all(stands_before(value, description.noun) for value in values):
        things = [*listed([[said_value(v, description)] for v in values], "or"), *description.items.split()]
        alone = [but, "no", *things] if choice % 2 or again else ["No", *things, ",", "please"]
        return Exclusion(["but", "no", *things], alone, [])
    named = listed([[said_value(v, description) if not wording.clause else Atom(v)] for v in values], "or")
    clause = _clause(wording, deed=choice // 2 % 2 == 1) or ["of", "the", *wording.role.split()]
    alone = ["nothing", *clause, *named]
    alone = [but, *alone] if choice % 2 or again else ["Nothing", *alone[1:], ",", "please"]
    relative: list[str] = []
    if verb := _verb(clause):
        relative = ["that", "do" if plural else "does", "not", verb, *named]
    elif clause[0] == "with":
        relative = ["without", *clause[1:], *named]
    elif clause[-1] == "by" and len(clause) > 1:
        relative = ["that", "were" if plural else "was", "not", *clause, *named]
    elif clause[-1] in _PLACED or clause[0] == "of" or clause == ["by"]:
        relative = ["that", "are" if plural else "is", "not", *clause, *named]
    return Exclusion([*lead, *clause, *named], alone, relative)


def hop(description: DatasetDescription, name: str, title: str, several: bool, plural: bool) -> Hop:
    """Ways to ask for the value, or one of the values, that an item has. title: "" for an item just named."""
    wording = description.wording(name)
    clause, role = wording.clause.split(), wording.role.split()
    item: list[str] = [Atom(title)] if title else []
    value = role if clause != role else ["place"] if clause[-1] in ("in", "at", "from") else []
    same = ["the", "same", *value, *(["as", *item] if item else [])]
    if clause == role:  # "set in", "based on": there is no word for the value
        ways: list[list[str]] = [[*clause, *same]]
        return Hop(ways, ways)
    if several:
        own = ["the", *_roles(wording, 2), "of", *item] if item else ["its", *_roles(wording, 2)]
        lead = ["in"] if not clause else clause if clause[:2] != ["with", "the"] else ["with"]
        shares = ["that", "share" if plural else "shares", article(wording.role), *role]
        return Hop([[*lead, "one", "of", *own]], [[*shares, "with", *(item or ["it"])]])
    relative: list[list[str]] = [["that", "have" if plural else "has", *same]]
    if not clause or (clause == ["by"] and wording.role == "brand"):
        return Hop([["of", *same]], relative)
    plain: list[list[str]] = [["by" if wording.role in _MAKERS else "with", *same]]
    if item:
        plain.append([*(clause if clause[-1] == "by" else ["with"]), "the", *role, "of", *item])
    return Hop(plain, relative)


def claim(description: DatasetDescription, name: str, value: str, several: bool) -> list[str]:
    """What is said of an item that was named just before: "its director is X"."""
    wording = description.wording(name)
    told = Atom(value) if wording.clause else said_value(value, description)
    if wording.clause == wording.role:
        return ["it", "is", *wording.clause.split(), told]
    return [*(["one", "of", "its", *_roles(wording, 2)] if several else ["its", *wording.role.split()]), "is", told]


def one_of(rng: np.random.Generator, ways: Sequence[list[str]]) -> list[str]:
    return ways[int(rng.integers(len(ways)))]


def _roles(wording: Wording, count: int) -> list[str]:
    return (plural_of(wording.role) if count > 1 else wording.role).split()


def _clause(wording: Wording, deed: bool) -> list[str]:
    """deed: what was done, where the clause names who did it."""
    clause = wording.clause.split()
    return [DEEDS[wording.role], "by"] if deed and wording.role in DEEDS and clause[0] == "with" else clause


def _verb(clause: Sequence[str]) -> str:
    """Of a clause that is a participle alone: "star" of "starring"; "" for others."""
    return {"starring": "star", "featuring": "feature"}.get(clause[0], "") if len(clause) == 1 else ""
