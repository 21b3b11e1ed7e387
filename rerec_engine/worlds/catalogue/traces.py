"""A teacher's reasoning over the requests of a catalogue, for the warm start: true by the graph, line by line.

What is inferred comes first, then what is asked, then the candidates in turn until the right ones are found, then the
box. A line of a candidate quotes the prompt's, the facts before the title as there: copying goes forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rerec_engine.data.facts import Facts
from rerec_engine.worlds.catalogue import phrases
from rerec_engine.worlds.catalogue.conditions import Condition
from rerec_engine.worlds.catalogue.drafts import Draft
from rerec_engine.worlds.catalogue.shelf import Shelf
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
        """The whole answer. A model of its own phrases checks candidate by candidate; others quote the right ones."""
        truth = [item for item in candidates if item in truth]
        asked = self._semicolon.join(map(self._asked, draft.conditions))
        lines = [*self._inferred(draft), f"Asked{self._colon}{asked}"]
        if self._closed:
            left = set(truth)
            for number, item in enumerate(candidates, 1):
                left.discard(item)
                lines.append(f"{number}) {self._line(item, draft.asked)} {'yes' if item in truth else 'no'}")
                if not left:
                    break
        else:
            lines += [f"- {self._line(item, draft.asked)}" for item in truth]
        lead = "\n " if self._closed else "\n"
        titles = lead.join(self._shelf.knowledge.titles[item] for item in truth)
        return "\n".join(lines) + f"\n\\boxed{{{' ' if self._closed else ''}{titles}}}"

    def _line(self, item: int, asked: Sequence[str]) -> str:
        fact, title = self._facts.of(item, asked), self._shelf.knowledge.titles[item]
        parts = (fact, title) if self._shown else (title, fact)
        return self._colon.join(part for part in parts if part)

    def _inferred(self, draft: Draft) -> list[str]:
        """What follows from the items, or the users, that the request names."""
        following = draft.conditions[draft.inferred :] if draft.inferred >= 0 else ()
        lead = " " if self._closed else ""
        lines = []
        for item in draft.named:
            told = f"{lead}{self._shelf.knowledge.titles[item]}{self._colon}"
            told += self._semicolon.join(self._values(c.name, c.attributes, self._comma) for c in following)
            if draft.false >= 0:
                told += f"{self._comma}not {self._shelf.names[draft.false]}"
            lines.append(told)
        if draft.group:
            told = " and ".join(self._asked(condition) for condition in following)
            group = draft.group.replace(", ", self._comma)
            lines.append(f"Liked by who is {group}{self._colon}{told}")
        return lines

    def _asked(self, condition: Condition) -> str:
        if condition.span is not None:
            number = self._speaker.number(condition.name)
            if condition.span.best:
                lead, after = phrases.best(condition.name, number, condition.span)
                return " ".join([*lead, *after])
            return " ".join(phrases.spanned(condition.name, number, condition.span, False)[0])
        return ("not " if condition.excluded else "") + self._values(condition.name, condition.attributes, " or ")

    def _values(self, name: str, attributes: Sequence[int], between: str) -> str:
        clause = self._said.wording(name).clause
        return f"{clause} {between.join(self._shelf.names[a] for a in attributes)}".lstrip()


def sizes(phase: str, candidates: int, rng: np.random.Generator) -> int:
    """Candidates of one trace of a phase."""
    most = {"short": 6, "medium": 10}.get(phase, candidates)
    spread = 0 if most >= candidates else most // 3
    return min(candidates, most + int(rng.integers(-spread, spread + 1)))
