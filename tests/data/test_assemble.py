from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from rerec_engine.data.assemble import EmbeddingOptions, Prepared, check_shares, embed, finish
from rerec_engine.data.counts import Counts
from rerec_engine.data.dataset import load_dataset
from rerec_engine.data.description import DatasetDescription
from rerec_engine.data.sources import SourceItems, no_interactions
from rerec_engine.errors import UserError
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.types import Message, Query


def test_embedding_without_interactions_is_refused() -> None:
    graph = AttributeGraph.from_triples([(0, "genre", "War")], 2)
    with pytest.raises(UserError, match="embeddings: attributes"):
        embed(no_interactions(2), graph, EmbeddingOptions(), 0)
    with pytest.raises(UserError, match="too few attributes"):
        embed(no_interactions(2), graph, EmbeddingOptions("attributes"), 0)


def test_attribute_embeddings_bring_like_items_together() -> None:
    triples = [(i, "genre", "War" if i < 5 else "Drama") for i in range(10)] + [(i, "id", str(i)) for i in range(9)]
    graph = AttributeGraph.from_triples(triples, 11)
    rows = embed(no_interactions(11), graph, EmbeddingOptions("attributes", dim=4), 0)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1)[:10], 1, atol=1e-6)
    assert np.all(rows[10] == 0)
    assert rows[0] @ rows[1] > rows[0] @ rows[7] + 0.3


@pytest.mark.parametrize("kind", ["lightgcn", "als"])
def test_items_of_one_audience_are_near(kind: str) -> None:
    if kind == "als":
        pytest.importorskip("implicit", reason="no implicit: pip install .[als]")
    matrix = sp.csr_matrix(np.kron(np.eye(2), np.ones((8, 4))).astype(np.float32))
    graph = AttributeGraph.from_triples([], 8)
    rows = embed(matrix, graph, EmbeddingOptions(kind, dim=8, epochs=20, threads=1), 0)  # type: ignore[arg-type]
    assert rows.shape == (8, 8)
    assert rows[0] @ rows[1] > rows[0] @ rows[5]


@pytest.fixture
def prepared() -> Prepared:
    items, counts = SourceItems(), Counts()
    for i in range(4):
        items.add(f"B{i}", f"Game {i}", None)
        counts.read("items")
        counts.keep("items")
    graph = AttributeGraph.from_triples([(i, "kind", "ab"[i % 2]) for i in range(4)] + [(0, "by", "Ann")], 4)
    ask = (Message(role="user", content="?"),)
    queries = [Query(f"q{i}", ask, (i,), category="explicit", request="?") for i in range(2)]
    matrix = sp.csr_matrix(np.ones((1, 4), np.float32))
    said = DatasetDescription("board game")
    splits = {"train": queries, "val": [], "test": []}
    return Prepared(items, graph, matrix, splits, {}, counts, "games", said, ["cust1"])


def test_the_directory_has_all_that_was_prepared(prepared: Prepared, tmp_path: Path) -> None:
    told = finish(tmp_path / "d", prepared, EmbeddingOptions("attributes", dim=2), 3, {"skip_bad": False})
    assert told.endswith(f"written to {tmp_path / 'd'}")
    assert "train: 2 queries (explicit 2)" in told
    report = json.loads((tmp_path / "d" / "prepare_report.json").read_text())
    assert report["dataset"] == {"items": 4, "attributes": 3, "item_attributes": 5, "users": 1, "interactions": 4}
    assert (report["settings"]["seed"], report["settings"]["dim"]) == (3, 2)
    data = load_dataset(tmp_path / "d")
    assert data.source_ids == ("B0", "B1", "B2", "B3")
    assert data.user_of("cust1") == 0
    assert data.description.items == "board games"
    assert list(data.description.relations) == list(dict.fromkeys(data.attributes.relations))
    assert data.queries("train") == prepared.splits["train"]


def test_nothing_left_to_write_is_told(prepared: Prepared, tmp_path: Path) -> None:
    prepared.splits["train"].clear()
    with pytest.raises(UserError, match="no query is left"):
        finish(tmp_path / "d", prepared, EmbeddingOptions("attributes"), 0, {})
    prepared.counts.read("items")
    with pytest.raises(ValueError, match="items: read 5 != kept 4"):
        finish(tmp_path / "d", prepared, EmbeddingOptions("attributes"), 0, {})


def test_shares_leave_something_to_train_on() -> None:
    assert check_shares(0.1, 0.2) == {"train": pytest.approx(0.7), "val": 0.1, "test": 0.2}
    for val, test in ((0.5, 0.5), (-0.1, 0), (0, 1)):
        with pytest.raises(UserError, match="must be shares whose sum is below 1"):
            check_shares(val, test)
