"""The phrases that are one token each in models made on the spot, so that every text of the dataset is made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rerec_engine.data.facts import figure
from rerec_engine.data.knowledge import Knowledge
from rerec_engine.worlds.catalogue.wording import Said

MOST_FIGURES = 3000
"""Distinct numbers with a token of their own; those of a field with more are read digit by digit."""
_OWN = (
    ", . ; : ? ! ... = yes no not or and of to the with by somebody who is from a an for made after before newer older"
    " than under over between priced more less fewer newest oldest cheapest most expensive fewest highest lowest"
    " 0 1 2 3 4 5 6 7 8 9 10 11 12"
).split()
"""Words and marks of facts and reasons."""


def vocabulary(knowledge: Knowledge, names: Sequence[str], said: Iterable[Said], candidates: int) -> list[str]:
    """Sorted. names [A]: the attributes' values as they are said."""
    words = {"\n", "\n\\boxed{", "}", "Asked", "Liked", *(f" {word}" for word in _OWN)}
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
    for year in {year for year in knowledge.years if year is not None}:
        words |= {f" {near}" for near in range(year - 9, year + 10)} | {f" {year // 10 * 10}s"}
    for own_words in said:
        words.add(own_words.pieces[0])
        words.update(f" {piece}" for piece in own_words.pieces)
    return sorted(word for word in words if word.strip() or word == "\n")


def openings(said: Iterable[Said], noun_article: str) -> tuple[str, ...]:
    """First words of the requests, for `dataset.json`: the plainest one first, as the assistant builds its own."""
    return (f"Find {noun_article}", *sorted({words.pieces[0] for words in said} - {"Find"}))
