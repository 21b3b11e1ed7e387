"""`prepare files --task next-item`, from files to a dataset directory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rerec_engine import prepare
from rerec_engine.data.dataset import load_dataset
from rerec_engine.data.options import EmbeddingOptions, SequenceOptions
from rerec_engine.data.traces import read_traces
from rerec_engine.errors import UserError
from rerec_engine.reward import RewardEngine
from rerec_engine.worlds.options import CatalogueRequestOptions

GAMES = Path(__file__).parent / "files" / "games"
SMALL = EmbeddingOptions("attributes", dim=8)


def test_published_splits(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    products = {str(i): {"title": f"Pen {'ABCDEF'[i]}", "brand": f"B{i % 2}", "description": "x"} for i in range(6)}
    (source / "Office.item.json").write_text(json.dumps(products))
    head = "user_id,history_item_id,item_id\n"
    (source / "valid.csv").write_text(f'{head}ann,"[0, 1, 2]",3\n')
    (source / "test.csv").write_text(f'{head}ann,"[0, 1, 2, 3]",4\nben,"[5, 0]",1\n')
    task = prepare.Files(
        tmp_path / "data",
        preset="amazon-office",
        source=source,
        task="next-item",
        sequence=SequenceOptions(history=2),
        embedding=SMALL,
    )
    told = prepare.run(task)
    assert "train: 3 queries" in told
    data = load_dataset(tmp_path / "data")
    train, val, test = (data.queries(split) for split in ("train", "val", "test"))
    assert [(query.history, query.ground_truth) for query in train] == [((0,), (1,)), ((0, 1), (2,)), ((5,), (0,))]
    assert [(query.history, query.ground_truth) for query in (*val, *test)] == [
        ((1, 2), (3,)),
        ((2, 3), (4,)),
        ((5, 0), (1,)),
    ]
    assert not any(query.candidates for query in (*train, *val, *test))
    assert data.interactions.toarray().tolist() == [[1, 1, 1, 0, 0, 0], [1, 0, 0, 0, 0, 1]]
    words = test[0].messages[0]["content"]
    assert "Request: Which product should I choose next?" in words
    assert "oldest first:\n- Pen C\n- Pen D" in words
    traces = read_traces(tmp_path / "data" / "warm_start.parquet")
    assert [trace.response for trace in traces] == ["\\boxed{Pen B}", "\\boxed{Pen C}", "\\boxed{Pen A}"]
    assert traces[0].prompt == list(train[0].messages)


def test_several_items_may_be_asked_for(tmp_path: Path) -> None:
    games = GAMES / "games.csv", GAMES / "orders.csv"
    few = CatalogueRequestOptions(traces=5, seed=3)
    sequence = SequenceOptions(listed=4)
    task = prepare.Files(tmp_path / "data", *games, task="next-item", sequence=sequence, requests=few, embedding=SMALL)
    prepare.run(task)
    data = load_dataset(tmp_path / "data")
    train = {query.messages[0]["content"]: query for query in data.queries("train")}
    assert "Which items should I choose next? Name 4, one a line, the likeliest first." in next(iter(train))
    traces = read_traces(tmp_path / "data" / "warm_start.parquet")
    assert len(traces) == 5
    engine = RewardEngine.load(tmp_path / "data")
    for trace in traces:
        query = train[trace.prompt[0]["content"]]
        items = engine.score([trace.response], [query.ground_truth]).items[0].tolist()
        assert len(set(items)) == len(items) == 4
        assert items[0] == query.ground_truth[0]
        assert min(items) >= 0
    with pytest.raises(UserError, match="listed must be 1 to the number of items"):
        prepare.run(prepare.Files(tmp_path / "x", *games, task="next-item", sequence=SequenceOptions(listed=0)))


def test_a_plain_log(tmp_path: Path) -> None:
    task = prepare.Files(
        tmp_path / "data", GAMES / "games.csv", GAMES / "orders.csv", task="next-item", embedding=SMALL
    )
    prepare.run(task)
    data = load_dataset(tmp_path / "data")
    test = data.queries("test")
    assert len(test) == len(data.queries("val")) <= data.interactions.shape[0]
    for query in test:
        own = data.interactions[query.user_id].indices
        assert query.ground_truth[0] not in own  # held out of the log


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="next-item needs to know who took what: give --interactions"):
        prepare.run(prepare.Files(tmp_path / "data", GAMES / "games.csv", task="next-item", embedding=SMALL))
    task = prepare.Files(
        tmp_path / "data",
        GAMES / "games.csv",
        GAMES / "orders.csv",
        task="next-item",
        sequence=SequenceOptions(history=0),
        embedding=SMALL,
    )
    with pytest.raises(UserError, match="history must be at least 1"):
        prepare.run(task)
