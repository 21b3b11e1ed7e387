"""What the doors of raw data share: folders, files found in them, and the way from reading to writing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rerec_engine.data.assemble import Prepared
from rerec_engine.data.counts import Counts
from rerec_engine.data.dataset import load_dataset
from rerec_engine.data.options import EmbeddingOptions, RecBenchOptions
from rerec_engine.data.sources import SourceItems, no_interactions
from rerec_engine.errors import UserError
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.prepare.places import Shares, folder, found, write
from rerec_engine.types import Message, Query


def test_a_folder_is_there_or_not_given(tmp_path: Path) -> None:
    assert folder(None) is None
    assert folder(tmp_path) == tmp_path
    (tmp_path / "file").touch()
    for path in (tmp_path / "gone", tmp_path / "file"):
        with pytest.raises(UserError, match=rf"{path.name}: no such directory"):
            folder(path)


def test_the_first_file_counts_by_root_then_folder_then_name(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for path in (two / "ratings.dat", two / "ml-1m/train.txt", one / "ml-1m/ratings.dat", one / "ml-1m/train.txt"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    names = ("ratings.dat", "train.txt")
    assert found([one, two], ("", "ml-1m"), names) == one / "ml-1m/ratings.dat"
    assert found([two, one], ("", "ml-1m"), names) == two / "ratings.dat"
    assert found([two], ("ml-1m",), names) == two / "ml-1m/train.txt"
    assert found([one], ("", "gone"), names) is None
    (one / "train.txt").mkdir()
    assert found([one], ("",), ("train.txt",)) is None


def read(shares: dict[str, float]) -> Prepared:
    """Four items of two kinds, a query for each split that has a share."""
    items = SourceItems()
    for i in range(4):
        items.add(f"B{i}", f"Game {i}", None)
    graph = AttributeGraph.from_triples([(i, "kind", "ab"[i % 2]) for i in range(4)], 4)
    ask = (Message(role="user", content="?"),)
    splits = {
        split: [Query(f"q-{split}", ask, (0,), category="explicit", request="?")] if share else []
        for split, share in shares.items()
    }
    return Prepared(items, graph, no_interactions(4), splits, {}, Counts(), "made")


def test_what_is_read_is_embedded_and_written(tmp_path: Path) -> None:
    output, options = tmp_path / "out", RecBenchOptions(seed=5, history=2)
    embedding = EmbeddingOptions("attributes", dim=2)
    told = write(output, "games.csv", read, options, embedding, Shares(val=0.5, test=0))
    assert told.endswith(f"written to {output}")
    dataset = load_dataset(output)
    assert {split: len(dataset.queries(split)) for split in dataset.splits} == {"train": 1, "val": 1, "test": 0}
    assert dataset.item_embeddings.shape == (4, 1)  # of two kinds of items
    settings = json.loads((output / "prepare_report.json").read_text())["settings"]
    assert {"sources": "games.csv", "seed": 5, "history": 2, "val": 0.5, "test": 0}.items() <= settings.items()
    assert settings["embeddings"] == "attributes"


@pytest.mark.parametrize(("val", "test"), [(0.5, 0.5), (-0.1, 0.2), (0.2, -0.1), (float("nan"), 0)])
def test_shares_leave_something_to_train_on(tmp_path: Path, val: float, test: float) -> None:
    def never(_: dict[str, float]) -> Prepared:
        raise AssertionError("nothing is read before the shares are checked")

    with pytest.raises(UserError, match="val and test must be shares whose sum is below 1"):
        write(tmp_path / "x", "", never, RecBenchOptions(), EmbeddingOptions("attributes"), Shares(val, test))
    assert not (tmp_path / "x").exists()
