"""Candidates for a free request: what the request names, filled up by the user's taste or by popularity.

The rule, in order:

1. Attribute values named in the request ("drama", "Ann Bell") put the items that have most of them first.
2. Titles named in the request ("like Heat (1995)") are read as examples: items that share most attributes with them
   come next, the named items themselves are left out.
3. Ties, and the places left, go by the mean cosine of the LightGCN embeddings to the user's history; without a history,
   by popularity.

Items of the user's history are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rerec_engine.data.dataset import Dataset
from rerec_engine.graph.titles import normalise
from rerec_engine.types import Query

RESEMBLES = 0.8  # Jaccard index of the word sets
_LONGEST = 12  # words of a title or value looked for in a request
_OPENING, _CLOSING = tuple("\"'“‘«"), tuple("\"'”’»")
_WORD = re.compile(r"\(\d{4}\)|[^\W_]+(?:['’.:&-]+[^\W_]+)*")
_PROMPT_REQUEST = re.compile(
    r"Request: (.*?)(?:\n\n(?:The user: |Recently chosen by the user|Candidates:\n)|\Z)", re.DOTALL
)


@dataclass(frozen=True)
class Shortlist:
    """Candidates, best first, and why these. named: the attribute ids that the request names."""

    items: tuple[int, ...]
    reason: str
    named: tuple[int, ...] = ()


def words_of(text: str) -> tuple[str, ...]:
    """The normalised words of a text, as requests and values are compared.

    >>> words_of("Amélie_Poulain, 2001")
    ('amelie', 'poulain', '2001')
    """
    return tuple(normalise(text).split())


def request_of(query: Query) -> str:
    """The request in a query's prompt: what follows "Request:", else the first line of the last user message."""
    content = next(
        (m["content"] for m in reversed(query.messages) if m["role"] == "user"), query.messages[-1]["content"]
    )
    found = _PROMPT_REQUEST.search(content)
    return found[1] if found else content.strip().split("\n")[0]


def find_query(queries: Sequence[Query], text: str) -> tuple[Query | None, bool]:
    """The query whose request has the same words (and True), else the one that resembles it most, else None."""
    asked = words_of(text)
    best, best_share = None, 0.0
    for query in queries:
        words = words_of(request_of(query))
        if words == asked:
            return query, True
        union = len(set(words) | set(asked))
        share = len(set(words) & set(asked)) / union if union else 0.0
        if share > best_share:
            best, best_share = query, share
    return (best if best_share >= RESEMBLES else None), False


class Shortlister:
    """Applies the rule above to one dataset."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._values: dict[tuple[str, ...], list[int]] = {}
        for attribute, value in enumerate(dataset.attributes.values):
            self._values.setdefault(words_of(value), []).append(attribute)

    def choose(self, text: str, history: Sequence[int] = (), count: int = 20) -> Shortlist:
        """At most `count` candidates, best first."""
        titles, attributes = self.named(text)
        graph = self._dataset.attributes
        has_named = graph.count_shared(attributes)  # [N]
        shared = np.zeros(graph.item_count, dtype=np.int64)
        for title in titles:
            shared += graph.count_shared(graph.ids_of(title))
        filler, by = self._filler(history)
        order = np.lexsort((np.arange(graph.item_count), -filler, -shared, -has_named))
        excluded = {*titles, *history}
        items = tuple(int(i) for i in order if int(i) not in excluded)[:count]
        reason = f"a shortlist of {len(items)} by {by}"
        if attributes:
            reason += f", first those with {_quoted([graph.values[a] for a in attributes])}"
        if titles:
            reason += (
                f", {'then' if attributes else 'first'} those like {_quoted([self._dataset.titles[i] for i in titles])}"
            )
        return Shortlist(items, reason, attributes)

    def named(self, text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Items and attributes that the text names, in its order. Longer names win; a title's words name no value."""
        tokens = list(_WORD.finditer(text))
        titles: dict[int, int] = {}  # first word -> item
        free = [True] * len(tokens)
        for start, stop in _spans(len(tokens)):
            if all(free[start:stop]) and (item := self._title(text, tokens, start, stop)) >= 0:
                titles[start] = item
                free[start:stop] = [False] * (stop - start)
        words = [word for i, token in enumerate(tokens) if free[i] for word in words_of(token[0])]
        values: dict[int, list[int]] = {}  # first word -> attributes
        free = [True] * len(words)
        for start, stop in _spans(len(words)):
            if all(free[start:stop]) and (found := self._values.get(tuple(words[start:stop]))):
                values[start] = found
                free[start:stop] = [False] * (stop - start)
        attributes = [attribute for start in sorted(values) for attribute in values[start]]
        return tuple(dict.fromkeys(titles[start] for start in sorted(titles))), tuple(dict.fromkeys(attributes))

    def _title(self, text: str, tokens: Sequence[re.Match[str]], start: int, stop: int) -> int:
        """The item that the span names, or -1.

        A single word counts only with its year or in quotation marks, two words only with a capital or a digit: "It"
        and "the room" are ordinary words.
        """
        begin, end = tokens[start].start(), tokens[stop - 1].end()
        span = text[begin:end]
        years = [i for i in range(start, stop) if tokens[i][0].startswith("(")]
        if years and years != [stop - 1]:
            return -1
        dated = len(years)
        words = stop - start - dated
        quoted = text[:begin][-1:] in _OPENING and text[end:][:1] in _CLOSING
        plain = span == span.lower() and not any(c.isdigit() for c in span)
        if words < 1 or (words == 1 and not (dated or quoted)) or (words == 2 and plain and not quoted):
            return -1
        return self._dataset.catalogue.match(span)

    def _filler(self, history: Sequence[int]) -> tuple[np.ndarray, str]:
        """A figure an item, [N] float64, and what it is."""
        data = self._dataset
        if len(history):
            taste = np.asarray(data.item_embeddings[list(history)], dtype=np.float64).mean(axis=0)  # [d]
            return np.asarray(data.item_embeddings, dtype=np.float64) @ taste, "closeness to the user's history"
        return np.asarray(data.interactions.getnnz(axis=0), dtype=np.float64), "popularity"


def _spans(length: int) -> Iterator[tuple[int, int]]:
    """All spans of at most `_LONGEST`, longest first, then from the left."""
    for size in range(min(length, _LONGEST), 0, -1):
        for start in range(length - size + 1):
            yield start, start + size


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(names))
