"""ReRec's own files (arXiv 2604.07851) -> a dataset: parquet in verl's columns, graphs as GEXF.

There a ground truth is one string of titles joined by ";", and the candidates stand in the prompt alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from rerec_engine.data.assemble import Prepared
from rerec_engine.data.candidates import find_candidates, find_request
from rerec_engine.data.counts import Counts
from rerec_engine.data.gexf import graph_items, graph_triples, node_items, read_gexf
from rerec_engine.data.matching import title_matcher
from rerec_engine.data.options import ParquetOptions
from rerec_engine.data.rows import EMPTY, ItemResolver, RowError, parse_row
from rerec_engine.data.sampling import assign_splits
from rerec_engine.data.sources import (
    SourceItems,
    Triple,
    no_interactions,
    read_attributes,
    read_id_maps,
    read_item_lists,
    read_items,
    read_ratings,
)
from rerec_engine.data.store import read_rows
from rerec_engine.errors import UserError, file_error
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.types import Query


@dataclass(frozen=True)
class ParquetSources:
    splits: dict[str, Path]
    """Parquet file of each split; without "val", a share of the training queries becomes it."""
    graph: Path | None = None
    """Item-attribute graph as GEXF, or item, relation, value lines (with `catalogue`)."""
    catalogue: Path | None = None
    interactions: Path | None = None
    """User-item graph as GEXF, ratings.dat, or train.txt with its id maps."""


def find_parquet(folder: Path) -> ParquetSources:
    """Splits and graphs of a folder: train, val and test*.parquet, *.gexf ("user" in its name: the user-item graph)."""
    splits: dict[str, Path] = {}
    for split, names in (
        ("train", ("train",)),
        ("val", ("val", "valid", "validation", "dev", "eval")),
        ("test", ("test",)),
    ):
        paths = sorted(p for p in folder.glob("*.parquet") if p.stem.split("-")[0].split("_")[0] in names)
        if len(paths) > 1:
            raise UserError(f"{folder}: several files for {split}: {', '.join(p.name for p in paths)}")
        if paths:
            splits[split] = paths[0]
    if not splits:
        raise UserError(f"{folder}: no train, val or test parquet file")
    graphs = sorted(folder.glob("*.gexf"))
    users = [path for path in graphs if "user" in path.stem.lower()]
    items = [path for path in graphs if path not in users]
    if len(users) > 1 or len(items) > 1:
        raise UserError(f"{folder}: several GEXF graphs; name them as graph and interactions")
    return ParquetSources(splits, items[0] if items else None, None, users[0] if users else None)


def prepare_parquet(
    sources: ParquetSources,
    options: ParquetOptions,
    shares: dict[str, float],
    matcher: Callable[[list[str], list[int | None]], Callable[[str], Iterable[int]]] = title_matcher,
) -> Prepared:
    """Read the files; raises UserError naming file and row for a broken row unless `skip_bad`."""
    counts = Counts()
    items, triples = _items_and_attributes(sources, counts, options.skip_bad)
    graph = AttributeGraph.from_triples([*items.triples, *triples], len(items.titles))
    matches = matcher(items.titles, items.years)
    interactions, user_ids = _interactions(sources.interactions, items, counts, options.skip_bad)
    titles = ItemResolver(items.titles, lambda title, candidates: _one(matches(title), candidates))
    splits = {
        split: _read_split(path, split, titles, interactions.shape[0], counts, options)
        for split, path in sources.splits.items()
    }
    if "val" not in splits and "train" in splits and shares["val"] > 0:
        rest = {"train": 1 - shares["val"], "val": shares["val"]}
        queries = splits["train"]
        keys = [(frozenset(query.ground_truth), query.messages[-1]["content"]) for query in queries]
        dealt = assign_splits(keys, [query.category for query in queries], rest, options.seed)
        splits.update({s: [q for q, own in zip(queries, dealt, strict=True) if own == s] for s in rest})
    ordered = {split: splits[split] for split in shares if split in splits}
    return Prepared(items, graph, interactions, ordered, {}, counts, "rerec", user_ids=user_ids)


def _items_and_attributes(sources: ParquetSources, counts: Counts, skip_bad: bool) -> tuple[SourceItems, list[Triple]]:
    items = read_items(sources.catalogue, counts, skip_bad=skip_bad) if sources.catalogue else None
    if sources.graph is not None and sources.graph.suffix == ".gexf":
        graph = read_gexf(sources.graph)
        items = items or graph_items(sources.graph, graph, counts)
        return items, graph_triples(sources.graph, graph, items, counts)
    if items is None:
        raise UserError("the items are unknown: give a graph (FILE.gexf) or a catalogue")
    triples = read_attributes(sources.graph, items, counts, skip_bad=skip_bad) if sources.graph else []
    return items, triples


def _interactions(
    path: Path | None, items: SourceItems, counts: Counts, skip_bad: bool
) -> tuple[sp.csr_matrix, list[str]]:
    """The matrix and the users' ids in the source."""
    if path is None:
        return no_interactions(len(items.titles)), []
    if path.suffix == ".gexf":
        return _user_graph(path, items, counts)
    if path.suffix == ".txt":
        maps = read_id_maps(path.parent, counts, skip_bad=skip_bad)
        read = read_item_lists(path, maps, items, counts, skip_bad=skip_bad)
    else:
        read = read_ratings(path, items, counts, skip_bad=skip_bad)
    return read.matrix(len(items.titles)), read.user_ids


def _user_graph(path: Path, items: SourceItems, counts: Counts) -> tuple[sp.csr_matrix, list[str]]:
    graph = read_gexf(path)
    item_of, users, edges, kind = (
        node_items(graph, items),
        dict[str, int](),
        set[tuple[int, int]](),
        f"edges ({path.name})",
    )
    for edge in graph.edges:
        counts.read(kind)
        ends = [(item_of[a], b) for a, b in ((edge.source, edge.target), (edge.target, edge.source)) if a in item_of]
        if len(ends) != 1:
            counts.drop(kind, "between two items" if ends else "of no item")
            continue
        pair = (users.setdefault(ends[0][1], len(users)), ends[0][0])
        if pair in edges:
            counts.drop(kind, "repeated (user, item)")
            continue
        edges.add(pair)
        counts.keep(kind)
    array = np.array(sorted(edges), np.int64).reshape(-1, 2)
    ones = np.ones(len(array), np.float32)
    return sp.csr_matrix((ones, (array[:, 0], array[:, 1])), (len(users), len(items.titles))), list(users)


def _read_split(
    path: Path, split: str, titles: ItemResolver, users: int, counts: Counts, options: ParquetOptions
) -> list[Query]:
    rows = read_rows(path, ("prompt", "reward_model"))
    queries: dict[str, Query] = {}
    for number, row in enumerate(rows, 1):
        counts.read(split)
        try:
            query = parse_row(
                _normalised(row, titles, options.open), titles, users=users, default_id=f"{split}-{number}"
            )
            if query.id in queries:
                raise RowError("repeated id", f"id {query.id!r} occurs twice")
        except RowError as error:
            if not options.skip_bad and error.reason != EMPTY:
                raise file_error(path, str(error), number) from None
            counts.drop(split, error.reason, f"{path.name}:{number}: {error}")
            continue
        queries[query.id] = query
        counts.keep(split)
        counts.note(f"open queries ({split})" if not query.candidates else f"queries with candidates ({split})")
    return list(queries.values())


def _normalised(row: Mapping[str, Any], titles: ItemResolver, open_form: bool) -> dict[str, Any]:
    """The row with candidates and request out of its prompt where extra_info has none, and no other catalogue's ids."""
    extra, model = dict(_struct(row, "extra_info")), _struct(row, "reward_model")
    prompt = row.get("prompt")
    messages = _messages(prompt) if isinstance(prompt, str) else prompt
    for name in ("candidate_ids", "ground_truth_ids", "history_ids", "named_ids", "user_id"):
        extra.pop(name, None)
    extra["id"] = str(extra["id"]) if extra.get("id") is not None else None
    told = [m for m in messages if _is_text(m)] if isinstance(messages, list) else []
    texts = [m["content"] for m in told]
    if not extra.get("request") and texts:
        extra["request"] = find_request(([m["content"] for m in told if m.get("role") == "user"] or texts)[-1])
    if open_form:
        extra["candidates"] = []
    elif not extra.get("candidates") and texts:
        extra["candidates"] = find_candidates("\n".join(texts), titles.item)
    return {**row, "prompt": messages, "reward_model": model, "extra_info": extra}


def _messages(prompt: str) -> list[dict[str, Any]]:
    """The messages of a prompt in a string: it is the user's, or a list of messages as JSON."""
    if prompt.lstrip().startswith("["):
        with suppress(ValueError, RecursionError):
            value = json.loads(prompt)
            if value and all(_is_text(message) and isinstance(message.get("role"), str) for message in value):
                return list(value)
    return [{"role": "user", "content": prompt}]


def _struct(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A struct of the row, which some writers keep as JSON in a string."""
    value = row.get(name) or {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise RowError("broken row", f"{name} is a string, but no JSON: {error}") from None
    if not isinstance(value, Mapping):
        raise RowError("broken row", f"{name} must be a struct, got {type(value).__name__}")
    return value


def _is_text(message: object) -> bool:
    return isinstance(message, dict) and isinstance(message.get("content"), str)


def _one(items: Iterable[int], candidates: Iterable[int] | None) -> int:
    found = list(items)
    if len(found) > 1 and candidates is not None:
        found = [item for item in found if item in set(candidates)]
    return found[0] if len(found) == 1 else -1
