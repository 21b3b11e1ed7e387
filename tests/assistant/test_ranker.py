from __future__ import annotations

import numpy as np

from rerec_engine.assistant.ranker import rules
from rerec_engine.data.dataset import Dataset
from rerec_engine.types import Query


def test_the_rules_order_the_candidates_and_rule_some_out(films: Dataset) -> None:
    score = rules(films)
    shown = np.arange(films.item_count)
    dramas = [i for i in shown if ("Genre", "Drama") in films.attributes.attributes_of(int(i))]
    scores = score(Query("q", (), ground_truth=(0,), request="a drama"), shown)
    assert scores is not None
    assert set(np.argsort(-scores)[: len(dramas)]) == set(dramas)
    without = score(Query("q", (), ground_truth=(0,), request="anything, but no drama", history=(0,)), shown)
    assert without is not None
    assert {int(i) for i in np.flatnonzero(np.isneginf(without))} == {*map(int, dramas), 0}
