"""A draft in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from rerec_engine.data.articles import article
from rerec_engine.data.description import Number
from rerec_engine.worlds.catalogue import grammar, phrases
from rerec_engine.worlds.catalogue.conditions import Condition
from rerec_engine.worlds.catalogue.drafts import Draft
from rerec_engine.worlds.catalogue.english import Atom, filled, in_words, joined, listed, pieces_of, sentences
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


@dataclass
class _NounPhrase:
    """lead: instead of the article. after: what follows the noun. outs: what is not wanted. alone: sentences."""

    lead: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    values: list[list[str]] = field(default_factory=list)
    after: list[list[str]] = field(default_factory=list)
    outs: list[list[str]] = field(default_factory=list)
    alone: list[list[str]] = field(default_factory=list)


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
            words = pieces_of(tail)
            agreed = {"has": "have", "fits": "fit", "suits": "suit", "is": "are"} if draft.count > 1 else {}
            phrase.after.append([agreed.get(w, w) for w in words])
        long = phrase.outs or len(phrase.values) + len(phrase.after) > 1
        unfit = (*(_THERE if draft.count > 1 or phrase.lead else ()), *(("{np} ",) if long else ()))
        frame = self._frames.draw(rng, unseen, unfit)
        wish = filled(frame, np=self._built(phrase, draft.count, rng))
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

    def _noun_phrase(self, draft: Draft, rng: np.random.Generator) -> _NounPhrase:
        plural = draft.count > 1
        told = draft.conditions if draft.inferred < 0 else draft.conditions[: draft.inferred]
        phrase = _NounPhrase()
        order = [told[i] for i in rng.permutation(len(told))]
        wanted = _by_name([c for c in order if c.span is None and not c.excluded])
        relative, choice = rng.random() < RELATIVE, int(rng.integers(4))
        tailed = draft.category in ("interest", "demographics")
        for name, conditions in wanted.items():
            values = [self._shelf.names[c.attributes[0]] for c in conditions]
            said = phrases.wanted(self._said, name, values, plural, choice)
            alone = said.alone and (len(told) > 1 or draft.inferred >= 0) and not phrase.alone
            if alone and (rng.random() < ALONE or (tailed and not said.before)):
                phrase.alone.append(said.alone)
            elif said.before:
                phrase.before += said.before
            else:
                phrase.values.append(said.relative if relative else said.after)
        for condition in order:
            if condition.span is not None:
                self._span(phrase, condition, plural, rng)
        for name, conditions in _by_name([c for c in order if c.excluded]).items():
            values = [self._shelf.names[c.attributes[0]] for c in conditions]
            inline, alone = phrases.unwanted(self._said, name, values, choice)
            if phrase.outs or rng.random() < OUTSIDE:
                phrase.alone.append(alone)
            else:
                phrase.outs.append(inline)
        if draft.via >= 0:
            condition = draft.conditions[draft.inferred]
            several = len(condition.attributes) > 1
            if draft.category == "misinformed":
                ways = phrases.hop_back(self._said, condition.name, several, plural)
            else:
                title = self._shelf.knowledge.titles[draft.via]
                ways = phrases.hop(self._said, condition.name, title, several, plural)
            phrase.values.append(phrases.one_of(rng, ways))
        return phrase

    def _span(self, phrase: _NounPhrase, condition: Condition, plural: bool, rng: np.random.Generator) -> None:
        number, span = self.number(condition.name), condition.span
        if span is None:
            return
        if span.best:
            lead, after = phrases.best(condition.name, number, span)
            phrase.lead = lead
            phrase.after += [after] if after else []
        else:
            phrase.after.append(phrases.one_of(rng, phrases.spanned(condition.name, number, span, plural)))

    def _built(self, phrase: _NounPhrase, count: int, rng: np.random.Generator) -> list[str]:
        """ "a drama film directed by X and starring Y from the nineties, but not by Z"."""
        after = [*(phrase.values and [listed(phrase.values)]), *phrase.after]
        noun = (self._said.items if count > 1 else self._said.noun).split()
        if count > 1:
            number = in_words(count)
            start = [*(["the"] if phrase.lead else []), Atom(number), *phrase.before, *noun]
        elif after and not phrase.before and not phrase.lead and rng.random() < SOMETHING:
            start = ["something"]
        else:
            words = [*phrase.before, *noun]
            start = [*(phrase.lead or [article(words[0])]), *words]
        built = start + [piece for part in after for piece in part]
        for out in phrase.outs:
            built += [",", *out]
        return built


def _by_name(conditions: list[Condition]) -> dict[str, list[Condition]]:
    found: dict[str, list[Condition]] = {}
    for condition in conditions:
        found.setdefault(condition.name, []).append(condition)
    return found


def _ended(pieces: Sequence[str]) -> list[str]:
    return [*pieces] if pieces[-1] in ("?", "!", ".") else [*pieces, "."]
