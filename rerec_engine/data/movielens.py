"""MovieLens -> a dataset of next-item requests: ML-100K as RecBole atomic files, ML-1M as `.dat` or in the KGRec form.

With timestamps: leave-one-out. A user's last item is the test target, the one before it the val target, and every
earlier one that has a history is a training target. Without: users are split, and the target is one of a user's items
in test.txt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rerec_engine.data.assemble import Prepared
from rerec_engine.data.counts import Counts
from rerec_engine.data.description import DatasetDescription
from rerec_engine.data.options import MovieLensOptions
from rerec_engine.data.profiles import read_users
from rerec_engine.data.sampling import NEGATIVES
from rerec_engine.data.sources import (
    Interactions,
    SourceItems,
    Triple,
    read_attributes,
    read_id_maps,
    read_item_lists,
    read_items,
    read_kg,
    read_ratings,
)
from rerec_engine.errors import UserError
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.types import Query

REQUEST = "Which movie should I watch next?"
MIN_HISTORY = 3
TOO_FEW = "too few negatives"
DESCRIPTION = DatasetDescription(noun="movie", plural="movies")


@dataclass(frozen=True)
class MovieLensSources:
    """interactions: `.inter`, `ratings.dat`, or train.txt with test.txt, item_map.txt and user_map.txt beside it."""

    catalogue: Path
    interactions: Path
    attributes: Path | None = None
    """item, relation, value lines, or a RecBole `.kg` with the `.link` of the same name beside it."""
    users: Path | None = None


@dataclass(frozen=True)
class _Target:
    split: str
    user: int
    item: int
    history: tuple[int, ...]
    truth: tuple[int, ...]
    """All items that would be right: the target, or all that were held out."""


def find_movielens(folder: Path) -> MovieLensSources:
    """The files of one MovieLens copy in a folder. Raises UserError where it is none."""
    atomic = sorted(folder.glob("*.inter"))
    if len(atomic) == 1:
        stem = atomic[0]
        return MovieLensSources(
            _needed(stem.with_suffix(".item")),
            stem,
            _optional(stem.with_suffix(".kg")),
            _optional(stem.with_suffix(".user")),
        )
    for name in ("ratings.dat", "train.txt"):
        if (folder / name).is_file():
            users = _optional(folder / "users.dat")
            return MovieLensSources(_needed(folder / "movies.dat"), folder / name, None, users)
    if (folder / "u.data").is_file():
        raise UserError(f"{folder}: has ML-100K's own files: take `prepare files --preset movielens --source {folder}`")
    raise UserError(f"{folder}: neither NAME.inter (RecBole), ratings.dat nor train.txt is there")


def prepare_movielens(sources: MovieLensSources, options: MovieLensOptions, shares: dict[str, float]) -> Prepared:
    """Read and make the queries; raises UserError naming file and line for a broken row unless `skip_bad`."""
    if options.max_queries < 1 or options.history < 1:
        raise UserError("max_queries and history must be at least 1")
    counts, skip_bad = Counts(), options.skip_bad
    items = read_items(sources.catalogue, counts, skip_bad=skip_bad)
    triples = items.triples + _attributes(sources.attributes, items, counts, skip_bad)
    graph = AttributeGraph.from_triples(triples, len(items.titles))
    profiles = read_users(sources.users, counts, skip_bad=skip_bad) if sources.users else {}
    path = sources.interactions
    if path.suffix == ".txt":
        maps = read_id_maps(path.parent, counts, skip_bad=skip_bad)
        train = read_item_lists(path, maps, items, counts, skip_bad=skip_bad)
        test = read_item_lists(path.parent / "test.txt", maps, items, counts, skip_bad=skip_bad)
        targets, keep = _held_out(train, test, options, shares, counts), np.ones(len(train.item), bool)
        met = train.matrix(len(items.titles)) + test.matrix(len(items.titles))
    else:
        train = read_ratings(path, items, counts, skip_bad=skip_bad)
        targets, keep = _leave_one_out(train, options, counts)
        met = train.matrix(len(items.titles))
    names = {row: profiles[source] for source, row in train.users.items() if source in profiles}
    splits: dict[str, list[Query]] = {split: [] for split in shares}
    extra_info: dict[str, dict[str, Any]] = {}
    user_ids = train.user_ids
    for target in _limited(targets, options, counts):
        pool = np.setdiff1d(
            np.arange(len(items.titles)), met.indices[met.indptr[target.user] : met.indptr[target.user + 1]]
        )
        if len(pool) < NEGATIVES:
            kind = f"targets ({target.split})"
            counts.keep(kind, -1)
            counts.drop(kind, TOO_FEW, f"user {user_ids[target.user]} has met all but {len(pool)} items")
            continue
        query = _query(target, len(splits[target.split]), pool, items.titles, names.get(target.user, ""), options.seed)
        splits[target.split].append(query)
        extra_info[query.id] = {
            "all_ground_truth": [items.titles[item] for item in target.truth],
            "all_ground_truth_ids": list(target.truth),
            "query": REQUEST,
        }
    interactions = train.matrix(len(items.titles), keep)
    return Prepared(
        items,
        graph,
        interactions,
        splits,
        extra_info,
        counts,
        "movielens",
        DESCRIPTION,
        train.user_ids,
        [names.get(user, "") for user in range(len(train.users))],
    )


def _leave_one_out(
    interactions: Interactions, options: MovieLensOptions, counts: Counts
) -> tuple[list[_Target], np.ndarray]:
    """Targets, and the mask of the edges that stay in the interactions (val and test targets do not)."""
    targets, keep = [], np.ones(len(interactions.item), bool)
    for user, edges in enumerate(interactions.sequences()):
        items = interactions.item[edges].tolist()
        counts.read("users")
        if len(items) < MIN_HISTORY + 3:
            counts.drop("users", f"fewer than {MIN_HISTORY + 3} interactions")
            continue
        counts.keep("users")
        keep[edges[-2:]] = False
        for position in range(MIN_HISTORY, len(items)):
            split = {len(items) - 1: "test", len(items) - 2: "val"}.get(position, "train")
            history = tuple(items[max(0, position - options.history) : position])
            targets.append(_Target(split, user, items[position], history, (items[position],)))
    return targets, keep


def _held_out(
    train: Interactions, test: Interactions, options: MovieLensOptions, shares: dict[str, float], counts: Counts
) -> list[_Target]:
    """One target a user from the held-out file; users are dealt to the splits."""
    rng = np.random.default_rng([options.seed, 2])
    number = len(train.users)
    bounds = np.cumsum([round(share * number) for share in shares.values()])
    rank = rng.permutation(number)
    targets = []
    for user, (past, held) in enumerate(zip(train.sequences(), test.sequences(), strict=True)):
        counts.read("users")
        history = train.item[past].tolist()
        truth = [item for item in dict.fromkeys(test.item[held].tolist()) if item not in set(history)]
        if not truth or not history:
            counts.drop("users", "no held-out item" if history else "no history")
            continue
        counts.keep("users")
        split = list(shares)[min(int(np.searchsorted(bounds, rank[user], side="right")), len(shares) - 1)]
        item = truth[int(rng.integers(len(truth)))]
        targets.append(_Target(split, user, item, tuple(history[-options.history :]), tuple(truth)))
    return targets


def _limited(targets: Sequence[_Target], options: MovieLensOptions, counts: Counts) -> list[_Target]:
    """At most max_queries targets a split, drawn by seed, in their order."""
    chosen: list[_Target] = []
    for number, split in enumerate(dict.fromkeys(target.split for target in targets)):
        own = [target for target in targets if target.split == split]
        rng = np.random.default_rng([options.seed, 3, number])
        kept = sorted(rng.permutation(len(own))[: options.max_queries].tolist())
        kind = f"targets ({split})"
        counts.read(kind, len(own))
        counts.keep(kind, len(kept))
        if len(kept) < len(own):
            counts.drop(kind, "over max_queries", number=len(own) - len(kept))
        chosen += [own[i] for i in kept]
    return chosen


def _query(target: _Target, index: int, pool: np.ndarray, titles: Sequence[str], profile: str, seed: int) -> Query:
    """Candidates: the target and 19 of the items that the user never met, the pool, drawn evenly, shuffled."""
    rng = np.random.default_rng([seed, 4, target.user, target.item])
    candidates = [target.item, *rng.choice(pool, NEGATIVES, replace=False).tolist()]
    candidates = [candidates[i] for i in rng.permutation(len(candidates))]
    messages = DESCRIPTION.prompt(
        REQUEST,
        candidates=[titles[item] for item in candidates],
        history=[titles[item] for item in target.history],
        profile=profile,
    )
    return Query(
        id=f"sequential-{target.split}-{target.user}-{index}",
        messages=messages,
        ground_truth=(target.item,),
        candidates=tuple(candidates),
        category="sequential",
        user_id=target.user,
        history=target.history,
        request=REQUEST,
        profile=profile,
    )


def _attributes(path: Path | None, items: SourceItems, counts: Counts, skip_bad: bool) -> list[Triple]:
    if path is None:
        return []
    if path.suffix == ".kg":
        return read_kg(path, _needed(path.with_suffix(".link")), items, counts, skip_bad=skip_bad)
    return read_attributes(path, items, counts, skip_bad=skip_bad)


def _needed(path: Path) -> Path:
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    return path


def _optional(path: Path) -> Path | None:
    return path if path.is_file() else None
