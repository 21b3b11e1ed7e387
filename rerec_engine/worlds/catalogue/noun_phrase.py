"""What is asked for, put together: "a war game from the nineties that was designed by X, but none published by Y"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rerec_engine.data.articles import article
from rerec_engine.worlds.catalogue.english import Atom, in_words, listed

_ADJECTIVES = frozenset(["made", "newer", "older", "cheaper", "priced"])
_PARTICIPLE = ("ed", "en", "ing")
_PASSIVE = (["that", "was"], ["that", "were"])


@dataclass
class NounPhrase:
    """lead: instead of the article. before: the noun. values, spans, tail: after it. outs: what is not wanted. alone:
    sentences."""

    lead: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    values: list[list[str]] = field(default_factory=list)
    spans: list[list[str]] = field(default_factory=list)
    tail: list[str] = field(default_factory=list)
    outs: list[list[str]] = field(default_factory=list)
    alone: list[list[str]] = field(default_factory=list)

    @property
    def bare(self) -> bool:
        """Nothing stands after the noun."""
        return not (self.values or self.spans or self.tail or self.outs)

    @property
    def long(self) -> bool:
        """Too long for words behind it."""
        return bool(self.outs) or len(self.values) + len(self.spans) + bool(self.tail) > 1

    def words(self, noun: str, items: str, count: int, something: bool = False) -> list[str]:
        """noun, items: what one and several are called. count: how many are asked for. something: instead of the noun,
        where it can be."""
        if count > 1:
            start = [*(["the"] if self.lead else []), Atom(in_words(count)), *self.before, *items.split()]
        elif something and not (self.bare or self.before or self.lead):
            start = ["something"]
        else:
            words = [*self.before, *noun.split()]
            start = [*(self.lead or [article(words[0])]), *words]
        for part in _arranged(self.values, self.spans, self.tail):
            start += part
        for out in self.outs:
            start += [",", *out]
        return start


def _arranged(values: Sequence[list[str]], spans: Sequence[list[str]], tail: Sequence[str]) -> list[list[str]]:
    """What stands after the noun, so that nothing seems to belong to a name before it: what the item is of, years and
    numbers, other values, relative clauses; "and" where two of a kind meet."""
    of = [part for part in values if part[0] == "of"]
    plain = [part for part in values if part[0] != "of" and not _is_relative(part)]
    passive = [part for part in values if part[:2] in _PASSIVE]
    merged = [part[2:] if place else part for place, part in enumerate(passive)]
    own = [part for part in values if _is_relative(part) and part not in passive]
    early = [part for part in spans if not _is_relative(part)]
    late = [part for part in spans if _is_relative(part)]
    found: list[list[str]] = []
    for part in filter(None, [listed(of), *early, listed(plain), listed(merged), *own, *late, [*tail]]):
        found.append(["and", *part] if found and _alike(found[-1], part) else part)
    return found


def _is_relative(part: Sequence[str]) -> bool:
    return part[0] in ("that", "whose")


def _alike(part: Sequence[str], following: Sequence[str]) -> bool:
    """Whether "and" stands between the two."""
    first = part[1] if part[0] == "and" else part[0]
    if _is_relative([first]):
        return _is_relative(following)
    return first in _ADJECTIVES and (following[0] in _ADJECTIVES or following[0].endswith(_PARTICIPLE))
