"""What is known of an item, in a few words: "starring Ann Able, Bo Bent; set in Rome; 24.95 euros; of 1994"."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

from rerec_engine.data.description import plural_of
from rerec_engine.data.knowledge import Knowledge
from rerec_engine.data.sampling import without_qualifier
from rerec_engine.data.tables import attribute_label

YEAR = "year"
"""What stands for an item's year among the names of relations and numbers."""
CHARACTERS = 4  # of a token, on average
_CACHED = 1 << 18  # texts
_LEFT_OUT = "..."


class Facts:
    """Of the items of one catalogue, as its `dataset.json` asks for them (`facts`, `fact_tokens`).

    `asked`: what is known under the names that a request is about, and nothing where nothing is. `all`: every relation
    and number, the year where the title does not tell it, and the first words of the description.
    """

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._said = knowledge.description
        self._room = CHARACTERS * self._said.fact_tokens
        spaced = self._said.prompt_form.closed  # each phrase is one token there, and so is a comma
        self._comma, self._semicolon = (" , ", " ; ") if spaced else (", ", "; ")
        self._cached = lru_cache(_CACHED)(self._text)

    def of(self, item: int, asked: Sequence[str] = ()) -> str:
        """What a prompt tells of the item; "" for nothing. asked: names of relations and numbers, or YEAR."""
        if self._said.facts == "none":
            return ""
        return self._cached(item, tuple(asked) if self._said.facts == "asked" else ())

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The attributes' values as they are shown, [A]: see `clean_names`."""
        return clean_names(self._knowledge.attributes.values, self._knowledge.titles)

    def number(self, item: int, field: str) -> str:
        """The item's number as it is said: "24.95 euros", "2 to 4 players"; "" where it has none."""
        own = self._knowledge.numbers[field]
        low, high = float(own.low[item]), float(own.high[item])
        if math.isnan(low):
            return ""
        text = figure(low) if low == high else f"{figure(low)} to {figure(high)}"
        said = self._said.numbers.get(field)
        role, unit = (said.role, said.unit) if said else (field.replace("_", " "), "")
        if text == "1" and unit.endswith("s") and plural_of(unit[:-1]) == unit:
            unit = unit[:-1]
        told = f"{text} {unit}".rstrip()
        return told if unit and not self._shares_unit(field) else f"{role} {told}"

    def _shares_unit(self, field: str) -> bool:
        units = [own.unit for name, own in self._said.numbers.items() if name in self._knowledge.numbers]
        return units.count(self._said.numbers[field].unit) > 1

    def _text(self, item: int, asked: tuple[str, ...]) -> str:
        everything = self._said.facts == "all"
        parts = self._relations(item, None if everything else asked)
        for field in self._knowledge.numbers:
            if (everything or field in asked) and (told := self.number(item, field)):
                parts.append(_Part("", (told,)))
        year = self._knowledge.years[item]
        shown = str(year) in self._knowledge.titles[item]
        if year is not None and (YEAR in asked or (everything and not shown)):
            parts.append(_Part("", (f"of {year}",)))
        description = self._knowledge.texts[item] if everything and self._knowledge.texts else None
        return _fitted(parts, description or "", self._room, self._comma, self._semicolon)

    def _relations(self, item: int, asked: tuple[str, ...] | None) -> list[_Part]:
        """The item's values by relation, in the order of a sentence. asked: None for every relation."""
        graph = self._knowledge.attributes
        values: dict[str, list[str]] = {}
        for a in graph.ids_of(item).tolist():
            if asked is None or graph.relations[a] in asked:
                values.setdefault(graph.relations[a], []).append(self.names[a])
        order = self._said.relations
        names = [*(r for r in order if r in values), *(r for r in values if r not in order)]
        clauses = {name: self._said.wording(name).clause for name in names}
        return [
            _Part(f"{clauses[name]} " if clauses[name] else "", tuple(dict.fromkeys(values[name]))) for name in names
        ]


class _Part(NamedTuple):
    """One relation's values, behind what leads to them."""

    lead: str
    values: tuple[str, ...]

    def text(self, kept: Sequence[int], comma: str) -> str:
        """With some of its values, and a sign where others are left out; "" with none."""
        if not kept:
            return ""
        values = [self.values[i] for i in kept]
        return self.lead + comma.join(values if len(values) == len(self.values) else [*values, _LEFT_OUT])


def _fitted(parts: Sequence[_Part], description: str, room: int, comma: str, semicolon: str) -> str:
    """The parts and then the description, in at most `room` characters. Where that is too little each has an equal
    share first, then the values go on in turn, and the description takes what is left; values are whole or not there.
    """
    words = " ".join(description.split())
    whole = semicolon.join(
        [*(part.text(range(len(part.values)), comma) for part in parts), *([words] if words else ())]
    )
    if len(whole) <= room:
        return whole
    share = room // (len(parts) + bool(words)) - len(semicolon)
    kept: list[list[int]] = [[] for _ in parts]

    def joined() -> str:
        return semicolon.join(text for part, own in zip(parts, kept, strict=True) if (text := part.text(own, comma)))

    reserved = share + len(semicolon) if words else 0
    for turn in range(max((len(part.values) for part in parts), default=0)):
        for part, own in zip(parts, kept, strict=True):
            if turn < len(part.values):
                own.append(turn)
                if len(part.text(own, comma)) > share or len(joined()) > room - reserved:
                    own.pop()
    for turn in range(max((len(part.values) for part in parts), default=0)):
        for part, own in zip(parts, kept, strict=True):
            if turn < len(part.values) and turn not in own:
                before = list(own)
                own[:] = sorted([*own, turn])
                if len(joined()) > room - reserved:
                    own[:] = before
    told = joined()
    rest = _first_words(words, room - len(told) - (len(semicolon) if told else 0))
    return semicolon.join(text for text in (told, rest) if text)


def _first_words(words: str, room: int) -> str:
    """As many whole words as there is room for, and a sign where others are left out."""
    if len(words) <= room:
        return words
    start = words[: max(0, room - len(_LEFT_OUT))].rpartition(" ")[0]
    return f"{start} {_LEFT_OUT}" if start else ""


def figure(number: float) -> str:
    """
    >>> figure(24.95), figure(2.0), figure(1e12)
    ('24.95', '2', '1000000000000')
    """
    return f"{number:.0f}" if number.is_integer() else f"{number:.12g}"


def clean_names(values: Sequence[str], titles: Sequence[str] = ()) -> tuple[str, ...]:
    """Values as people write them: without what a source adds to tell namesakes apart.

    "dbr:" and its underscores go, and a qualifier in brackets at the end, unless it has a digit ("(1979)", "(A4)"), is
    part of one of the titles, or tells two of the values apart.

    >>> clean_names(["Robert Evans (producer)", "Alien (film)", "Alien", "Heat (1995)", "dbr:Tom_Hanks"])
    ('Robert Evans', 'Alien (film)', 'Alien', 'Heat (1995)', 'Tom Hanks')
    """
    labels = {value: " ".join(attribute_label(value).split()) or value for value in dict.fromkeys(values)}
    own = set(titles)
    short = {
        label: without_qualifier(label)
        for label in set(labels.values())
        if label.endswith(")") and label not in own and not re.search(r"\d[^()]*\)$", label)
    }
    bearers: dict[str, int] = {}
    for label in set(labels.values()):
        name = short.get(label, label)
        bearers[name] = bearers.get(name, 0) + 1
    clean = {value: name if bearers[name := short.get(label, label)] == 1 else label for value, label in labels.items()}
    return tuple(clean[value] for value in values)
