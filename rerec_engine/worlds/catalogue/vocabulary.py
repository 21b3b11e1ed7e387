"""The phrases that are one token each in models made on the spot, so that every text of the dataset is made of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rerec_engine.data.facts import figure
from rerec_engine.data.knowledge import Knowledge
from rerec_engine.worlds.catalogue.wording import Said

MOST_FIGURES = 3000
"""Distinct numbers with a token of their own; those of a field with more are read digit by digit."""
_MARKS = " , . ; : ? ! ... yes no not or and of to the with Liked by who is".split()


def vocabulary(knowledge: Knowledge, names: Sequence[str], said: Iterable[Said], candidates: int) -> list[str]:
    """Sorted. names [A]: the attributes' values as they are said."""
    words = {"\n", "\n\\boxed{", "}", "Asked", "Liked", *(f" {mark}" for mark in _MARKS)}
    words |= {f"\n{number})" for number in range(1, candidates + 1)}
    words |= {f" {title}" for title in knowledge.titles} | {f" {name}" for name in names}
    description = knowledge.description
    phrases = [description.noun, description.items]
    for relation in dict.fromkeys(knowledge.attributes.relations):
        wording = description.wording(relation)
        phrases += [wording.clause, wording.role]
    for number in description.numbers.values():
        phrases += [number.unit, number.role]
    for field, own in knowledge.numbers.items():
        known = {figure(float(n)) for ends in (own.low, own.high) for n in ends[own.known]}
        phrases += [field.replace("_", " "), *(known if len(known) <= MOST_FIGURES else ())]
    words |= {f" {word}" for phrase in phrases for word in phrase.split()}
    words |= {f" {word.removesuffix('s')}" for number in description.numbers.values() for word in number.unit.split()}
    words |= {f" {year}" for year in knowledge.years if year is not None}
    for own_words in said:
        words.add(own_words.pieces[0])
        words.update(f" {piece}" for piece in own_words.pieces)
    return sorted(word for word in words if word.strip() or word == "\n")


def openings(said: Iterable[Said], noun_article: str) -> tuple[str, ...]:
    """First words of the requests, for `dataset.json`: the plainest one first, as the assistant builds its own."""
    first = sorted({words.pieces[0] for words in said})
    return (f"Find {noun_article}", *(word for word in first if word != "Find" and re.search(r"\w", word)))
