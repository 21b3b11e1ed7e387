from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from safetensors.numpy import load_file, save_file

from rerec_engine.data.dataset import load_dataset, write_dataset
from rerec_engine.errors import UserError
from rerec_engine.types import Message, Query

Write = Callable[..., Path]


def edit(path: Path, column: str, change: Callable[[list[Any]], Any]) -> None:
    """Rewrite one column of a parquet file through Python values."""
    table = pq.read_table(path)
    values = table[column].to_pylist()
    changed = change(values)
    index = table.column_names.index(column)
    array = pa.array(values if changed is None else changed)
    pq.write_table(table.set_column(index, column, array), path)


def set_extra(path: Path, row: int, **fields: Any) -> None:
    edit(path, "extra_info", lambda rows: rows[row].update(fields))


def test_round_trip(written: Write, arguments: dict[str, Any]) -> None:
    dataset = load_dataset(written(extra_info={"a": {"note": "x", "all": ["Heat (1995)"]}}))
    assert dataset.titles == arguments["titles"]
    assert dataset.years == arguments["years"]
    assert dataset.splits == ("train", "test")
    assert dataset.queries("train") == arguments["splits"]["train"]
    assert dataset.attributes.attributes_of(2) == [("genre", "Sci-Fi")]
    assert dataset.documents()[2] == f"{dataset.titles[2]}. Sci-Fi"
    assert (dataset.interactions != arguments["interactions"]).nnz == 0
    np.testing.assert_array_equal(dataset.item_embeddings, arguments["item_embeddings"])
    assert isinstance(dataset.item_embeddings, np.memmap)
    assert dataset.catalogue.match("The Usual Suspects") == 1
    rows = pq.read_table(dataset.path / "train.parquet").to_pylist()
    assert [row["extra_info"]["note"] for row in rows] == ["x", None]
    assert rows[0]["reward_model"] == {"style": "rule", "ground_truth": ["Heat (1995)"]}
    assert rows[0]["extra_info"]["candidates"] == ["Alien³ (1992)", "Heat (1995)", "Usual Suspects, The (1995)"]
    assert rows[0]["prompt"] == [{"role": "user", "content": "a \\boxed{film}?"}]
    assert rows[1]["extra_info"]["index"] == 1


def test_other_readers_find_plain_files(written: Write) -> None:
    path = written()
    assert load_file(path / "item_embeddings.safetensors")["item_embeddings"].shape == (5, 3)
    assert sp.load_npz(path / "item_attributes.npz").dtype == np.int8
    assert sorted(entry.name for entry in path.iterdir()) == [
        "attributes.parquet",
        "dataset.json",
        "interactions.npz",
        "item_attributes.npz",
        "item_embeddings.safetensors",
        "items.parquet",
        "test.parquet",
        "train.parquet",
        "users.parquet",
    ]


def test_rows_with_titles_alone_are_resolved(written: Write) -> None:
    path = written()
    set_extra(
        path / "test.parquet",
        0,
        candidate_ids=None,
        ground_truth_ids=None,
        candidates=["The Usual Suspects", "HEAT", "Casino (1995)"],
    )
    edit(path / "test.parquet", "reward_model", lambda rows: rows[0].update(ground_truth=["Heat"]))
    (query,) = load_dataset(path).queries("test")
    assert query.candidates == (1, 0, 4)
    assert query.ground_truth == (0,)


def test_items_named_change_the_files_of_no_other_dataset(written: Write, arguments: dict[str, Any]) -> None:
    def fields(path: Path, split: str) -> set[str]:
        return {field.name for field in pq.read_schema(path / f"{split}.parquet").field("extra_info").type}

    assert not {"named", "named_ids"} & fields(written(), "test")
    splits = {**arguments["splits"], "train": [replace(arguments["splits"]["train"][0], named=(3, 4))]}
    path = written(splits=splits)
    assert {"named", "named_ids"} <= fields(path, "train") & fields(path, "test")
    data = load_dataset(path)
    assert [data.queries(split)[0].named for split in ("train", "test")] == [(3, 4), ()]
    splits["train"] = [replace(splits["train"][0], named=(5,))]
    with pytest.raises(UserError, match="item 5 is out of range"):
        written(splits=splits)


def test_a_joined_ground_truth_is_split(written: Write) -> None:
    path = written()
    set_extra(path / "test.parquet", 0, ground_truth_ids=None)
    models = [{"style": "rule", "ground_truth": "Heat (1995);The Usual Suspects (1995)"}]
    edit(path / "test.parquet", "reward_model", lambda _: models)
    assert load_dataset(path).queries("test")[0].ground_truth == (0, 1)


BROKEN_ROWS: list[tuple[dict[str, Any], str, str]] = [
    ({"ground_truth_ids": [5]}, "item out of range", "0..4, got 5"),
    ({"candidate_ids": [0, 1, -1]}, "item out of range", "0..4, got -1"),
    ({"candidate_ids": [2, 0, 2], "candidates": None}, "repeated candidates", "Alien³"),
    ({"candidate_ids": [1, 2], "candidates": None}, "ground truth not among candidates", "Heat"),
    ({"candidate_ids": [0, 1, 2]}, "ids and titles disagree", "Alien³"),
    ({"candidate_ids": [0, 1]}, "ids and titles disagree", "3 titles and 2 ids"),
    ({"candidate_ids": None, "candidates": ["Heat", "Nothing (1999)"]}, "title in no catalogue", "Nothing (1999)"),
    ({"user_id": 2}, "user out of range", "-1..1"),
    ({"history_ids": [9], "history": None}, "item out of range", "history"),
]


@pytest.mark.parametrize(("fields", "reason", "detail"), BROKEN_ROWS)
def test_a_broken_row_is_named_or_counted(written: Write, fields: dict[str, Any], reason: str, detail: str) -> None:
    path = written()
    set_extra(path / "train.parquet", 0, **fields)
    dataset = load_dataset(path)
    with pytest.raises(UserError) as caught:
        dataset.queries("train")
    assert "train.parquet:1:" in str(caught.value)
    assert detail in str(caught.value)
    queries, counts = dataset.queries("train", skip_bad=True)
    assert [query.id for query in queries] == ["b"]
    counts.check()
    assert (counts.read_by_kind["train"], counts.dropped("train")) == (2, {reason: 1})
    assert detail in counts.examples[f"train: {reason}"][0]


def test_an_empty_ground_truth_is_refused(written: Write) -> None:
    path = written()
    edit(path / "train.parquet", "reward_model", lambda rows: rows[1].update(ground_truth=[]))
    set_extra(path / "train.parquet", 1, ground_truth_ids=[])
    with pytest.raises(UserError, match=r"train\.parquet:2:.*ground_truth is empty"):
        load_dataset(path).queries("train")


def test_a_repeated_id_and_an_empty_prompt_are_refused(written: Write) -> None:
    path = written()
    set_extra(path / "train.parquet", 1, id="a")
    with pytest.raises(UserError, match=r"train\.parquet:2:.*'a' occurs twice"):
        load_dataset(path).queries("train")
    edit(path / "train.parquet", "prompt", lambda rows: [[], rows[1]])
    with pytest.raises(UserError, match=r"train\.parquet:1:.*prompt"):
        load_dataset(path).queries("train")


def test_a_missing_file_is_named(written: Write) -> None:
    path = written()
    for name in ("items.parquet", "attributes.parquet", "item_attributes.npz", "interactions.npz"):
        (path / name).rename(path / "away")
        with pytest.raises(UserError, match=f"{name}: no such file"):
            load_dataset(path)
        (path / "away").rename(path / name)
    with pytest.raises(UserError, match=r"no split 'val' \(has: train, test\)"):
        load_dataset(path).queries("val")
    with pytest.raises(UserError, match="no such dataset directory"):
        load_dataset(path / "nowhere")


@pytest.mark.parametrize("name", ["items.parquet", "item_attributes.npz", "item_embeddings.safetensors"])
@pytest.mark.parametrize("left", [0.0, 0.4, 0.95])
def test_a_truncated_file_is_named(written: Write, name: str, left: float) -> None:
    path = written()
    data = (path / name).read_bytes()
    (path / name).write_bytes(data[: int(len(data) * left)])
    with pytest.raises(UserError, match=name):
        load_dataset(path)


def test_a_truncated_split_is_named(written: Write) -> None:
    path = written()
    data = (path / "test.parquet").read_bytes()
    (path / "test.parquet").write_bytes(data[:-10])
    with pytest.raises(UserError, match=r"test\.parquet.*truncated"):
        load_dataset(path).queries("test")


def test_a_missing_column_is_named(written: Write) -> None:
    path = written()
    pq.write_table(pq.read_table(path / "test.parquet").drop_columns(["reward_model"]), path / "test.parquet")
    with pytest.raises(UserError, match="column reward_model is missing"):
        load_dataset(path).queries("test")


def test_ids_titles_and_shapes_are_checked(written: Write) -> None:
    path = written()
    edit(path / "items.parquet", "item_id", lambda _: [0, 1, 3, 2, 4])
    with pytest.raises(UserError, match=r"items\.parquet:3:.*item_id must be 0\.\.4"):
        load_dataset(path)
    path = written()
    edit(path / "items.parquet", "title", lambda titles: ["Heat (1995)"] * 2 + titles[2:])
    with pytest.raises(UserError, match=r"items\.parquet:2:.*row 1 too"):
        load_dataset(path)
    path = written()
    sp.save_npz(path / "interactions.npz", sp.csr_matrix(np.ones((2, 4), np.float32)))
    with pytest.raises(UserError, match=r"interactions\.npz: expected 5 columns, got 4"):
        load_dataset(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_embeddings_are_checked(written: Write, bad: float) -> None:
    path = written() / "item_embeddings.safetensors"
    rows = np.ones((5, 3), np.float32)
    rows[3, 1] = bad
    save_file({"item_embeddings": rows}, path)
    with pytest.raises(UserError, match="item 3 holds a NaN or an infinity"):
        load_dataset(path.parent)
    for wrong in (np.ones((4, 3), np.float32), np.ones((5, 3), np.float16), np.ones(5, np.float32)):
        save_file({"item_embeddings": wrong}, path)
        with pytest.raises(UserError, match=r"must be F32 \[5, d\]"):
            load_dataset(path.parent)
    save_file({"other": rows}, path)
    with pytest.raises(UserError, match="item_embeddings"):
        load_dataset(path.parent)


def test_an_older_dataset_is_replaced_and_anything_else_refused(written: Write, arguments: dict[str, Any]) -> None:
    path = written()
    written(splits={"train": arguments["splits"]["test"]})
    assert load_dataset(path).splits == ("train",)
    (path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"not a dataset directory \(it holds notes\.txt\)"):
        written()
    assert (path / "notes.txt").read_text() == "mine"
    other = path.parent / "other"
    other.mkdir()
    write_dataset(other, **arguments)
    (path.parent / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        write_dataset(path.parent / "file", **arguments)


def test_nothing_is_left_of_a_failed_write(written: Write, arguments: dict[str, Any]) -> None:
    path = written()
    before = {entry.name: entry.read_bytes() for entry in path.iterdir()}
    bad = Query("z", (Message(role="user", content="?"),), ground_truth=(0,), candidates=(1, 2))
    with pytest.raises(UserError, match=r"dataset/train\.parquet:1:.*not among the candidates"):
        written(splits={"train": [bad]})
    with pytest.raises(UserError, match="out of range"):
        written(splits={"train": [Query("z", bad.messages, ground_truth=(5,))]})
    with pytest.raises(UserError, match="5 titles but 4 years"):
        written(years=arguments["years"][:4])
    assert {entry.name: entry.read_bytes() for entry in path.iterdir()} == before
    assert [entry.name for entry in path.parent.iterdir()] == ["dataset"]
