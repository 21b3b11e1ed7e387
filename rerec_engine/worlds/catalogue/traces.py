"""A teacher's reasoning over the requests of a catalogue, for the warm start: true by the graph, line by line.

What is inferred comes first, then what is asked, then the candidates in turn until the right ones are found, then the
box. Titles and facts stand in the order of the prompt: copying goes forward.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from rerec_engine.data.description import plural_of
from rerec_engine.data.facts import Facts
from rerec_engine.worlds.catalogue import amounts
from rerec_engine.worlds.catalogue.candidates import Judged
from rerec_engine.worlds.catalogue.conditions import Condition
from rerec_engine.worlds.catalogue.drafts import Draft
from rerec_engine.worlds.catalogue.shelf import YEAR, Shelf
from rerec_engine.worlds.catalogue.wording import Speaker


class Teacher:
    """Knows one catalogue, and reasons in the form of its prompts."""

    def __init__(self, shelf: Shelf, speaker: Speaker) -> None:
        knowledge = shelf.knowledge
        self._shelf, self._speaker, self._said = shelf, speaker, knowledge.description
        self._closed = self._said.prompt_form.closed
        self._shown = self._said.facts != "none"
        told = replace(self._said, facts=self._said.facts if self._shown else "asked")
        self._facts = Facts(replace(knowledge, description=told))
        self._comma, self._semicolon, self._colon = (" , ", " ; ", " : ") if self._closed else (", ", "; ", ": ")

    def reason(self, draft: Draft, truth: Sequence[int], candidates: Sequence[int]) -> str:
        """The whole answer. A model of its own phrases checks candidate by candidate; others quote the right ones, and
        those that begin like right ones. Both give a verdict behind each value of what is asked."""
        truth = [item for item in candidates if item in truth]
        conditions = draft.conditions if self._closed else self._in_order(draft)
        asked = self._semicolon.join(self._wanted(c) if self._closed else self._told(draft, c) for c in conditions)
        lines = [*self._inferred(draft), f"Asked{self._colon}{asked}"]
        if self._closed:
            lines += self._checked(draft, truth, candidates)
        else:
            lines += self._quoted(draft, conditions, truth, candidates)
        lead = "\n " if self._closed else "\n"
        titles = lead.join(self._shelf.knowledge.titles[item] for item in truth)
        return "\n".join(lines) + f"\n\\boxed{{{' ' if self._closed else ''}{titles}}}"

    def _in_order(self, draft: Draft) -> tuple[Condition, ...]:
        """The conditions as the prompt tells of them: what few items have first, then what is excluded."""
        names = draft.asked(self._shelf.graph)
        return tuple(sorted(draft.conditions, key=lambda c: (c.excluded, names.index(c.name))))

    def _quoted(
        self, draft: Draft, conditions: Sequence[Condition], truth: Sequence[int], candidates: Sequence[int]
    ) -> list[str]:
        """The lines of the right candidates, from the first thing that is asked for on. Before the last of them, in the
        order of the prompt, also those of candidates that have this thing. A verdict stands behind the values of each
        thing that is asked: "- directed by Ann yes; starring Bo, Cy no: Heat (1995)".

        To copy on from a name that was just written is what a small model can do; so is to say whether the values that
        it just wrote are what is asked. To find the one line that has the first and has, or lacks, the second, or to
        judge a line as a whole, behind its title, is not.
        """
        masks = Judged(self._shelf, conditions, draft.named).masks
        asked = draft.asked(self._shelf.graph)
        judged = list(zip(conditions, masks, strict=True))
        begin = {a for c in conditions if c.name == asked[0] for a in c.attributes}
        shown = [c for c in candidates[: candidates.index(truth[-1]) + 1] if c in truth or masks[0][c]]
        return [f"- {self._line(item, asked, begin, [(c, bool(mask[item])) for c, mask in judged])}" for item in shown]

    def _line(
        self, item: int, asked: Sequence[str], begin: Collection[int], judged: Sequence[tuple[Condition, bool]]
    ) -> str:
        """The item's line, from its first attribute of `begin` on, which are of the relation asked first. judged: the
        conditions, and which it satisfies; one of which the line tells nothing stands behind it."""
        known = self._facts.parts(item, asked)
        parts = []
        for place, (name, told) in enumerate(known):
            if place == 0 and name == asked[0]:
                told = self._from(item, told, name, begin)
            parts.append(self._marked(told, name, [own for own in judged if own[0].name == name]))
        lacks = [self._asked(c) for c, satisfied in judged if not satisfied and c.name not in dict(known)]
        fact, title = self._semicolon.join(parts), self._shelf.knowledge.titles[item]
        line = self._colon.join(part for part in ((fact, title) if self._shown else (title, fact)) if part)
        return line + (f", but not {self._semicolon.join(lacks)}" if lacks else "")

    def _marked(self, told: str, relation: str, judged: Sequence[tuple[Condition, bool]]) -> str:
        """What is told of a relation, each value that the line "Asked" names marked as it is there; behind all of them
        a verdict on what has no value here, unless it is that an excluded one is missing."""
        lead = self._facts.lead(relation) if any(condition.attributes for condition, _ in judged) else ""
        values, behind = told.removeprefix(lead).split(self._comma), []
        for condition, satisfied in judged:
            names = {self._shelf.names[a] for a in condition.attributes}
            if names.intersection(values):
                values = [f"{value} {condition.mark}" if value in names else value for value in values]
            elif not condition.excluded or not satisfied:
                behind.append(satisfied)
        verdict = "" if not behind else " yes" if all(behind) else " no"
        return lead + self._comma.join(values) + verdict

    def _from(self, item: int, told: str, relation: str, begin: Collection[int]) -> str:
        """What is told of the relation, from the item's first attribute of `begin` on."""
        names = [self._shelf.names[a] for a in self._shelf.graph.ids_of(item) if a in begin]
        if not self._shown or not names:
            return told
        lead = self._facts.lead(relation)
        values = self._comma + told.removeprefix(lead)
        begins = [self._comma + name for name in names]
        at = min((place for name in begins if (place := _place(values, name, self._comma)) >= 0), default=0)
        return lead + values[at:].removeprefix(self._comma)

    def _checked(self, draft: Draft, truth: Sequence[int], candidates: Sequence[int]) -> list[str]:
        """The candidates up to the last right one, each with its values of what is asked and a verdict behind each.

        A verdict tells whether the value is one that is asked for, and the last one of a line whether the item will do:
        "4) Azul : Family no Puzzle yes : yes". So each follows from one value and the line "Asked", which a small model
        learns in minutes; with one verdict behind all the values it does not. The first name (relation, number) that
        fails ends the line, and so does a value that is not wanted.
        """
        judged = list(zip(draft.conditions, Judged(self._shelf, draft.conditions, draft.named).masks, strict=True))
        names = dict.fromkeys(condition.name for condition in draft.conditions)
        lines = []
        for number, item in enumerate(candidates[: candidates.index(truth[-1]) + 1], 1):
            told, right = [self._shelf.knowledge.titles[item]], True
            for name in names:
                own = [(condition, bool(mask[item])) for condition, mask in judged if condition.name == name]
                told += self._judged(item, name, own)
                right = all(satisfied for _, satisfied in own)
                if not right:
                    break
            lines.append(f"{number}) {self._colon.join([*told, 'yes' if right else 'no'])}")
        return lines

    def _judged(self, item: int, name: str, own: Sequence[tuple[Condition, bool]]) -> list[str]:
        """The item's values under a name, each with its verdict, as one text; none where nothing is known. own: the
        conditions of that name, and which hold."""
        graph = self._shelf.graph
        values = [a for a in graph.ids_of(item) if graph.relations[a] == name]
        wanted = {a for condition, _ in own if not condition.excluded for a in condition.attributes}
        banned = {a for condition, _ in own if condition.excluded for a in condition.attributes}
        told = []
        for value in values:
            told.append(self._shelf.names[value])
            if value in banned:
                break
            told.append("yes" if value in wanted else "no")
        if not values and (number := self._number(item, name)):
            told = [number, "yes" if all(holds for _, holds in own) else "no"]
        return [" ".join(told)] if told else []

    def _number(self, item: int, name: str) -> str:
        """The item's number or year under a name; "" where it is not known."""
        knowledge = self._shelf.knowledge
        if name in knowledge.numbers:
            return self._facts.number(item, name)
        year = knowledge.years[item] if name == YEAR else None
        return "" if year is None else str(year)

    def _inferred(self, draft: Draft) -> list[str]:
        """What follows from the items, or the users, that the request names."""
        lead = " " if self._closed else ""
        lines = []
        for item in draft.named:
            told = f"{lead}{self._shelf.knowledge.titles[item]}{self._colon}"
            told += self._semicolon.join(self._listed(c) for c in draft.following)
            if draft.false >= 0:
                told += f"{self._comma}not {self._shelf.names[draft.false]}"
            lines.append(told)
        if draft.group:
            told = " and ".join(self._asked(condition) for condition in draft.following)
            group = draft.group.replace(", ", self._comma)
            lines.append(f"Liked by somebody who is {group}{self._colon}{told}")
        return lines

    def _told(self, draft: Draft, condition: Condition) -> str:
        """What is asked; values that were just listed, for an item that the request names, not once more."""
        if condition.span is not None:
            return self._asked(condition)
        listed = draft.named and condition in draft.following
        if not listed or len(condition.attributes) < 2:
            return self._values(condition.name, condition.attributes, " or ", after=f" {condition.mark}")
        said = self._said.wording(condition.name)
        return f"{said.clause} one of these" if said.clause else f"one of these {plural_of(said.role)}"

    def _asked(self, condition: Condition) -> str:
        if condition.span is not None:
            number = self._speaker.number(condition.name)
            if condition.span.best:
                lead, after = amounts.best(condition.name, number, condition.span)
                return " ".join([*lead, *after])
            return " ".join(amounts.spanned(condition.name, number, condition.span, False)[0])
        return ("not " if condition.excluded else "") + self._values(condition.name, condition.attributes, " or ")

    def _wanted(self, condition: Condition) -> str:
        """For a model of its own phrases: a word of its own before the values tells it which of all that the prompt
        holds are asked for."""
        if condition.span is not None:
            return self._asked(condition)
        return self._values(condition.name, condition.attributes, " or ", "not " if condition.excluded else "= ")

    def _listed(self, condition: Condition) -> str:
        """All values of what an item that the request names has, and is asked for."""
        after = "" if self._closed else f" {condition.mark}"
        return self._values(condition.name, condition.attributes, self._comma, after=after)

    def _values(self, name: str, attributes: Sequence[int], between: str, mark: str = "", after: str = "") -> str:
        """mark: what stands between the clause and the values. after: what stands behind each."""
        clause = self._said.wording(name).clause
        return f"{clause} {mark}{between.join(self._shelf.names[a] + after for a in attributes)}".lstrip()


def _place(text: str, phrase: str, end: str) -> int:
    """Where the phrase begins that is followed by the end, or ends the text; -1: nowhere."""
    return (text + end).find(phrase + end)


def sizes(phase: str, candidates: int, rng: np.random.Generator) -> int:
    """Candidates of one trace of a phase."""
    most = {"few": 5, "short": 6, "medium": 10}.get(phase, candidates)
    spread = 0 if most >= candidates else most // 3
    return min(candidates, most + int(rng.integers(-spread, spread + 1)))
