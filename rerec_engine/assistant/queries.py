"""Which of a dataset's own queries a request is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

from rerec_engine.types import Query

RESEMBLES = 0.8  # Jaccard index of the word sets
_WORD = re.compile(r"[^\W_]+")


class QueryIndex:
    """The queries of a dataset by their words."""

    def __init__(self, queries: Sequence[Query]) -> None:
        self._queries = queries

    @cached_property
    def _words(self) -> list[tuple[str, ...]]:
        return [_words(query.request) for query in self._queries]

    def find(self, text: str) -> tuple[Query | None, bool]:
        """The query whose request has the same words (and True), else the one that resembles it most, else None."""
        asked = _words(text)
        asked_set = set(asked)
        best, best_share = None, 0.0
        for query, words in zip(self._queries, self._words, strict=True):
            if words == asked:
                return query, True
            union = len(asked_set.union(words))
            share = len(asked_set.intersection(words)) / union if union else 0.0
            if share > best_share:
                best, best_share = query, share
        return (best if best_share >= RESEMBLES else None), False


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.casefold()))
