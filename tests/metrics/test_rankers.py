"""What ranks without a model, on a shelf of five films."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from rerec_engine.data.dataset import Dataset, load_dataset, write_dataset
from rerec_engine.data.description import DatasetDescription
from rerec_engine.errors import UserError
from rerec_engine.metrics.rankers import Bm25, Past, embedded_by, embeddings, popularity, transitions
from rerec_engine.types import Query

TITLES = ["Heat (1995)", "Alien (1979)", "Amélie (2001)", "Ran (1985)", "Big (1988)"]
LOG = np.array([[1, 1, 0, 0, 0], [1, 0, 1, 0, 0], [1, 1, 0, 0, 1]], dtype=np.float32)  # [U, N]
CLOSED = Query("q", ({"role": "user", "content": "x"},), ground_truth=(1,), candidates=(0, 1, 2, 3), request="a horror")
OPEN = replace(CLOSED, candidates=())


@pytest.fixture
def shelf(tmp_path: Path) -> Callable[..., Dataset]:
    """The films with their genres; changes: to what `write_dataset` takes."""

    def write(**changes: Any) -> Dataset:
        made: dict[str, Any] = {
            "titles": TITLES,
            "years": [None] * 5,
            "relations": ["genre"] * 3,
            "values": ["crime", "horror", "drama"],
            "item_attributes": sp.csr_matrix([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1], [0, 0, 0]]),
            "interactions": sp.csr_matrix(LOG),
            "item_embeddings": np.eye(5, 2, dtype=np.float32)[[0, 0, 1, 1, 4]],
            "splits": {"test": [CLOSED]},
            "data_source": "test",
            "description": DatasetDescription(facts="asked"),
            **changes,
        }
        write_dataset(tmp_path / "data", **made)
        return load_dataset(tmp_path / "data")

    return write


def of(query: Query, size: int = 5) -> np.ndarray:
    return np.array(query.candidates or range(size))


def test_popularity_counts_users(shelf: Callable[..., Dataset]) -> None:
    score = popularity(shelf(interactions=sp.csr_matrix(3 * LOG)))  # a weight is no further user
    assert score(CLOSED, of(CLOSED)).tolist() == [3, 2, 1, 0]
    assert score(OPEN, of(OPEN)).tolist() == [3, 2, 1, 0, 1]


def test_transitions_count_what_followed_the_last_item(shelf: Callable[..., Dataset]) -> None:
    train = [
        replace(OPEN, id=str(n), history=history, ground_truth=(target,))
        for n, (history, target) in enumerate([((4, 0), 2), ((0,), 2), ((1, 0), 3), ((0, 1), 4), ((), 1)])
    ]
    score = transitions(shelf(splits={"train": train, "test": [CLOSED]}))
    asked = replace(OPEN, history=(1, 0))
    found = score(asked, of(asked))
    assert found is not None
    assert found.astype(int).tolist() == [0, 0, 2, 1, 0]
    assert np.argsort(-found).tolist() == [2, 3, 0, 1, 4]  # equal counts by popularity
    shown = score(replace(CLOSED, history=(0,)), np.array([3, 2]))
    assert shown is not None
    assert shown.astype(int).tolist() == [1, 2]
    assert score(OPEN, of(OPEN)) is None
    for splits in ({"test": [CLOSED]}, {"train": [OPEN], "test": [replace(CLOSED, id="t")]}):
        with pytest.raises(UserError, match="no query of train has a history"):
            transitions(shelf(splits=splits))


@pytest.mark.parametrize("make", [popularity, embeddings])
def test_without_a_log_there_is_none(make: Callable[[Dataset], Any], shelf: Callable[..., Dataset]) -> None:
    with pytest.raises(UserError, match="no log"):
        make(shelf(interactions=sp.csr_matrix((0, 5), dtype=np.float32)))


def test_embeddings_go_by_the_history_and_leave_it_out(shelf: Callable[..., Dataset]) -> None:
    score = embeddings(shelf())
    shown = replace(CLOSED, history=(4, 0))
    assert score(shown, of(shown)).tolist() == [-np.inf, 0.5, 0, 0]
    assert score(CLOSED, of(CLOSED)) is None


def test_the_past_is_the_history_else_the_log_unless_it_holds_the_answer(shelf: Callable[..., Dataset]) -> None:
    past = Past(shelf())
    assert past(replace(CLOSED, history=(3, 2))) == (3, 2)
    assert past(replace(CLOSED, user_id=1)) == (0, 2)
    assert past(replace(CLOSED, user_id=1, history=(2,))) == (2,)
    assert past(replace(CLOSED, user_id=2, history=(4,))) == ()  # the user took film 1
    assert past(replace(CLOSED, user_id=2, history=(1, 4))) == (1, 4)  # and takes it again
    assert past(CLOSED) == ()


def test_what_embedded_the_items_is_read_from_the_report(shelf: Callable[..., Dataset]) -> None:
    assert embedded_by(shelf()) == "embeddings"
    for kind, name in (("lightgcn", "LightGCN"), ("als", "ALS"), ("attributes", "attributes"), ("x", "embeddings")):
        dataset = shelf(files={"prepare_report.json": json.dumps({"settings": {"embeddings": kind}})})
        assert embedded_by(dataset) == name
    told = shelf(files={"prepare_report.json": json.dumps({"settings": {"embeddings": "attributes"}})})
    with pytest.raises(UserError, match="made of attributes"):
        embeddings(told)


def test_bm25_reads_what_the_prompt_shows(shelf: Callable[..., Dataset]) -> None:
    pytest.importorskip("bm25s", reason="bm25s is missing: pip install .[test]")
    score = Bm25(shelf())
    asked = replace(CLOSED, asked=("genre",))
    assert score(CLOSED, of(CLOSED)).tolist() == [0, 0, 0, 0]  # no fact of a genre is shown
    assert score(asked, of(asked)).argmax() == 1
    assert score(replace(CLOSED, request="something like Heat"), of(CLOSED)).argmax() == 0
    named = replace(asked, request="the genre of Big, or of Amélie", candidates=(0, 3), named=(2,))
    assert score(named, of(named)).argmax() == 1  # the prompt tells that Amélie is a drama
    assert score(OPEN, of(OPEN)).argmax() == 1
    for request in ("", "the of", "zebra"):
        for query in (replace(CLOSED, request=request), replace(OPEN, request=request)):
            assert not score(query, of(query)).any()


def test_without_bm25s_it_says_what_to_install(shelf: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(UserError, match=r"bm25s is missing: pip install 'rerec-engine\[baselines\]'"):
        Bm25(shelf())
