"""The assistant's rules as a ranker: what they alone make of a request, without a model."""

from __future__ import annotations

import numpy as np

from rerec_engine.assistant.shortlist import Shortlister
from rerec_engine.data.dataset import Dataset
from rerec_engine.metrics.rankers import Ranker
from rerec_engine.types import Query


def rules(dataset: Dataset) -> Ranker:
    """By the places on a shortlist of the whole catalogue (`shortlist`), for the request's words and the history."""
    shortlister = Shortlister(dataset)

    def score(query: Query, shown: np.ndarray) -> np.ndarray:
        ranked = shortlister.choose(query.request, query.history, count=dataset.item_count).items
        scores = np.full(dataset.item_count, -np.inf)
        scores[list(ranked)] = -np.arange(len(ranked))
        return scores[shown]

    return score
