"""Candidates for a request, best first. The rule:

1. Out are the items of the user's history, those named in the request or answered before, those that an exclusion
   ("not by him") or the kind asked for ("a book") rules out, and, as long as some item is in range, those of other
   years or numbers.
2. First come the items that satisfy all conditions, then those that satisfy most, where each part of "X or Y" counts:
   who asks for either may like both; among equals, the rarer ones (sum of log(N / items)). Where an order is asked
   for ("the newest"), it is that of the items that satisfy all, and of equals among the others.
3. Then those that share most attributes with the titles named as examples.
4. Then, where titles describe ("... Label Maker, One-Touch Keys"), those that say most of the request's other words.
5. Ties and the places left go by the nearness of an embedding of the request's text, where an index is given, which
   then also stands for 4; by the mean cosine of the LightGCN embeddings to the user's history; without a history, by
   popularity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rerec_engine.assistant.conditions import KIND, Condition, Request, satisfied
from rerec_engine.assistant.parse import RequestParser
from rerec_engine.assistant.wording import TitleWords
from rerec_engine.data.dataset import Dataset

Search = Callable[[str], np.ndarray]
"""A text's nearness to every item, [N] float."""


@dataclass(frozen=True)
class Shortlist:
    """Candidates, best first, and why these."""

    items: tuple[int, ...]
    reason: str


class Shortlister:
    """Applies the rule above to one dataset. search: an index of embeddings, see `rerec_engine.assistant.search`."""

    def __init__(self, dataset: Dataset, parser: RequestParser | None = None, search: Search | None = None) -> None:
        self._dataset = dataset
        self._parser = parser or RequestParser(dataset)
        self._search = search
        self._words = TitleWords(dataset.titles)

    def choose(
        self, text: str, history: Sequence[int] = (), count: int = 20, request: Request | None = None
    ) -> Shortlist:
        """At most `count` candidates. request: of the text, where it has been parsed already."""
        request = request or self._parser.parse(text)
        data, graph = self._dataset, self._dataset.attributes
        allowed = self._allowed(request, history)
        wanted = [c for c in request.wanted if c.relation != KIND]
        whole = satisfied(data, wanted)
        met = np.zeros(graph.item_count)
        rarity = np.zeros(graph.item_count)
        for condition in wanted:
            for part in condition.parts or (condition,):
                mask = part.mask(data)
                met += mask
                rarity += mask * np.log(graph.item_count / max(1, int(mask.sum())))
            if condition.near:
                met += 0.5 * (graph.count_shared(condition.near) > 0)
        shared = np.zeros(graph.item_count)
        for title in request.liked:
            shared += graph.count_shared(graph.ids_of(title))
        said = np.zeros(graph.item_count) if self._search else self._words(request.words)
        filler, by = self._filler(text, history)
        by = f"the titles' words and {by}" if said.any() else by
        ahead = np.zeros(graph.item_count) if request.order is None else request.order.values(data)
        first = np.where(whole, ahead, 0)
        keys = (-filler, -said, -shared, -ahead, -rarity, -met, -first, ~whole)  # the last one counts most
        order = np.lexsort((np.arange(graph.item_count), *keys))
        items = tuple(int(i) for i in order if allowed[i])[:count]
        return Shortlist(items, self._reason(request, wanted, by, len(items)))

    def _allowed(self, request: Request, history: Sequence[int]) -> np.ndarray:
        allowed = np.ones(len(self._dataset.titles), dtype=bool)
        allowed[[*history, *request.liked, *request.left_out]] = False
        for condition in request.excluded:
            allowed &= condition.mask(self._dataset)
        for condition in request.wanted:
            if condition.relation == KIND or condition.measured:
                mask = allowed & condition.mask(self._dataset)
                allowed = mask if mask.any() else allowed
        return allowed

    def _filler(self, text: str, history: Sequence[int]) -> tuple[np.ndarray, str]:
        """A figure an item, [N] float64, and what it is."""
        data = self._dataset
        if self._search is not None:
            return np.asarray(self._search(text), dtype=np.float64), "nearness to the request's text"
        if len(history):
            taste = np.asarray(data.item_embeddings[list(history)], dtype=np.float64).mean(axis=0)  # [d]
            return np.asarray(data.item_embeddings, dtype=np.float64) @ taste, "closeness to the user's history"
        return np.asarray(data.interactions.getnnz(axis=0), dtype=np.float64), "popularity"

    def _reason(self, request: Request, wanted: Sequence[Condition], by: str, count: int) -> str:
        reason = f"a shortlist of {count} by {by}"
        if wanted:
            reason += f", first those with {'; '.join(c.text for c in wanted)}"
        if request.order:
            reason += f", {'of these ' if wanted else ''}the {request.order.text} first"
        if request.liked:
            titles = ", ".join(self._dataset.titles[i] for i in request.liked)
            reason += f", {'then' if wanted or request.order else 'first'} those like {titles}"
        if request.excluded:
            reason += f", none with {'; '.join(c.text.removeprefix('not ') for c in request.excluded)}"
        return reason
