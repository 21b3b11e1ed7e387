"""What is known of an item, in a few words: "starring Ann Able, Bo Bent; set in Rome; 24.95 euros; of 1994"."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

from rerec_engine.data.description import plural_of
from rerec_engine.data.knowledge import Knowledge
from rerec_engine.data.sampling import without_qualifier
from rerec_engine.data.tables import attribute_label
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.graph.numbers import ItemNumbers

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
        self._cached = lru_cache(_CACHED)(self._told)

    def of(self, item: int, asked: Sequence[str] = ()) -> str:
        """What a prompt tells of the item; "" for nothing. asked: names of relations and numbers, or YEAR; relations
        are told in this order (see `asked_order`)."""
        return self._semicolon.join(text for _, text in self.parts(item, asked))

    def parts(self, item: int, asked: Sequence[str] = ()) -> tuple[tuple[str, str], ...]:
        """What `of` joins: name and text of each relation and number, in its order; the description has no name."""
        if self._said.facts == "none":
            return ()
        return self._cached(item, tuple(asked) if self._said.facts == "asked" else ())

    def lead(self, relation: str) -> str:
        """What stands before a relation's values: "starring ", or nothing."""
        return self._leads[relation]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The attributes' values as they are shown, [A]: see `clean_names`."""
        return clean_names(self._knowledge.attributes.values, self._knowledge.titles)

    def number(self, item: int, field: str) -> str:
        """The item's number as it is said: "24.95 euros", "2 to 4 players"; "" where it has none."""
        said = self._said.numbers.get(field)
        role, unit = (said.role, said.unit) if said else (field.replace("_", " "), "")
        told = amount_of(self._knowledge.numbers[field], item, unit)
        return told if not told or (unit and not self._shares_unit(field)) else f"{role} {told}"

    def _shares_unit(self, field: str) -> bool:
        units = [own.unit for name, own in self._said.numbers.items() if name in self._knowledge.numbers]
        return units.count(self._said.numbers[field].unit) > 1

    def _told(self, item: int, asked: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        everything = self._said.facts == "all"
        parts = self._relations(item, None if everything else asked)
        for field in self._knowledge.numbers:
            if (everything or field in asked) and (told := self.number(item, field)):
                parts.append(_Part(field, "", (told,)))
        year = self._knowledge.years[item]
        shown = str(year) in self._knowledge.titles[item]
        if year is not None and (YEAR in asked or (everything and not shown)):
            parts.append(_Part(YEAR, "", (f"of {year}",)))
        description = self._knowledge.texts[item] if everything and self._knowledge.texts else None
        return tuple(_fitted(parts, description or "", self._room, self._comma, len(self._semicolon)))

    @cached_property
    def _leads(self) -> dict[str, str]:
        """What leads to the values of each relation, in the order of a sentence: its clause ("starring"), or of
        "with the publisher" the last word."""
        graph, said = self._knowledge.attributes, self._said
        own = set(graph.relations)
        names = [*(name for name in said.relations if name in own), *graph.relations]
        clauses = {name: said.wording(name).clause for name in dict.fromkeys(names)}
        return {name: f"{clause.removeprefix('with the ')} " if clause else "" for name, clause in clauses.items()}

    def _relations(self, item: int, asked: tuple[str, ...] | None) -> list[_Part]:
        """The item's values by relation, in the order asked; None for every relation."""
        graph, names = self._knowledge.attributes, self.names
        values: dict[str, dict[str, None]] = {}
        for a in graph.ids_of(item).tolist():
            if asked is None or graph.relations[a] in asked:
                values.setdefault(graph.relations[a], {})[names[a]] = None
        names_in_order = self._leads if asked is None else dict.fromkeys(asked)
        return [_Part(name, self._leads[name], tuple(values[name])) for name in names_in_order if name in values]


def asked_order(graph: AttributeGraph, wanted: Iterable[str], excluded: Iterable[str] = ()) -> tuple[str, ...]:
    """Names of relations and numbers that a request is about, as a prompt is to tell them: of what is wanted the
    relations with most values first, whose values few items have; last what is excluded alone.

    A model that looks for a name reads on from there, so what narrows the choice most stands before all else.
    """
    names = sorted(dict.fromkeys(wanted), key=lambda name: -graph.breadth.get(name, 0))
    return tuple(dict.fromkeys([*names, *excluded]))


class _Part(NamedTuple):
    """One relation's values, behind what leads to them."""

    name: str
    lead: str
    values: tuple[str, ...]

    def text(self, kept: Sequence[int], comma: str) -> str:
        """With some of its values, and a sign where others are left out."""
        values = [self.values[i] for i in kept]
        return self.lead + comma.join(values if len(values) == len(self.values) else [*values, _LEFT_OUT])

    def length(self, kept: Sequence[int], comma: str) -> int:
        """Of `text`, in characters."""
        count = len(kept) + (len(kept) < len(self.values))
        own = sum(len(self.values[i]) for i in kept) + (len(_LEFT_OUT) if count > len(kept) else 0)
        return len(self.lead) + own + len(comma) * (count - 1)


def _fitted(parts: Sequence[_Part], description: str, room: int, comma: str, gap: int) -> list[tuple[str, str]]:
    """Name and text of the parts and then of the description, in at most `room` characters with `gap` between two.
    Where that is too little each has an equal share first, then the values go on in turn, and the description takes
    what is left; values are whole or not there.
    """
    words = " ".join(description.split())
    told = [(part.name, part.lead + comma.join(part.values)) for part in parts] + ([("", words)] if words else [])
    if sum(len(text) + gap for _, text in told) <= room + gap:
        return told
    share = (room + gap) // len(told)
    kept = _kept(parts, share, room + gap - (share if words else 0), comma, gap)
    told = [(part.name, part.text(own, comma)) for part, own in zip(parts, kept, strict=True) if own]
    used = sum(len(text) + gap for _, text in told)
    rest = _first_words(words, room - used)
    return [*told, ("", rest)] if rest else told


def _kept(parts: Sequence[_Part], share: int, free: int, comma: str, gap: int) -> list[list[int]]:
    """Which values of each part there is room for, by turns: first within its share, then within what is free. gap:
    characters that each part needs beside its own."""
    kept: list[list[int]] = [[] for _ in parts]
    lengths = [0] * len(parts)
    longest = max((len(part.values) for part in parts), default=0)
    for limit in (share, free):
        for turn in range(longest):
            for p, part in enumerate(parts):
                if turn >= len(part.values) or turn in kept[p]:
                    continue
                own = sorted([*kept[p], turn])
                length = part.length(own, comma) + gap
                if length <= limit and length - lengths[p] <= free:
                    free -= length - lengths[p]
                    kept[p], lengths[p] = own, length
    return kept


def _first_words(words: str, room: int) -> str:
    """As many whole words as there is room for, and a sign where others are left out."""
    if len(words) <= room:
        return words
    start = words[: max(0, room - len(_LEFT_OUT))].rpartition(" ")[0]
    return f"{start} {_LEFT_OUT}" if start else ""


def amount_of(numbers: ItemNumbers, item: int, unit: str) -> str:
    """The item's number with its unit: "24.95 euros", "2 to 4 players", "1 player"; "" where it has none."""
    low, high = float(numbers.low[item]), float(numbers.high[item])
    if math.isnan(low):
        return ""
    text = figure(low) if low == high else f"{figure(low)} to {figure(high)}"
    if text == "1" and unit.endswith("s") and plural_of(unit[:-1]) == unit:
        unit = unit[:-1]
    return f"{text} {unit}".rstrip()


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
