"""Seeded choices: negatives for a query, and splits that keep related queries on one side."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from rerec_engine.graph.attributes import AttributeGraph

NEGATIVES = 19
HARD_NEGATIVES = 10


class TooFewItems(ValueError):
    """The catalogue has not enough items that may serve as negatives."""


def asked_attributes(graph: AttributeGraph, shared: Sequence[int], query: str, conditions: Iterable[str]) -> list[int]:
    """Those of the ground truths' shared attributes that the query asks for.

    By the names of its conditions where they are known, else by the names that its text mentions; where neither finds
    one, all shared attributes but the genres (which many items share by chance), or the genres where nothing else is.
    """
    names = {name.casefold() for name in conditions}
    found = [
        a
        for a in shared
        if graph.values[a].casefold() in names or without_qualifier(graph.values[a]).casefold() in names
    ]
    if not found:
        found = [a for a in shared if _mentions(query, without_qualifier(graph.values[a]))]
    return found or [a for a in shared if graph.relations[a] != "genre"] or list(shared)


def sample_negatives(
    rng: np.random.Generator,
    graph: AttributeGraph,
    positive: int,
    *,
    excluded: Iterable[int],
    shared: Sequence[int] = (),
    asked: Sequence[int] = (),
    number: int = NEGATIVES,
    hard: int = HARD_NEGATIVES,
) -> list[int]:
    """`number` distinct items, `hard` of them hard ones where there are as many, in random order.

    Never the positive, an excluded item, or one that has everything asked (it would be right, too). Hard: shares some
    of the shared attributes; where too few do, some other attribute of the positive. Raises TooFewItems.
    """
    allowed = np.ones(graph.item_count, bool)  # [N]
    allowed[[positive, *excluded]] = False
    if len(asked):
        allowed[graph.items_with(asked)] = False
    some = graph.count_shared(shared) > 0
    akin = graph.count_shared(graph.ids_of(positive)) > 0
    chosen: list[int] = []
    for pool, target in ((some, hard), (akin, hard), (allowed, number)):
        free = np.flatnonzero(pool & allowed)
        drawn = rng.choice(free, min(target - len(chosen), len(free)), replace=False)
        chosen += [int(item) for item in drawn]
        allowed[drawn] = False
    if len(chosen) < number:
        raise TooFewItems(f"only {len(chosen)} of {number} negatives to be had")
    return [chosen[i] for i in rng.permutation(number)]


def assign_splits(
    keys: Sequence[Sequence[object]], categories: Sequence[str], shares: dict[str, float], seed: int
) -> list[str]:
    """A split for every query so that queries with a key in common lie in one split, each category near its shares.

    keys: hashable keys of each query. shares: split -> share, summing to 1. Returns the split of each query: a group
    goes, largest first, where the fullest of its categories is then the least full.
    """
    groups = _groups(keys)
    shares = {split: share for split, share in shares.items() if share > 0}
    order = np.random.default_rng([seed, 1]).permutation(len(groups))
    totals = {category: categories.count(category) for category in set(categories)}
    filled = {(split, category): 0 for split in shares for category in totals}
    result = [""] * len(keys)
    for group in sorted((groups[i] for i in order), key=len, reverse=True):
        own = Counter(categories[query] for query in group)
        load = {s: max((filled[s, c] + n) / (share * totals[c]) for c, n in own.items()) for s, share in shares.items()}
        split = min(load, key=load.__getitem__)
        for query in group:
            result[query] = split
            filled[split, categories[query]] += 1
    return result


def _groups(keys: Sequence[Sequence[object]]) -> list[list[int]]:
    """Queries joined wherever they have a key in common (union-find), in order of their first query."""
    parent = list(range(len(keys)))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    first: dict[object, int] = {}
    for query, own in enumerate(keys):
        for key in own:
            a, b = root(first.setdefault(key, query)), root(query)
            parent[max(a, b)] = min(a, b)
    groups: dict[int, list[int]] = {}
    for query in range(len(keys)):
        groups.setdefault(root(query), []).append(query)
    return list(groups.values())


def _mentions(text: str, name: str) -> bool:
    """Whether the text holds the name at word boundaries, whatever its case."""
    text, name = text.casefold(), name.casefold()
    return name in text and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None


def without_qualifier(value: str) -> str:
    """A value without its Wikipedia qualifier: "Adam Brooks (filmmaker)" -> "Adam Brooks"."""
    return re.sub(r"\s*\([^()]*\)$", "", value) or value
