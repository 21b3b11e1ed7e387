"""A query's prompt, made anew from what the query holds: with the facts that its dataset shows, in any order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rerec_engine.data.facts import Facts
from rerec_engine.data.knowledge import Knowledge
from rerec_engine.errors import file_error
from rerec_engine.types import Message, Query


class Prompter:
    """Makes prompts over one catalogue, in the form of its `dataset.json`."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.facts = Facts(knowledge)
        self._titles, self._said = knowledge.titles, knowledge.description

    def messages(self, query: Query, order: Sequence[int] | None = None, noun: str = "") -> tuple[Message, ...]:
        """From request, candidates, history, profile, what is asked and what is named. order: places of the candidates,
        each once, as they are to be shown. noun: of the item asked for, where it is a special one. Raises ValueError
        for an order that is none."""
        shown = query.candidates if order is None else _ordered(query.candidates, order)
        return self._said.prompt(
            query.request,
            candidates=[self._titles[item] for item in shown],
            facts=[self.facts.of(item, query.asked) for item in shown],
            history=[self._titles[item] for item in query.history],
            history_facts=[self.facts.of(item, query.asked) for item in query.history],
            named={self._titles[item]: told for item, told in self._named(query)},
            profile=query.profile,
            noun=noun,
        )

    def reordered(self, query: Query, order: Sequence[int]) -> Query:
        """The query with its candidates in another order, in its prompt too. Raises ValueError where its prompt is not
        one that `messages` makes."""
        noun = self._noun_of(query)
        if noun is None:
            raise ValueError(f"the prompt of query {query.id!r} is not made from its fields")
        messages = self.messages(query, order, noun)
        return replace(query, candidates=_ordered(query.candidates, order), messages=messages)

    def shuffled(self, query: Query, seed: int) -> Query:
        """`reordered` with an order drawn from the seed."""
        return self.reordered(query, np.random.default_rng(seed).permutation(len(query.candidates)).tolist())

    def check(self, queries: Iterable[Query], path: Path, remedy: str) -> None:
        """Whether every prompt can be made anew. Raises UserError naming file, row and remedy for the first that
        cannot: it was written elsewhere, or `dataset.json` has been edited since."""
        for row, query in enumerate(queries, 1):
            if query.candidates and self._noun_of(query) is None:
                fault = f"the prompt of query {query.id!r} is not what dataset.json makes of its fields"
                told = f"{fault}, so that its candidates have no other order: {remedy}, or prepare the dataset again"
                raise file_error(path, told, row)

    def _named(self, query: Query) -> Iterator[tuple[int, str]]:
        """Items that the request names without offering them, of which something is known; and that."""
        for item in query.named:
            if item not in query.candidates and (told := self.facts.of(item, query.asked)):
                yield item, told

    def _noun_of(self, query: Query) -> str | None:
        """What the stored prompt calls the item, "" for the dataset's noun; None where it is not one of this form."""
        nouns = ("", *self._said.kinds)
        return next((noun for noun in nouns if self.messages(query, noun=noun) == query.messages), None)


def _ordered(candidates: Sequence[int], order: Sequence[int]) -> tuple[int, ...]:
    if sorted(order) != list(range(len(candidates))):
        raise ValueError(f"order must hold the places 0..{len(candidates) - 1}, each once, got {list(order)}"[:200])
    return tuple(candidates[place] for place in order)
