"""Where ranked lists come from: scores of items, answers that name several, and many answers that vote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from rerec_engine.cli import progress_bar
from rerec_engine.metrics.rankers import Ranker
from rerec_engine.metrics.ranking.measures import CUTOFFS, distinct
from rerec_engine.rollout.base import derive_seed
from rerec_engine.types import Query

DEPTH = max(CUTOFFS)
"""Entries of a list that are kept."""


def ranked(query: Query, size: int, over: str) -> tuple[int, ...] | range:
    """The items that are ranked for a query: its candidates, or the catalogue of `size` items where it has none, or
    where `over` is "catalogue"."""
    return query.candidates if query.candidates and over == "candidates" else range(size)


def best(
    items: np.ndarray,  # [C]
    scores: np.ndarray,  # [C], -inf: ruled out
    seed: int,
    depth: int = DEPTH,
) -> list[int]:
    """The items with the highest scores, best first; equal ones (to 9 decimals) in an order drawn from the seed."""
    order = np.random.default_rng(seed).permutation(len(items))
    place = order[np.argsort(-np.round(scores[order], 9), kind="stable")]
    return [int(item) for item in items[place[scores[place] > -np.inf]][:depth]]


def by_rankers(
    rankers: Mapping[str, Ranker],
    queries: Sequence[Query],
    size: int,
    *,
    over: str = "candidates",
    seed: int = 0,
    progress: bool = False,
) -> dict[str, dict[str, list[int]]]:
    """Lists of rankers that score items, by name and query id; without those for which a ranker knows nothing."""
    found: dict[str, dict[str, list[int]]] = {name: {} for name in rankers}
    with progress_bar(len(queries), "baselines", "query", shown=progress) as bar:
        for query in queries:
            items = np.array(ranked(query, size, over), dtype=np.int64)
            for name, ranker in rankers.items():
                if (scores := ranker(query, items)) is not None:
                    found[name][query.id] = best(items, scores, derive_seed(seed, "ties", query.id))
            bar.update()
    return found


def by_answers(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[int]]:
    """The items that answers name, in their order: of the rows of an `EvalReport`."""
    return {row["id"]: distinct(row["items"]) if row["answered"] else [] for row in rows}


def by_votes(answers: Sequence[Sequence[int]]) -> list[int]:
    """Several answers to one query as one list: items by the number of answers that name them, then by where they
    first appear. Titles in no catalogue have no vote.

    >>> by_votes([[4], [7, 2], [2], [7], []])
    [7, 2, 4]
    """
    votes = Counter(item for answer in answers for item in dict.fromkeys(answer) if item >= 0)
    first = {item: place for place, item in enumerate(votes)}  # in the order in which they appear
    return sorted(votes, key=lambda item: (-votes[item], first[item]))


Search = Callable[[Sequence[Sequence[int]], Sequence[Sequence[int]]], Sequence[Sequence[tuple[int, float]]]]
"""Of prompts (token ids) and the items that each may name: for each the items with their log-probs (nats), best first:
all of them, or the best that a beam search found."""


def by_search(
    search: Search,
    encode: Callable[[Query], Sequence[int]],
    queries: Sequence[Query],
    size: int,
    *,
    over: str = "candidates",
    at_once: int = 1,
    progress: bool = False,
) -> dict[str, list[int]]:
    """Lists of a search, by query id. encode: a query's prompt. at_once: queries that it is given together."""
    found: dict[str, list[int]] = {}
    with progress_bar(len(queries), "ranking", "query", shown=progress) as bar:
        for start in range(0, len(queries), at_once):
            some = queries[start : start + at_once]
            results = search([encode(query) for query in some], [ranked(query, size, over) for query in some])
            for query, pairs in zip(some, results, strict=True):
                found[query.id] = distinct(item for item, _ in pairs)
            bar.update(len(some))
    return found
