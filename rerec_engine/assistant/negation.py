"""What a request says, word by word in targets, and which of them a negation excludes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from rerec_engine.assistant.conditions import Condition
from rerec_engine.assistant.lexicon import NEGATION_FILLER, NEGATION_PAIRS, NEGATIONS, PERSON_ROLES, role_words
from rerec_engine.assistant.mentions import Mention, Reading
from rerec_engine.assistant.years import describe

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
    years = condition.years
    text = f"not {describe(years) if years else condition.text}"
    ids = condition.attributes or condition.near
    return Condition(text, condition.relation, ids, years, excluded=True)


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
    roles = {word for role in PERSON_ROLES for word in role_words([role])}
    out: list[bool] = []
    for number, target in enumerate(targets):
        no = False
        for i in range(target.first - 1, max(-1, target.first - 1 - _FAR), -1):
            if any(c in ".;!?,:" for c in reading.gap(i, i + 1)):
                break
            if words[i] in NEGATIONS or tuple(words[max(0, i - 1) : i + 1]) in NEGATION_PAIRS:
                no = words[i - 1 : i] not in (["why"], ["if"])
                break
            if words[i] not in NEGATION_FILLER and words[i] not in roles and words[i] != "than":
                break
        if not no and number and out[-1]:
            no = _continues(reading, targets, number)
        out.append(no)
    return out


def _continues(reading: Reading, targets: Sequence[Target], number: int) -> bool:
    """Whether the list "no X, Y or Z" takes in target `number`."""
    following = targets[number - 1 : number + _LIST]
    links = [_link(reading, a, b) for a, b in pairwise(following)]
    if links[0] != ",":
        return bool(links[0])
    return next((link for link in links if link != ","), "") in ("or", "nor")


def _link(reading: Reading, left: Target, right: Target) -> str:
    """ "or", "nor", "and" or "," where nothing else stands between two targets, else ""."""
    between = [w.text for w in reading.words[left.stop : right.first]]
    if not between:
        return "," if "," in reading.gap(left.stop - 1, right.first) else ""
    rest = [w for w in between[1:] if w not in ("by", "with", "a", "an", "the", "any", "films", "books")]
    if between[0] in ("or", "nor") and not rest:
        return between[0]
    return "and" if between == ["and"] else ""
