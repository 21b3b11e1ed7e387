"""A draft in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rerec_engine.data.description import Number
from rerec_engine.worlds.catalogue import amounts, grammar, phrases
from rerec_engine.worlds.catalogue.conditions import Condition
from rerec_engine.worlds.catalogue.drafts import Draft
from rerec_engine.worlds.catalogue.english import Atom, filled, joined, listed, pieces_of, sentences
from rerec_engine.worlds.catalogue.noun_phrase import NounPhrase
from rerec_engine.worlds.catalogue.shelf import Shelf

REASONS, LATER, CLOSINGS = 0.4, 0.3, 0.15
"""Shares of the requests with a reason, of those reasons that come last, and of the requests with a closing."""
RELATIVE, ALONE, OUTSIDE, SOMETHING = 0.25, 0.2, 0.4, 0.15
"""Shares of the values in a relative clause, or in a sentence; of the exclusions in one; of nouns that are left out."""
_THERE = ("there is", "Is there", "is {np}")
_GROUP_WORDS = frozenset("a an and from in or to of not yet years old work".split())


@dataclass(frozen=True)
class Said:
    """A request in words. unseen: in words that occur in val and test alone."""

    pieces: tuple[str, ...]
    unseen: bool
    text: str

    @property
    def form(self) -> str:
        """What is left without titles, values and numbers."""
        return joined(["_" if isinstance(piece, Atom) else piece for piece in self.pieces])


class Speaker:
    """Says drafts as the catalogue's description words them."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._said = shelf.knowledge.description
        self._spaced = self._said.prompt_form.closed
        self._frames, self._reasons, self._closings = map(
            grammar.Templates, (grammar.FRAMES, grammar.REASONS, grammar.CLOSINGS)
        )
        self._kinds = {
            "misinformed": grammar.Templates(grammar.MISINFORMED),
            "interest": grammar.Templates(grammar.INTEREST),
            "demographics": grammar.Templates(grammar.DEMOGRAPHICS),
        }

    def say(self, draft: Draft, rng: np.random.Generator, unseen: bool = False) -> Said:
        """unseen: in an opening, and perhaps around it, that occurs in val and test alone."""
        phrase = self._noun_phrase(draft, rng)
        slots: dict[str, list[str]] = {}
        if draft.category == "misinformed":
            several = len(draft.conditions[draft.inferred].attributes) > 1
            name = draft.conditions[draft.inferred].name
            slots["via"] = [Atom(self._shelf.knowledge.titles[draft.via])]
            slots["fact"] = phrases.claim(self._said, name, self._shelf.names[draft.false], several)
        if draft.liked:
            slots["liked"] = listed([[Atom(self._shelf.knowledge.titles[item])] for item in draft.liked])
        if draft.group:
            words = pieces_of(draft.group)
            slots["group"] = [w if w in _GROUP_WORDS or w == "," else Atom(w) for w in words]
        template = self._kinds[draft.category].draw(rng, unseen) if draft.category in self._kinds else "{wish}"
        around, _, tail = template.partition("{wish}")
        if tail:
            agreed = {"has": "have", "fits": "fit", "suits": "suit", "is": "are"} if draft.count > 1 else {}
            phrase.tail = [agreed.get(word, word) for word in pieces_of(tail)]
        unfit = [*(_THERE if draft.count > 1 or phrase.lead else ())]
        unfit += [*(["{np} "] if phrase.long or draft.via >= 0 else []), *([] if phrase.bare else ["{np} for me"])]
        frame = self._frames.draw(rng, unseen, unfit)
        something = rng.random() < SOMETHING
        wish = filled(frame, np=phrase.words(self._said.noun, self._said.items, draft.count, something))
        text = [*filled(around, **slots), *_ended(wish)]
        text += [piece for sentence in phrase.alone for piece in _ended(sentence)]
        if rng.random() < REASONS:
            reason = [*pieces_of(self._reasons.draw(rng, unseen and rng.random() < 0.5)), "."]
            text = [*text, *reason] if rng.random() < LATER else [*reason, *text]
        if rng.random() < CLOSINGS:
            text += _ended(pieces_of(self._closings.draw(rng, unseen and rng.random() < 0.5)))
        pieces = sentences(text)
        return Said(tuple(pieces), unseen, joined(pieces, self._spaced))

    def number(self, name: str) -> Number:
        return self._said.numbers.get(name) or Number("", name.replace("_", " "))

    def _noun_phrase(self, draft: Draft, rng: np.random.Generator) -> NounPhrase:
        plural, phrase = draft.count > 1, NounPhrase()
        told = draft.conditions if draft.inferred < 0 else draft.conditions[: draft.inferred]
        order = [told[i] for i in rng.permutation(len(told))]
        wanted = _by_name([c for c in order if c.span is None and not c.excluded])
        relative, choice = rng.random() < RELATIVE, int(rng.integers(4))
        if draft.via >= 0:
            phrase.values.append(self._hop(draft, relative, rng))
        for condition in order:
            self._span(phrase, condition, plural, rng)
        tailed = draft.category in ("interest", "demographics")
        left = len(wanted) + len(phrase.spans) + len(phrase.values) + tailed  # what the noun phrase would be left with
        for name, conditions in wanted.items():
            said = phrases.wanted(self._said, name, self._values(conditions), plural, choice)
            apart = said.alone and left > 1 and not phrase.alone and not phrase.lead
            if apart and (rng.random() < ALONE or (tailed and not said.before)):
                phrase.alone.append(said.alone)
            elif said.before:
                phrase.before += said.before
            else:
                phrase.values.append(said.relative if relative else said.after)
        excluded = _by_name([c for c in order if c.excluded])
        for place, (name, conditions) in enumerate(excluded.items()):
            out = phrases.unwanted(self._said, name, self._values(conditions), plural, choice, place > 0)
            if place or (rng.random() < OUTSIDE and not (phrase.bare and not phrase.before)):
                phrase.alone.append(out.alone)
            elif out.relative and phrase.bare:
                phrase.values.append(out.relative)
            else:
                phrase.outs.append(out.inline)
        return phrase

    def _values(self, conditions: Sequence[Condition]) -> list[str]:
        return [self._shelf.names[condition.attributes[0]] for condition in conditions]

    def _hop(self, draft: Draft, relative: bool, rng: np.random.Generator) -> list[str]:
        """What is asked for because another item has it. Of a misinformed request that item was named just before."""
        condition = draft.conditions[draft.inferred]
        title = "" if draft.category == "misinformed" else self._shelf.knowledge.titles[draft.via]
        ways = phrases.hop(self._said, condition.name, title, len(condition.attributes) > 1, draft.count > 1)
        twice = any(told.name == condition.name for told in draft.conditions[: draft.inferred])
        return phrases.one_of(rng, ways.relative if relative or twice else [*ways.plain, *ways.relative])

    def _span(self, phrase: NounPhrase, condition: Condition, plural: bool, rng: np.random.Generator) -> None:
        number, span = self.number(condition.name), condition.span
        if span is None:
            return
        if span.best:
            phrase.lead, after = amounts.best(condition.name, number, span)
            phrase.spans += [after] if after else []
        else:
            phrase.spans.append(phrases.one_of(rng, amounts.spanned(condition.name, number, span, plural)))


def _by_name(conditions: list[Condition]) -> dict[str, list[Condition]]:
    found: dict[str, list[Condition]] = {}
    for condition in conditions:
        found.setdefault(condition.name, []).append(condition)
    return found


def _ended(pieces: Sequence[str]) -> list[str]:
    return [*pieces] if pieces[-1] in ("?", "!", ".") else [*pieces, "."]
