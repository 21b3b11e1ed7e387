"""Orders that a request asks for ("newest", "cheapest", "with the most players"), and "cheaper", "longer" alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from rerec_engine.assistant.lexicon import ITEM_WORDS
from rerec_engine.assistant.units import LENGTH, MASS, PRICE, YEAR, Field, Fields

_BEST = {
    YEAR: ("newest|latest|most recent|most modern", "oldest|earliest"),
    PRICE: ("most expensive|priciest|dearest|highest priced", "cheapest|least expensive|most affordable|lowest priced"),
    LENGTH: ("longest", "shortest"),
    MASS: ("heaviest", "lightest"),
}
_BETTER = {
    PRICE: ("more expensive|pricier|dearer", "cheaper|less expensive|more affordable"),
    LENGTH: ("longer", "shorter"),
    MASS: ("heavier", "lighter"),
}


def _turned(table: dict[str, tuple[str, str]]) -> dict[str, tuple[str, bool]]:
    """Phrase -> kind of number, and whether the highest are meant."""
    return {p: (kind, not i) for kind, both in table.items() for i, all_ in enumerate(both) for p in all_.split("|")}


_BEST_WORDS, _BETTER_WORDS = _turned(_BEST), _turned(_BETTER)
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|[.,;:!?]")
_RATED = {"highest rated": True, "best rated": True, "top rated": True, "lowest rated": False, "worst rated": False}
_ENDS = {"most": True, "highest": True, "fewest": False, "least": False, "lowest": False}
_OWNERS = frozenset("my our its no not never isn't than".split())
_FOLLOWED = frozenset(
    "and or but with by for please that which in from if when to as i we thanks of on is are first possible there"
    " available you directed written made designed starring set about under over below above between".split()
)
_AHEAD = 4  # words between a superlative and the noun


class Best(NamedTuple):
    """start, end: characters. field: its name, or YEAR; "" where there is only a note. most: the highest come first."""

    start: int
    end: int
    field: str
    most: bool
    text: str
    note: str = ""


class Better(NamedTuple):
    """A comparison with items that were named. range: None where there is only a note to give."""

    start: int
    end: int
    field: Field | None
    most: bool
    text: str
    note: str = ""


def find_best(text: str, fields: Fields, years: bool, nouns: Sequence[str]) -> list[Best]:
    """The superlatives of a text. years: whether years are known. nouns: words for the items.

    A superlative counts at the end of a clause, or with a word for items soon after it: "the newest drama film", but
    not "the oldest son of a king". "_" stands for a name.
    """
    words = list(_WORD.finditer(text.replace("_", "x")))
    plain = [word[0].lower() for word in words]
    named = ["_" in text[word.start() : word.end()] for word in words]
    known = ITEM_WORDS | {"there", *nouns}
    found: list[Best] = []
    place = 0
    while place < len(words):
        hit = next(_superlatives(plain, place, fields, years), None)
        if hit is None or not _stands(plain, named, place, place + hit[0], known, bool(hit[4])):
            place += 1
            continue
        size, name, most, note, _ = hit
        start, end = words[place].start(), words[place + size - 1].end()
        said = " ".join(plain[place : place + size])
        if name or note:
            found.append(Best(start, end, name, most, said, note and f'{note}: "{said}" was not read'))
        place += size
    return found


def _superlatives(
    plain: Sequence[str], place: int, fields: Fields, years: bool
) -> Iterator[tuple[int, str, bool, str, bool]]:
    """(words, field, most, note, whole): the superlative that begins at a word. whole: it names its field."""
    for size in (2, 1):
        phrase = " ".join(plain[place : place + size]) if place + size <= len(plain) else ""
        if phrase in _RATED:
            field = fields.called(("rating",)) or fields.called(("score",)) or fields.called(("stars",))
            if field is not None:
                yield size, field.name, _RATED[phrase], "", True
        if phrase in _BEST_WORDS:
            kind, most = _BEST_WORDS[phrase]
            if kind == YEAR:
                yield size, YEAR if years else "", most, "" if years else "no years are known", False
                continue
            about = fields.about(kind)
            note = "no prices are known" if kind == PRICE and not about else ""
            if len(about) > 1:
                note = f"it may be by {' or '.join(field.title for field in about)}"
            yield size, about[0].name if len(about) == 1 else "", most, note, False
    if plain[place] in _ENDS:
        for size in range(fields.longest, 0, -1):
            words = plain[place + 1 : place + 1 + size]
            if len(words) < size:
                continue
            field = fields.called(words)
            if field is None and (unit := fields.unit(words)) and len(own := fields.of(unit)) == 1:
                field = own[0]
            if field is not None:
                yield size + 1, field.name, _ENDS[plain[place]], "", True


def _stands(
    plain: Sequence[str], named: Sequence[bool], first: int, stop: int, known: frozenset[str], whole: bool
) -> bool:
    """Whether the superlative is one of items."""
    before = plain[first - 1] if first else ""
    if before in _OWNERS or plain[max(0, first - 2) : first] in (["at", "the"], ["not", "the"]):
        return False
    if before.endswith(("'s", "’s")) and not named[first - 1] and plain[first] not in ("latest", "newest"):
        return False
    if whole or stop >= len(plain) or not plain[stop][0].isalnum() or plain[stop] in _FOLLOWED:
        return True
    for i in range(stop, min(len(plain), stop + _AHEAD)):
        if named[i] or plain[i] in known:
            return True
        if plain[i] in _FOLLOWED or not plain[i][0].isalnum():
            return False
    return False


def find_better(
    text: str, fields: Fields, reference: Callable[[int, Field], tuple[float, float] | None]
) -> list[tuple[Better, tuple[float, float] | None]]:
    """The comparisons of a text, each with the lowest and highest number that it compares with.

    reference(position, field): these, for a comparison that ends at a character.
    """
    words = list(_WORD.finditer(text))
    plain = [word[0].lower() for word in words]
    found: list[tuple[Better, tuple[float, float] | None]] = []
    for place in range(len(words)):
        for size in (2, 1):
            phrase = " ".join(plain[place : place + size]) if place + size <= len(plain) else ""
            if phrase not in _BETTER_WORDS or (place and plain[place - 1] == "no"):
                continue
            kind, most = _BETTER_WORDS[phrase]
            last = place + size - 1
            end = words[last].end()
            if plain[last + 1 : last + 2] == ["than"]:
                end = words[last + 1].end()
            about, start = fields.about(kind), words[place].start()
            if len(about) != 1:
                note = f'no prices are known: "{phrase}" was not read' if kind == PRICE and not about else ""
                found += [(Better(start, end, None, most, phrase, note), None)] if note else []
                break
            between = reference(end, about[0])
            known = f"no item with a known {about[0].title} was named before"
            note = "" if between else f'"{phrase}" compares with nothing: {known}'
            found.append((Better(start, end, about[0], most, phrase, note), between))
            break
    return found
