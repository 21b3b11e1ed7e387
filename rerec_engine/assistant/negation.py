"""What a request says, word by word in targets: which of them a negation excludes, and which are alternatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from rerec_engine.assistant.conditions import Condition
from rerec_engine.assistant.lexicon import (
    ARTICLES,
    ITEM_WORDS,
    LIST_FILLER,
    NEGATION_FILLER,
    NEGATION_PAIRS,
    NEGATIONS,
    PERSON_ROLES,
    role_words,
)
from rerec_engine.assistant.mentions import Mention, Reading

_LIST = 12  # targets of a list that are looked ahead for its "or"
_FAR = 6  # words between a negation and what it excludes


class Target(NamedTuple):
    """words[first:stop] say a condition (or name a title)."""

    first: int
    stop: int
    condition: Condition | None
    mention: Mention | None = None


def exclude(condition: Condition) -> Condition:
    """The condition turned round."""
    ids = condition.attributes or condition.near
    text = f"not {condition.text}"
    if condition.numbers:
        return replace(condition, text=text, excluded=True, parts=())
    return Condition(text, condition.relation, ids, condition.years, excluded=True)


def without_overlap(targets: Sequence[Target]) -> list[Target]:
    """The targets, of those that overlap the first."""
    kept: list[Target] = []
    taken: set[int] = set()
    for target in targets:
        if not taken.intersection(range(target.first, target.stop)):
            kept.append(target)
            taken.update(range(target.first, target.stop))
    return kept


def negated(reading: Reading, targets: Sequence[Target]) -> list[bool]:
    """Whether each target is excluded: after a negation with nothing but fillers between, or in a list so begun."""
    words = [w.text for w in reading.words]
    filler = (
        {word for role in PERSON_ROLES for word in role_words([role])} | NEGATION_FILLER | reading.filler | {"than"}
    )
    out: list[bool] = []
    for number, target in enumerate(targets):
        no = False
        for i in range(target.first - 1, max(-1, target.first - 1 - _FAR), -1):
            if any(c in ".;!?,:" for c in reading.gap(i, i + 1)):
                break
            if words[i] in NEGATIONS or tuple(words[max(0, i - 1) : i + 1]) in NEGATION_PAIRS:
                no = words[i - 1 : i] not in (["why"], ["if"])
                break
            if words[i] not in filler:
                break
        if not no and number and out[-1]:
            no = _continues(reading, targets, number)
        out.append(no)
    return out


def alternatives(reading: Reading, targets: Sequence[Target]) -> list[Target]:
    """The targets, those of "X or Y" and of "X, Y or Z" that are wanted as one: any of them will do.

    Years are alternatives to years, numbers to those of the same field, attributes to attributes, titles to nothing. In
    a list with commas all are of one relation: "a drama, X or Y" is a drama.
    """
    out: list[Target] = []
    wanted = [not no and t.condition is not None for t, no in zip(targets, negated(reading, targets), strict=True)]
    for number, target in enumerate(targets):
        before = out[-1].condition if out else None
        if before is None or target.condition is None or not (wanted[number - 1] and wanted[number]):
            out.append(target)
            continue
        alike = before.relation == target.condition.relation and before.holding == target.condition.holding
        if _link(reading, targets[number - 1], target) == "or":
            alike = alike or not (before.measured or target.condition.measured)
        if alike and _list_link(reading, targets, number) == "or":
            out[-1] = out[-1]._replace(stop=target.stop, condition=_either(before, target.condition))
        else:
            out.append(target)
    return out


def _either(one: Condition, other: Condition) -> Condition:
    """The condition of satisfying one or the other."""
    parts = one.parts or (one,)
    if other in parts:
        return one
    prefix = other.text.partition(": ")[0] + ": "
    text = other.text.removeprefix(prefix) if one.text.startswith(prefix) else other.text
    return replace(
        one,
        text=f"{one.text} or {text}",
        attributes=tuple(dict.fromkeys(one.attributes + other.attributes)),
        years=tuple(dict.fromkeys(one.years + other.years)),
        near=tuple(dict.fromkeys(one.near + other.near)),
        numbers=tuple(dict.fromkeys(one.numbers + other.numbers)),
        parts=(*parts, other),
    )


def _continues(reading: Reading, targets: Sequence[Target], number: int) -> bool:
    """Whether the list "no X, Y or Z" takes in target `number`."""
    return _list_link(reading, targets, number) in ("or", "nor", "and")


def _list_link(reading: Reading, targets: Sequence[Target], number: int) -> str:
    """What links target `number` to the one before; in a list with commas its last link, if that is "or" or "nor"."""
    following = targets[number - 1 : number + _LIST]
    links = [_link(reading, a, b) for a, b in pairwise(following)]
    if links[0] != ",":
        return links[0]
    last = next((link for link in links if link != ","), "")
    return last if last in ("or", "nor") else ""


def _link(reading: Reading, left: Target, right: Target) -> str:
    """ "or", "nor", "and" or "," where nothing else of weight stands between two targets, else ""."""
    between = [w.text for w in reading.words[left.stop : right.first]]
    while between and between[0] in ITEM_WORDS:
        del between[0]
    if between[:2] == ["and", "or"]:
        del between[0]
    if not [w for w in between if w not in ARTICLES]:
        commas = (reading.gap(i, i + 1) for i in range(left.stop - 1, right.first))
        return "," if any("," in gap for gap in commas) else ""
    if between[0] in ("or", "nor") and not [w for w in between[1:] if w not in LIST_FILLER]:
        return between[0]
    return "and" if between == ["and"] else ""
