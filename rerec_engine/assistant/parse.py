"""A request in plain English -> the conditions it sets. Rules, not a model: what they miss is left to the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from rerec_engine.assistant.conditions import KIND, Condition, Request, merge
from rerec_engine.assistant.lexicon import (
    ADDING,
    BEFORE_PRONOUN,
    COUNT,
    COUNTS,
    FOLLOWING,
    FOLLOWING_FIRST,
    FOLLOWING_WEAK,
    FRESH,
    ON_FROM_TITLE,
    PERSON_ROLES,
    POINTING,
    PREPOSITION_ROLES,
    PRONOUNS,
    SEEN,
    role_of,
)
from rerec_engine.assistant.measures import Measures
from rerec_engine.assistant.mentions import Index, Reading
from rerec_engine.assistant.naming import Namer
from rerec_engine.assistant.negation import Target, alternatives, exclude, negated, without_overlap
from rerec_engine.assistant.wording import other_words
from rerec_engine.data.dataset import Dataset


class Earlier(NamedTuple):
    """What came before: the last request, the items shown so far, and those of the last answer."""

    request: Request
    shown: tuple[int, ...] = ()
    last: tuple[int, ...] = ()


class RequestParser:
    """Reads requests about one dataset. kinds: noun ("film") -> the attributes that tell such an item."""

    def __init__(self, dataset: Dataset, kinds: Mapping[str, Sequence[int]] | None = None) -> None:
        self._dataset = dataset
        self._index = Index(dataset)
        self._kinds = {noun: tuple(ids) for noun, ids in (kinds or {}).items()}
        self._namer = Namer(dataset)
        self._measures = Measures(dataset, tuple(self._kinds))

    def read(self, text: str) -> Reading:
        """The titles and values that the text names."""
        return self._index.read(text)

    def parse(self, text: str, earlier: Earlier | None = None) -> Request:
        """What the text asks; with `earlier`, of a follow-up, what the conversation asks so far."""
        reading = self._index.read(text)
        words = [w.text for w in reading.words]
        targets, notes, used = self._namer.values(reading)
        measured = self._measures.read(reading, earlier.last if earlier else (), notes)
        targets += measured.targets
        targets += self._pronouns(reading, earlier, notes, used)
        targets = alternatives(reading, sorted(without_overlap(targets), key=lambda t: t.first))
        own: list[Condition] = []
        liked: list[int] = []
        disliked: list[int] = []
        for target, no in zip(targets, negated(reading, targets), strict=True):
            if target.mention is not None and target.mention.is_title:
                (disliked if no else liked).extend(target.mention.ids)
            elif target.condition is not None:
                own.append(exclude(target.condition) if no else target.condition)
        own = self._namer.correct(reading, targets, own, notes)
        own += self._namer.shared_roles(reading, liked, own, used)
        own += self._namer.unknown(reading, targets)
        if noun := self._noun(reading) or self._implied_kind(own, liked):
            own.append(Condition(noun, KIND, self._kinds[noun]))
        count = _count(words, measured.targets)
        named = tuple(dict.fromkeys(liked))
        said = other_words(reading, (i for t in targets for i in range(t.first, t.stop)))
        request = Request(tuple(dict.fromkeys(own)), named, tuple(disliked), count, order=measured.order, words=said)
        if earlier is not None and self._follows(words, request, measured.ties):
            request = merge(earlier.request, request, bool(ADDING & set(words)), self._dataset)
            request = replace(request, left_out=tuple(dict.fromkeys([*request.left_out, *earlier.shown])))
        return replace(request, notes=tuple(dict.fromkeys(notes)))

    def _follows(self, words: Sequence[str], own: Request, ties: bool) -> bool:
        """Whether a request goes on from the one before it.

        Not if it says so ("something completely different"), nor if it names a title of its own, unless it begins with
        "and", "but" or the like. Otherwise if it has a word that ties it to the answer ("older", "another", "him",
        "that director"), begins with a preposition, "not", "what about" or the like, or names nothing wanted.
        ties: whether its numbers tie it ("cheaper", "under 20 euros").
        """
        if FRESH.search(" ".join(words)):
            return False
        if own.liked and words:
            return words[0] in ON_FROM_TITLE or (any(c.years for c in own.conditions) and len(words) < 6)
        named = any(c.relation != KIND for c in own.conditions)
        wanted = any(c.relation != KIND for c in own.wanted)
        pointing = any(a in POINTING and b in self._namer.role_words for a, b in pairwise(words))
        tied = bool(FOLLOWING & set(words)) or pointing or (words[:1] and words[0] in FOLLOWING_FIRST)
        return not named or ties or bool(tied) or (not wanted and bool(FOLLOWING_WEAK & set(words)))

    def _pronouns(self, reading: Reading, earlier: Earlier | None, notes: list[str], used: set[int]) -> list[Target]:
        """ "by him", "that director": the person, or other value, of the earlier answer's first item."""
        words = [w.text for w in reading.words]
        targets = []
        for i, word in enumerate(words):
            before = words[i - 1] if i else ""
            role = self._namer.role_words.get(word)
            if role and before in POINTING and not reading.titles and i not in used:
                roles: tuple[str, ...] = (role,)
            elif word in PRONOUNS and before in BEFORE_PRONOUN and not reading.mentions:
                roles = PREPOSITION_ROLES.get(before, ()) + PERSON_ROLES
                if before in ("starring", "featuring"):
                    roles = ("starring", *PERSON_ROLES)
            else:
                continue
            condition = self._referred(earlier, roles, before in ("of", "without"))
            if condition is not None:
                used.add(i)
                targets.append(Target(i, i + 1, condition))
            elif not any(word in SEEN for word in words):
                notes.append(f'"{before} {word}" refers to nothing that was answered before')
        return targets

    def _referred(self, earlier: Earlier | None, roles: Sequence[str], to_asked: bool) -> Condition | None:
        if earlier is None:
            return None
        graph = self._dataset.attributes
        if to_asked:
            for condition in reversed(earlier.request.wanted):
                if role_of(condition.relation) in PERSON_ROLES:
                    return condition
        for item in earlier.last[:1]:
            own = [int(a) for a in graph.ids_of(item)]
            for role in roles:
                if role == "place" and len(roles) > 1:
                    continue
                if ids := tuple(a for a in own if role_of(graph.relations[a]) == role):
                    return self._namer.named(ids)
        return None

    def _implied_kind(self, own: Sequence[Condition], liked: Sequence[int]) -> str:
        """The one kind that the conditions, or else the titles, can be of: a film, where a director is asked for."""
        masks = [c.mask(self._dataset) for c in own if not c.excluded and c.attributes]
        if liked and not masks:
            masks = [np.isin(np.arange(len(self._dataset.titles)), liked)]
        for mask in masks:
            of = [
                n for n, ids in self._kinds.items() if (mask & (self._dataset.attributes.count_shared(ids) > 0)).any()
            ]
            if len(of) == 1:
                return of[0]
        return ""

    def _noun(self, reading: Reading) -> str:
        """The kind of item asked for, "film" or "book", as far as the dataset has both: the last one named, and none
        after "a film or a book"."""
        inside = {i for m in reading.mentions for i in range(m.first, m.stop)}
        same = {"movie": "film", "picture": "film", "novel": "book", "read": "book", "watch": "film"}
        words = [w.text for w in reading.words]
        named: list[tuple[int, str]] = []
        for i, word in enumerate(words):
            forms = (same.get(form, form) for form in (word, word[:-1] if word.endswith("s") else word))
            noun = next((form for form in forms if form in self._kinds), "")
            if noun and i not in inside:
                named.append((i, noun))
        if len(named) > 1 and named[-2][1] != named[-1][1]:
            between = words[named[-2][0] + 1 : named[-1][0]]
            if between[:1] == ["or"] and len(between) <= 2:
                return ""
        return named[-1][1] if named else ""


def _count(words: Sequence[str], numbers: Sequence[Target]) -> int | None:
    """How many items are asked for. numbers: what a number is said of, "give me 4 player games" asks for no four."""
    text = " ".join(words)
    found = COUNT.search(text)
    if found is None:
        return None
    place = text.count(" ", 0, found.start(1))
    if any(target.first <= place < target.stop for target in numbers):
        return None
    return COUNTS.get(found[1]) or int(found[1]) or None
