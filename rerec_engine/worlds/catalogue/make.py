"""Requests over any catalogue, with their candidates, traces and vocabulary."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from rerec_engine.data.articles import article
from rerec_engine.data.description import VOCABULARY, DatasetDescription
from rerec_engine.data.knowledge import Knowledge
from rerec_engine.data.prompter import Prompter
from rerec_engine.data.traces import FILE as TRACES
from rerec_engine.data.traces import Trace, encode_traces
from rerec_engine.errors import UserError
from rerec_engine.types import Query
from rerec_engine.worlds.catalogue.candidates import FEWEST_WRONG, Judged
from rerec_engine.worlds.catalogue.drafts import Draft, Picker
from rerec_engine.worlds.catalogue.grammar import UNSEEN
from rerec_engine.worlds.catalogue.kinds import KINDS, kinds_of
from rerec_engine.worlds.catalogue.rewrite import Rewriter
from rerec_engine.worlds.catalogue.shelf import Shelf
from rerec_engine.worlds.catalogue.traces import Teacher, sizes
from rerec_engine.worlds.catalogue.vocabulary import openings, vocabulary
from rerec_engine.worlds.catalogue.wording import Said, Speaker
from rerec_engine.worlds.options import CatalogueRequestOptions
from rerec_engine.worlds.requests import split_of

TRIES = 400
"""Draws for one request before its kind is given up."""
PHASES = {"short": 0.6, "medium": 0.15, "full": 0.25}
"""Shares of the traces with about 5 candidates, about 10, and all."""
SHORT_PHASES = {"few": 0.8, "medium": 0.2}
"""Of a model that can read and reason, but has to learn the form: each kind a little, the choice is left to it."""
ORDERS = 4
"""Of a trace's candidates that such a model might be shown; it is shown the one in which most is ruled out."""
HISTORY = 10
"""Items of a user's past at most."""


@dataclass(frozen=True)
class MadeRequests:
    """What a dataset directory has beside its catalogue."""

    splits: dict[str, list[Query]]
    extra_info: dict[str, dict[str, Any]]
    """Further fields of a query's extra_info, by query id."""
    traces: list[Trace]
    """For `warm_start.parquet`."""
    vocabulary: list[str]
    """For `vocabulary.json`; empty for a form that needs none."""
    description: DatasetDescription
    counts: dict[str, int] = field(default_factory=dict)
    """What happened by the way, in words."""

    @property
    def files(self) -> dict[str, str | bytes]:
        """Further files of the directory, by name."""
        vocabulary = {VOCABULARY: json.dumps(self.vocabulary, indent=0)} if self.vocabulary else {}
        return {**vocabulary, **({TRACES: encode_traces(self.traces)} if self.traces else {})}


class Drawn(NamedTuple):
    """A request with its candidates."""

    draft: Draft
    said: Said
    truth: tuple[int, ...]
    candidates: tuple[int, ...]
    rewritten: bool = False
    """By a model, which may use any words."""


class Maker:
    """Draws the requests of one catalogue."""

    def __init__(self, knowledge: Knowledge, options: CatalogueRequestOptions) -> None:
        self.shelf = Shelf(knowledge)
        self._options = options
        self._picker = Picker(self.shelf)
        self._speaker = Speaker(self.shelf)
        self._prompter = Prompter(knowledge)
        self._teacher = Teacher(self.shelf, self._speaker)
        self.turns = kinds_of(self._picker, options.kinds)
        if not self.turns:
            raise UserError(f"no request of {options.kinds or 'any kind'} can be made from this catalogue")

    def keys(self, draft: Draft) -> list[str]:
        return sorted({condition.key(self.shelf.graph.values) for condition in draft.conditions})

    def draw(self, kind: str, split: str, count: int, rng: np.random.Generator, taken: set[str]) -> Drawn | None:
        """A request of the split, with `count` candidates, in words not `taken`; None where none was found."""
        for _ in range(TRIES):
            draft = KINDS[kind](self._picker, rng)
            if draft is None or split_of(dict.fromkeys(self.keys(draft), ""), self._options.seed) != split:
                continue
            judged = Judged(self.shelf, draft.conditions, draft.named)
            if not judged.surely_right[draft.target]:
                continue
            tempting = self.shelf.holders(draft.false) if draft.false >= 0 else None
            drawn = judged.draw(rng, count, draft.count, tempting, draft.target)
            if drawn is None:
                continue
            said = self._speaker.say(draft, rng, unseen=split != "train" and rng.random() < UNSEEN)
            if said.text not in taken:
                taken.add(said.text)
                return Drawn(draft, said, *drawn)
        return None

    def query(self, drawn: Drawn, name: str, rng: np.random.Generator) -> Query:
        """Its history is that of the user whose liking it tells, without what it names or chooses from."""
        draft, knowledge = drawn.draft, self.shelf.knowledge
        history: tuple[int, ...] = ()
        if draft.category == "interest" and draft.user >= 0:
            past = knowledge.histories[draft.user]
            past = past[~np.isin(past, drawn.candidates)]
            history = tuple(int(item) for item in past[-HISTORY:])
        query = Query(
            id=name,
            messages=(),
            ground_truth=drawn.truth,
            candidates=drawn.candidates,
            category=draft.category,
            condition_num=len(draft.conditions),
            user_id=draft.user,
            history=history,
            request=drawn.said.text,
            asked=draft.asked(self.shelf.graph),
            named=draft.named if knowledge.description.facts != "none" else (),
        )
        return replace(query, messages=self._prompter.messages(query))

    def traces(self, rng: np.random.Generator) -> tuple[list[Trace], list[Said]]:
        """None asks for a condition set of val or test. Their words may be those of a query."""
        closed = self.shelf.knowledge.description.prompt_form.closed
        count = self._options.traces
        if count < 0:
            count = 24_000 if closed else 800
        traces, said = [], []
        for phase, share in (PHASES if closed else SHORT_PHASES).items():
            numbers = [sizes(phase, self._options.candidates, rng) for _ in range(round(share * count))]
            for own in draw_many(self, "train", numbers, rng, set()):
                shown, answer = self._reasoned(own, 1 if closed else ORDERS, rng)
                prompt = self.query(shown, "", rng).messages
                traces.append(Trace(phase, list(prompt), answer))
                said.append(own.said)
        return traces, said

    def _reasoned(self, drawn: Drawn, orders: int, rng: np.random.Generator) -> tuple[Drawn, str]:
        """The request, and the teacher's answer, in the one of some orders of its candidates that has most lines."""
        others = [tuple(rng.permutation(drawn.candidates).tolist()) for _ in range(orders - 1)]
        shown = [drawn, *(drawn._replace(candidates=order) for order in others)]
        told = [(own, self._teacher.reason(own.draft, own.truth, own.candidates)) for own in shown]
        return max(told, key=lambda pair: pair[1].count("\n"))


def make_requests(knowledge: Knowledge, options: CatalogueRequestOptions) -> MadeRequests:
    """Raises UserError for a catalogue that is too poor, and for options that cannot be followed."""
    if options.candidates < 2 * FEWEST_WRONG:
        raise UserError(f"candidates must be at least {2 * FEWEST_WRONG}, got {options.candidates}")
    if options.llm and knowledge.description.prompt_form.closed:
        raise UserError(
            "llm: the form sentences has words of its own alone; requests in other words need the form chat"
        )
    rewriter, counts = Rewriter(options.llm, options.llm_model) if options.llm else None, dict[str, int]()
    maker = Maker(knowledge, options)
    rng = np.random.default_rng([options.seed, 4])
    taken: set[str] = set()
    splits: dict[str, list[Query]] = {}
    extra: dict[str, dict[str, Any]] = {}
    words: list[Said] = []
    for split, count in options.counts.items():
        drawn = draw_many(maker, split, [options.candidates] * count, rng, taken)
        if rewriter is not None:
            drawn = _rewritten(drawn, rewriter, knowledge.description, options.seed, counts)
        splits[split] = [maker.query(own, f"{split}-{i}", rng) for i, own in enumerate(drawn)]
        words += [own.said for own in drawn]
        for i, own in enumerate(drawn):
            extra[f"{split}-{i}"] = {
                "conditions": maker.keys(own.draft),
                "form": own.draft.form,
                "unseen_wording": own.said.unseen,
                "rewritten": own.rewritten,
            }
    traces, said = maker.traces(rng)
    words += said
    description, phrases = knowledge.description, list[str]()
    if description.prompt_form.closed:
        phrases = vocabulary(knowledge, maker.shelf.names, words, options.candidates)
        description = replace(description, openings=openings(words, article(description.noun)))
    return MadeRequests(splits, extra, traces, phrases, description, counts)


def _rewritten(
    drawn: list[Drawn], rewriter: Rewriter, description: DatasetDescription, seed: int, counts: dict[str, int]
) -> list[Drawn]:
    texts = rewriter.rewrite([(own.draft, own.said) for own in drawn], description, seed)
    for text in texts:
        name = "requests in a model's words" if text else "requests whose rewriting lost something, left as they were"
        counts[name] = counts.get(name, 0) + 1
    return [
        own._replace(said=replace(own.said, text=text), rewritten=True) if text else own
        for own, text in zip(drawn, texts, strict=True)
    ]


def draw_many(
    maker: Maker, split: str, candidates: list[int], rng: np.random.Generator, taken: set[str]
) -> list[Drawn]:
    """Requests of the kinds in turn, as many as there are numbers of candidates. A kind of which the catalogue has none
    left gives its turn to the next. Raises UserError where all have."""
    turns, found = list(maker.turns), list[Drawn]()
    turn = 0
    while len(found) < len(candidates):
        kind = turns[turn % len(turns)]
        drawn = maker.draw(kind, split, candidates[len(found)], rng, taken)
        if drawn is not None:
            found.append(drawn)
            turn += 1
            continue
        turn = turn % len(turns) - turns[: turn % len(turns)].count(kind)
        turns = [name for name in turns if name != kind]
        if not turns:
            told = f"only {len(found)} of {len(candidates)} requests for {split} could be made"
            raise UserError(f"{told}: ask for fewer, or give the catalogue more items and attributes")
    return found
