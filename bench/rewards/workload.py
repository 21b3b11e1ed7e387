"""What the reward benchmarks score: 2,560 real responses over the MovieLens-1M catalogue and its DBpedia attributes.

Needs the folders `reward-workload`, `ml-1m` and `ml-1m-dbpedia` below `$REREC_SHARED_DATA`, else `../shared/data`.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from transformers import PreTrainedTokenizerFast

from bench.common.data import shared_data
from rerec_engine.data.counts import Counts
from rerec_engine.data.sources import read_attributes, read_items
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.reward import RewardEngine

WIDTH = 64  # of the embeddings: random unit rows, since their values do not change the cost
FOLDERS = ("reward-workload", "ml-1m", "ml-1m-dbpedia")


@dataclass(frozen=True)
class Tables:
    """A catalogue of N items with A attributes."""

    titles: list[str]
    years: list[int | None]
    attributes: sp.csr_matrix  # [N, A], rows sorted
    embeddings: np.ndarray  # [N, WIDTH] float32, unit rows

    def engine(self, threads: int) -> RewardEngine:
        return RewardEngine(Catalogue(self.titles, self.years), self.attributes, self.embeddings, threads=threads)


def unit_rows(count: int, seed: int = 0) -> np.ndarray:
    """Random unit rows [count, WIDTH] float32."""
    rows = np.random.default_rng(seed).standard_normal((count, WIDTH), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def ml1m() -> Tables:
    """3,883 films, 41,349 attributes of them."""
    counts = Counts()
    items = read_items(shared_data() / "ml-1m" / "movies.dat", counts)
    triples = read_attributes(shared_data() / "ml-1m-dbpedia" / "item_attributes.tsv", items, counts)
    graph = AttributeGraph.from_triples(triples, len(items.titles))
    return Tables(items.titles, items.years, graph.item_attributes, unit_rows(len(items.titles)))


@dataclass(frozen=True)
class Workload:
    """B responses as a trainer holds them, with what they are scored against."""

    tables: Tables
    tokenizer: PreTrainedTokenizerFast
    texts: list[str]
    truth_titles: list[str]
    candidate_titles: list[list[str]]

    @cached_property
    def padded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """ids [B, L] int64 padded on the right, lengths [B] int64."""
        encoded = self.tokenizer(self.texts, padding=True, return_tensors="pt", add_special_tokens=False)
        return encoded["input_ids"], encoded["attention_mask"].sum(dim=1)

    @cached_property
    def rows(self) -> list[list[int]]:
        """Ids of each response."""
        ids, lengths = self.padded
        return [row[:length] for row, length in zip(ids.tolist(), lengths.tolist(), strict=True)]

    @cached_property
    def truth(self) -> np.ndarray:
        """[B] int64 item ids."""
        index = {title: item for item, title in enumerate(self.tables.titles)}
        return np.array([index[title] for title in self.truth_titles])

    @cached_property
    def candidates(self) -> np.ndarray:
        """[B, 20] int64 item ids."""
        index = {title: item for item, title in enumerate(self.tables.titles)}
        return np.array([[index[title] for title in titles] for titles in self.candidate_titles])


def load_workload() -> Workload:
    folder = shared_data() / "reward-workload"
    rows: list[dict[str, Any]] = json.loads(gzip.decompress((folder / "work.json.gz").read_bytes()))
    return Workload(
        ml1m(),
        PreTrainedTokenizerFast.from_pretrained(folder),
        [row["response"] for row in rows],
        [row["gt"] for row in rows],
        [row["cand"] for row in rows],
    )
