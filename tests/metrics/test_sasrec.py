"""SASRec as a baseline: what it is fitted on, and, where RecTools is at hand, that it learns what comes next."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from rerec_engine.data.dataset import Dataset, load_dataset, write_dataset
from rerec_engine.errors import UserError
from rerec_engine.metrics.sasrec import chains, context, sasrec, windows
from rerec_engine.types import Query

ITEMS, USERS = 12, 40


def query(split: str, user: int, history: list[int], target: int) -> Query:
    others = [(target + step) % ITEMS for step in range(5)]
    message: Any = {"role": "user", "content": "x"}
    return Query(f"{split}-{user}-{target}", (message,), (target,), tuple(others), user_id=user, history=tuple(history))


@pytest.fixture
def ring(tmp_path: Path) -> Callable[..., Dataset]:
    """After each item everybody takes the next one. changes: to what `write_dataset` takes."""

    def write(**changes: Any) -> Dataset:
        splits: dict[str, list[Query]] = {"train": [], "val": [], "test": []}
        for user in range(USERS):
            own = [(user + step) % ITEMS for step in range(8)]
            splits["train"] += [query("train", user, own[:3], own[3]), query("train", user, own[2:5], own[5])]
            splits["val"].append(query("val", user, own[3:6], own[6]))
            splits["test"].append(query("test", user, own[4:7], own[7]))
        made: dict[str, Any] = {
            "titles": [f"Item {i}" for i in range(ITEMS)],
            "years": [None] * ITEMS,
            "relations": ["genre"],
            "values": ["drama"],
            "item_attributes": sp.csr_matrix((ITEMS, 1), dtype=np.int8),
            "interactions": sp.csr_matrix((USERS, ITEMS), dtype=np.float32),
            "item_embeddings": np.zeros((ITEMS, 2), dtype=np.float32),
            "splits": splits,
            "data_source": "test",
            **changes,
        }
        write_dataset(tmp_path / "data", **made)
        return load_dataset(tmp_path / "data")

    return write


def test_pieces_that_overlap_are_put_together() -> None:
    assert chains([(3, 4, 5), (1, 2, 3), (8, 9)]) == [[1, 2, 3, 4, 5], [8, 9]]
    assert chains([(1, 2), (2, 1)]) == [[1, 2]]
    assert chains([(1, 2), (1, 3), (3, 4)]) == [[1, 2], [3, 4]]
    assert chains([(5, 5, 6)]) == chains([(5, 5), (5, 5, 6), (5, 6)]) == [[5, 5, 6]]
    assert chains([(5, 5, 6), (6, 7)]) == [[5, 6, 7]]
    assert sorted(map(sorted, chains([(1, 2, 3), (3, 1)]))) == [[1, 2, 3]]
    assert chains([]) == []


def test_what_is_not_known_of_a_user_stands_alone() -> None:
    queries = [query("a", 3, [1], 2), query("a", 3, [2], 4), query("a", -1, [1], 2), query("a", -1, [1], 5)]
    assert [*windows(queries).values()] == [[(1, 2), (2, 4)], [(1, 2)], [(1, 5)]]


def test_a_context_ends_with_the_history() -> None:
    assert context((3, 4), [(1, 2, 3), (4, 5, 6)]) == [1, 2, 3, 4]
    assert context((3, 4), []) == [3, 4]
    assert context((3, 4, 3), [(1, 2)]) == context((3, 4, 3), [(3, 4)]) == [3, 4, 3]


def test_what_is_missing_is_told(ring: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch) -> None:
    data = ring()
    test = data.queries("test")
    with pytest.raises(UserError, match="no query has a history, or the log gives its answer away"):
        sasrec(data, [replace(one, history=()) for one in test])
    everything = sp.csr_matrix(np.ones((USERS, ITEMS), dtype=np.float32))
    with pytest.raises(UserError, match="no query has a history, or the log gives its answer away"):
        sasrec(ring(interactions=everything), test)
    with pytest.raises(UserError, match="no query of train has a history"):
        sasrec(ring(splits={"test": test}), test)
    monkeypatch.setitem(sys.modules, "rectools", None)
    with pytest.raises(UserError, match=r"RecTools is missing: pip install 'rerec-engine\[sasrec\]'"):
        sasrec(ring(), test)


@pytest.mark.slow
def test_it_learns_what_comes_next(ring: Callable[..., Dataset]) -> None:
    pytest.importorskip("rectools", reason="RecTools is missing: make test-rectools")
    data = ring()
    test = data.queries("test")
    asked = [*test[1:], replace(test[0], id="none", history=())]
    rank = sasrec(data, asked, epochs=60)
    assert rank(asked[-1], np.array(asked[-1].candidates)) is None
    hits = []
    for one in asked[:-1]:
        scores = rank(one, np.array(one.candidates))
        assert scores is not None
        hits.append(one.candidates[int(scores.argmax())] in one.ground_truth)
    assert np.mean(hits) > 0.9
