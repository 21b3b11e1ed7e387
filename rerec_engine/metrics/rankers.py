"""Rankers that need no language model: popularity, what followed the last item, BM25 over what the prompts show,
LightGCN's embeddings.

A ranker scores the items that a query may name, higher is better, -inf for one that it rules out; None where it knows
nothing to go by.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from rerec_engine.data.dataset import Dataset
from rerec_engine.data.knowledge import Knowledge
from rerec_engine.data.prompter import Prompter
from rerec_engine.errors import UserError
from rerec_engine.types import Query

Ranker = Callable[[Query, np.ndarray], "np.ndarray | None"]
"""Of a query and the items that it may name [C] int64: their scores [C], or None."""


def popularity(dataset: Dataset) -> Ranker:
    """By the number of users who took an item. Raises UserError where there is no log."""
    _check_log(dataset)
    count = np.asarray(dataset.interactions.getnnz(axis=0), dtype=np.float64)  # [N]
    return lambda _, shown: count[shown]


def transitions(dataset: Dataset) -> Ranker:
    """By how often an item followed the history's last one in train's queries, then by popularity: a Markov chain.

    None for a query without a history. Raises UserError where no query of train has one.
    """
    pairs = [
        (query.history[-1], query.ground_truth[0])
        for query in (dataset.queries("train") if "train" in dataset.splits else ())
        if query.history
    ]
    if not pairs:
        raise UserError("no query of train has a history to learn from")
    before, behind = np.array(pairs).T
    size = dataset.item_count
    counts = sp.csr_matrix((np.ones(len(pairs)), (before, behind)), (size, size))
    taken = np.asarray(dataset.interactions.getnnz(axis=0), dtype=np.float64)  # [N]
    share = taken / (taken.max(initial=0) + 1)  # below 1: it decides between equal counts

    def score(query: Query, shown: np.ndarray) -> np.ndarray | None:
        if not query.history:
            return None
        followed = counts[[query.history[-1]]].toarray()[0]
        return np.asarray(followed[shown] + share[shown])

    return score


def embeddings(dataset: Dataset) -> Ranker:
    """By the mean cosine of the dataset's embeddings to the user's past.

    Raises UserError where there is no log, or the embeddings are made of attributes.
    """
    _check_log(dataset)
    if embedded_by(dataset) == "attributes":
        raise UserError("the dataset's embeddings are made of attributes: prepare it with --embeddings lightgcn")
    rows, past = dataset.item_embeddings, Past(dataset)

    def score(query: Query, shown: np.ndarray) -> np.ndarray | None:
        history = past(query)
        if not history:
            return None
        taste = np.asarray(rows[list(history)], dtype=np.float64).mean(axis=0)  # [d]
        scores = np.asarray(rows[shown], dtype=np.float64) @ taste
        scores[np.isin(shown, history)] = -np.inf
        return scores

    return score


class Past:
    """What a query's user took before: the history that its prompt shows, else the user's row of the log.

    Nothing where that row holds a right answer that the history does not: the log, and what was learned from it, then
    give it away. What a history shows may be taken again.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._log = dataset.interactions

    def __call__(self, query: Query) -> tuple[int, ...]:
        own: set[int] = set()
        if query.user_id >= 0:
            start, stop = self._log.indptr[query.user_id : query.user_id + 2]
            own = set(self._log.indices[start:stop].tolist())
        return () if (own - set(query.history)) & set(query.ground_truth) else query.history or tuple(sorted(own))


class Bm25:
    """BM25 (bm25s: Lucene's form, English stop words) of the request, and of what the prompt tells of the items named,
    over the candidates' lines as the prompt shows them; of an open query over the titles and all values.

    Raises UserError where bm25s is not installed.
    """

    def __init__(self, dataset: Dataset) -> None:
        try:
            import bm25s
        except ImportError as error:
            raise UserError(f"bm25s is missing: pip install 'rerec-engine[baselines]' ({error})") from None
        self._bm25s: Any = bm25s
        self._dataset = dataset
        self._facts = Prompter(Knowledge.of(dataset, users=False)).facts

    def __call__(self, query: Query, shown: np.ndarray) -> np.ndarray:
        told = [self._facts.of(item, query.asked) for item in query.named]
        asked, *_ = self._words([" ".join([query.request, *told])])
        if not asked:
            return np.zeros(len(shown))
        if not query.candidates:
            return np.asarray(self._catalogue.get_scores(asked), dtype=np.float64)[shown]
        titles = self._dataset.titles
        lines = [f"{self._facts.of(item, query.asked)}: {titles[item]}" for item in shown.tolist()]
        return np.asarray(self._index(lines).get_scores(asked), dtype=np.float64)

    @cached_property
    def _catalogue(self) -> Any:
        return self._index(self._dataset.documents())

    def _index(self, documents: Sequence[str]) -> Any:
        index = self._bm25s.BM25()
        index.index(self._words(documents), show_progress=False)
        return index

    def _words(self, texts: Sequence[str]) -> list[list[str]]:
        words: list[list[str]] = self._bm25s.tokenize(texts, stopwords="en", return_ids=False, show_progress=False)
        return words


def embedded_by(dataset: Dataset) -> str:
    """What made the item embeddings: "LightGCN", "ALS" or "attributes"; "embeddings" where nobody knows."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        kind = json.loads((dataset.path / "prepare_report.json").read_text())["settings"]["embeddings"]
        return {"lightgcn": "LightGCN", "als": "ALS", "attributes": "attributes"}[kind]
    return "embeddings"


def _check_log(dataset: Dataset) -> None:
    if dataset.interactions.nnz == 0:
        raise UserError("the dataset has no log of who took what")
