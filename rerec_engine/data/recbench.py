"""RecBench+ (arXiv 2503.09382) with MovieLens-1M's catalogue and interactions -> a dataset.

Candidates: 1 positive + 19 negatives, hard ones among them, as in ReRec's evaluation (arXiv 2604.07851).
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from rerec_engine.data.assemble import Prepared
from rerec_engine.data.counts import Counts
from rerec_engine.data.description import DatasetDescription
from rerec_engine.data.join import GROUPED, Joined, Joiner, read_queries
from rerec_engine.data.matching import title_matcher
from rerec_engine.data.options import RecBenchOptions
from rerec_engine.data.sampling import TooFewItems, asked_attributes, assign_splits, sample_negatives
from rerec_engine.data.sources import (
    Interactions,
    SourceItems,
    no_interactions,
    read_attributes,
    read_id_maps,
    read_item_lists,
    read_items,
    read_ratings,
)
from rerec_engine.errors import UserError
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.types import CATEGORIES, Query

QUERY_FILES = {
    "explicit": ("ExplicitQuery.json", "decoded/decoded_Explicit.jsonl", "decoded_Explicit.jsonl"),
    "implicit": ("ImplicitQuery.json", "decoded/decoded_Implicit.jsonl", "decoded_Implicit.jsonl"),
    "misinformed": ("MisinformedQuery.json", "decoded/decoded_Misinformed.jsonl", "decoded_Misinformed.jsonl"),
    "interest": ("InterestBasedQuery.json", "ItemBasedQuery.json"),
    "demographics": ("DemographicsBasedQuery.json", "UserBasedQuery.json"),
}


@dataclass(frozen=True)
class RecBenchSources:
    """The files to read; category -> query file, in the order of `types.CATEGORIES`."""

    queries: dict[str, Path]
    catalogue: Path
    attributes: Path | None = None
    interactions: Path | None = None
    """ratings.dat, or train.txt with item_map.txt and user_map.txt beside it."""


def find_query_files(folder: Path) -> dict[str, Path]:
    """The query files in a folder, a release's own before decoded ones. Raises UserError where there is none."""
    found = {}
    for category in CATEGORIES:
        paths = [folder / name for name in QUERY_FILES[category] if (folder / name).is_file()]
        if paths:
            found[category] = paths[0]
    if not found:
        raise UserError(f"{folder}: no RecBench+ query file, such as {QUERY_FILES['explicit'][0]}")
    return found


def prepare_recbench(
    sources: RecBenchSources,
    options: RecBenchOptions,
    shares: dict[str, float],
    matcher: Callable[[list[str], list[int | None]], Callable[[str], Iterable[int]]] = title_matcher,
) -> Prepared:
    """Read, join, sample and split; raises UserError naming file and line for a broken row unless `skip_bad`."""
    counts, skip_bad = Counts(), options.skip_bad
    items = read_items(sources.catalogue, counts, skip_bad=skip_bad)
    triples = list(items.triples)
    if sources.attributes is not None:
        triples += read_attributes(sources.attributes, items, counts, skip_bad=skip_bad)
    graph = AttributeGraph.from_triples(triples, len(items.titles))
    interactions = _interactions(sources.interactions, items, counts, skip_bad)
    joiner = Joiner(items, matcher(items.titles, items.years))
    joined = [
        query
        for category, path in sources.queries.items()
        for query in read_queries(path, category, joiner, counts, text=options.text, skip_bad=skip_bad)
    ]
    nouns = Counter(query.raw.item for query in joined)
    description = DatasetDescription(noun=nouns.most_common(1)[0][0] if nouns else "item")
    maker = _Maker(items.titles, graph, interactions, description, options)
    made = []
    for query in joined:
        try:
            made.append((query, *maker.make(query)))
        except TooFewItems as error:
            counts.keep(query.raw.category, -1)
            counts.drop(query.raw.category, "too few negatives", f"{query.raw.id}: {error}")
    split_of = assign_splits(
        [(frozenset(query.items), query.raw.text.casefold()) for query, _, _ in made],
        [query.raw.category for query, _, _ in made],
        shares,
        options.seed,
    )
    splits: dict[str, list[Query]] = {split: [] for split in shares}
    for (_, finished, _), split in zip(made, split_of, strict=True):
        splits[split].append(finished)
    return Prepared(
        items=items,
        graph=graph,
        interactions=_matrix(interactions, len(items.titles)),
        splits=splits,
        extra_info={finished.id: extra for _, finished, extra in made},
        counts=counts,
        data_source="recbench+",
        description=description,
        user_ids=interactions.user_ids if interactions else [],
    )


class _Maker:
    """Turns joined rows into queries, each from its own random stream: positive, negatives, history and prompt."""

    def __init__(
        self,
        titles: list[str],
        graph: AttributeGraph,
        interactions: Interactions | None,
        description: DatasetDescription,
        options: RecBenchOptions,
    ) -> None:
        self.titles, self.graph, self.interactions = titles, graph, interactions
        self.description, self.options = description, options
        self._sequences = interactions.sequences() if interactions else []

    def make(self, joined: Joined) -> tuple[Query, dict[str, Any]]:
        """The query and its further extra_info. Raises TooFewItems."""
        raw, options = joined.raw, self.options
        rng = np.random.default_rng([options.seed, zlib.crc32(raw.id.encode())])
        user = self.interactions.users.get(raw.user, -1) if self.interactions else -1
        history = self._history(user, joined.items)
        positive = joined.items[int(rng.integers(len(joined.items)))]
        shared = self.graph.shared_by(joined.items).tolist()
        candidates = [] if options.open else self._candidates(rng, joined, positive, history, shared)
        truth = joined.items if options.open else (positive,)
        messages = self.description.prompt(
            raw.text,
            candidates=[self.titles[item] for item in candidates],
            history=[self.titles[item] for item in history],
            noun=raw.item,
        )
        query = Query(
            id=raw.id,
            messages=messages,
            ground_truth=truth,
            candidates=tuple(candidates),
            category=raw.category,
            condition_num=raw.condition_num,
            user_id=user,
            history=history,
            request=raw.text,
        )
        further = {
            "all_ground_truth": [self.titles[item] for item in joined.items],
            "all_ground_truth_ids": list(joined.items),
            "conditions": [f"{relation}: {value}" for relation, value in raw.conditions],
            "query": raw.text,
        }
        return query, further

    def _candidates(
        self, rng: np.random.Generator, joined: Joined, positive: int, history: tuple[int, ...], shared: list[int]
    ) -> list[int]:
        """Positive and negatives, shuffled. Only a condition query asks for attributes: only there can others fit."""
        raw = joined.raw
        names = [value for _, value in raw.conditions]
        asked = [] if raw.category in GROUPED else asked_attributes(self.graph, shared, raw.text, names)
        negatives = sample_negatives(
            rng, self.graph, positive, excluded=(*joined.items, *history), shared=shared, asked=asked
        )
        candidates = [positive, *negatives]
        return [candidates[i] for i in rng.permutation(len(candidates))]

    def _history(self, user: int, ground_truth: tuple[int, ...]) -> tuple[int, ...]:
        if user < 0 or self.options.history <= 0 or self.interactions is None:
            return ()
        items = self.interactions.item[self._sequences[user]].tolist()
        return tuple(item for item in items if item not in ground_truth)[-self.options.history :]


def _interactions(path: Path | None, items: SourceItems, counts: Counts, skip_bad: bool) -> Interactions | None:
    if path is None:
        return None
    if path.suffix in (".dat", ".inter"):
        return read_ratings(path, items, counts, skip_bad=skip_bad)
    maps = read_id_maps(path.parent, counts, skip_bad=skip_bad)
    return read_item_lists(path, maps, items, counts, skip_bad=skip_bad)


def _matrix(interactions: Interactions | None, item_count: int) -> sp.csr_matrix:
    return interactions.matrix(item_count) if interactions else no_interactions(item_count)
