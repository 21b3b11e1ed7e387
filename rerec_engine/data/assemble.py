"""The last steps of every `prepare`: embeddings, the report, the dataset directory."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from rerec_engine.data.counts import Counts
from rerec_engine.data.dataset import SPLITS, write_dataset
from rerec_engine.data.description import DatasetDescription
from rerec_engine.data.options import EmbeddingOptions
from rerec_engine.data.sources import SourceItems
from rerec_engine.errors import UserError
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.graph.numbers import ItemNumbers
from rerec_engine.types import Query


@dataclass
class Prepared:
    """What a reader made of its source."""

    items: SourceItems
    graph: AttributeGraph
    interactions: sp.csr_matrix  # [U, N]
    splits: dict[str, list[Query]]
    extra_info: dict[str, dict[str, Any]]
    counts: Counts
    data_source: str
    description: DatasetDescription = field(default_factory=DatasetDescription)
    user_ids: list[str] = field(default_factory=list)  # [U], the source's
    profiles: Sequence[str] = ()  # [U], each in a few words, "" unknown; empty: of no user
    texts: Sequence[str | None] = ()  # [N], descriptions; empty: of no item
    numbers: Mapping[str, ItemNumbers] = field(default_factory=dict)
    files: Mapping[str, str | bytes] = field(default_factory=dict)  # further files of the directory, by name


def embed(matrix: sp.csr_matrix, graph: AttributeGraph, options: EmbeddingOptions, seed: int) -> np.ndarray:
    """Item embeddings [N, d] float32: rows of length 1, or 0 where nothing is known of the item."""
    if options.embeddings == "attributes":
        return _attribute_embeddings(graph, options.dim, seed)
    if matrix.nnz == 0:
        raise UserError("there are no interactions to embed the items by: give interactions, or embeddings: attributes")
    if options.embeddings == "als":
        from rerec_engine.graph import als

        return als.item_embeddings(matrix, dim=options.dim, seed=seed, threads=options.threads)
    from rerec_engine.graph import lightgcn
    from rerec_engine.threads import give_way

    give_way()
    # A step costs one propagation over the whole graph, whatever its batch: more than 100 steps an epoch are wasted.
    batch = options.batch or max(2048, matrix.nnz // 100)
    return lightgcn.item_embeddings(
        matrix,
        dim=options.dim,
        epochs=options.epochs,
        batch=batch,
        seed=seed,
        threads=options.threads,
        progress=True,
    )


def finish(output: Path, prepared: Prepared, options: EmbeddingOptions, seed: int, settings: Mapping[str, Any]) -> str:
    """Embed, write the dataset directory with `prepare_report.json`, and return the report as text."""
    prepared.counts.check()
    dataset = {
        "items": len(prepared.items.titles),
        "attributes": len(prepared.graph),
        "item_attributes": int(prepared.graph.item_attributes.nnz),
        "users": int(prepared.interactions.shape[0]),
        "interactions": int(prepared.interactions.nnz),
    }
    report = {
        **prepared.counts.to_json(),
        "splits": {split: _by_category(queries) for split, queries in prepared.splits.items()},
        "dataset": dataset,
        "settings": {**settings, **asdict(options), "seed": seed},
    }
    if not any(prepared.splits.values()):
        raise UserError(f"no query is left to write to {output}:\n{prepared.counts.table()}")
    text = json.dumps(report, indent=2, default=str, ensure_ascii=False)
    write_dataset(
        output,
        titles=prepared.items.titles,
        years=prepared.items.years,
        relations=prepared.graph.relations,
        values=prepared.graph.values,
        item_attributes=prepared.graph.item_attributes,
        interactions=prepared.interactions,
        item_embeddings=embed(prepared.interactions, prepared.graph, options, seed),
        splits=prepared.splits,
        data_source=prepared.data_source,
        description=prepared.description,
        source_ids=prepared.items.source_ids,
        user_ids=prepared.user_ids,
        profiles=prepared.profiles,
        texts=prepared.texts,
        numbers=prepared.numbers,
        extra_info=prepared.extra_info,
        files={
            **prepared.files,
            "prepare_report.json": text + "\n",
        },
    )
    sizes = "\n".join(
        f"{split}: {len(queries)} queries ({', '.join(f'{k} {v}' for k, v in _by_category(queries).items())})"
        for split, queries in prepared.splits.items()
    )
    figures = ", ".join(f"{name.replace('_', '-')} {value}" for name, value in dataset.items())
    return f"{prepared.counts.table()}\n\n{sizes}\n{figures}\nwritten to {output}"


def check_shares(val: float, test: float) -> dict[str, float]:
    """Shares of the three splits; raises UserError unless they leave something to train on."""
    if not (val >= 0 and test >= 0 and val + test < 1):
        raise UserError(f"val and test must be shares whose sum is below 1, got {val} and {test}")
    return dict(zip(SPLITS, (1 - val - test, val, test), strict=True))


def _by_category(queries: Sequence[Query]) -> dict[str, int]:
    return dict(sorted(Counter(query.category for query in queries).items()))


def _attribute_embeddings(graph: AttributeGraph, dim: int, seed: int) -> np.ndarray:
    """Left singular vectors times singular values of the item-attribute matrix, columns weighted by idf."""
    from scipy.sparse.linalg import svds

    matrix = graph.item_attributes.astype(np.float64)
    rank = min(dim, min(matrix.shape) - 1)
    if rank < 1 or matrix.nnz == 0:
        raise UserError("there are too few attributes to embed the items by: give attributes")
    degree = np.maximum(np.bincount(matrix.indices, minlength=matrix.shape[1]), 1)
    weighted = matrix @ sp.diags(np.log(1 + matrix.shape[0] / degree))
    left, singular, _ = svds(weighted, k=rank, random_state=seed)
    rows = left * singular
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(length > 1e-9, rows / np.maximum(length, 1e-9), 0).astype(np.float32)
