"""`prepare recbench`: the pieces found in a folder as RecBench+ or a user lays them out, or given one by one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from rerec_engine.data.dataset import load_dataset
from rerec_engine.data.options import EmbeddingOptions, RecBenchOptions
from rerec_engine.errors import UserError
from rerec_engine.prepare import RecBench, Shares, run

SMALL = EmbeddingOptions("attributes", dim=4)


def test_a_folder_becomes_a_dataset(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "data" / "recbench"
    told = run(RecBench(output, source, embedding=EmbeddingOptions("attributes", dim=8)))
    assert "explicit" in told
    assert "incomplete label 1" in told
    dataset = load_dataset(output)
    assert dataset.item_embeddings.shape == (60, 8)
    lengths = np.linalg.norm(dataset.item_embeddings, axis=1)
    assert np.all((np.abs(lengths - 1) < 1e-5) | (lengths == 0))
    assert sum(len(dataset.queries(split)) for split in dataset.splits) == 11
    report = json.loads((output / "prepare_report.json").read_text())
    assert report["rows"]["explicit"] == {"read": 12, "kept": 11, "dropped": {"incomplete label": 1}}
    assert report["dataset"]["attributes"] == 11
    assert report["dataset"]["interactions"] == 45


def test_the_same_seed_gives_the_same_rows(source: Path, tmp_path: Path) -> None:
    rows = []
    for number, seed in enumerate((3, 3, 4)):
        output = tmp_path / str(number)
        run(RecBench(output, source, embedding=SMALL, options=RecBenchOptions(seed=seed)))
        dataset = load_dataset(output)
        rows.append({split: dataset.queries(split) for split in dataset.splits})
    assert rows[0] == rows[1] != rows[2]


def test_facts_stand_before_the_candidates(source: Path, tmp_path: Path) -> None:
    run(RecBench(tmp_path / "out", source, embedding=SMALL, options=RecBenchOptions(facts="all")))
    dataset = load_dataset(tmp_path / "out")
    assert dataset.description.facts == "all"
    for query in dataset.queries("train"):
        lines = query.messages[0]["content"].split("\n")
        item = query.candidates[0]
        star = dict(dataset.attributes.attributes_of(item))["starring"]
        assert any(line.startswith("- ") and star in line and dataset.titles[item] in line for line in lines)


@pytest.mark.parametrize("place", [".", "recbenchplus", "dataset/movie", "data/movie", "movie"])
def test_where_query_files_lie(source: Path, tmp_path: Path, place: str) -> None:
    """Catalogue, attributes and interactions are taken from the source, wherever the queries lie in it."""
    shutil.move(source / "recbenchplus", source / "away")
    shutil.copytree(source / "away" / "decoded", source / place / "decoded", dirs_exist_ok=True)
    run(RecBench(tmp_path / "out", source, embedding=SMALL))
    report = json.loads((tmp_path / "out" / "prepare_report.json").read_text())
    assert report["rows"]["explicit"]["kept"] == 11
    assert report["dataset"]["users"] == 5


def test_pieces_one_by_one(source: Path, tmp_path: Path) -> None:
    catalogue, attributes = tmp_path / "films.tsv", tmp_path / "mine.tsv"
    catalogue.write_text("id\ttitle\n" + "".join(f"{i}\tFilm {i} ({1900 + i})\n" for i in range(1, 61)))
    attributes.write_text("".join(f"{i}\tkind\tdbr:Kind_{i % 3}\n" for i in range(1, 61)))
    task = RecBench(
        tmp_path / "out", queries=source / "recbenchplus", catalogue=catalogue, attributes=attributes, embedding=SMALL,
        shares=Shares(0, 0),
    )  # fmt: skip
    run(task)
    dataset = load_dataset(tmp_path / "out")
    assert dataset.attributes.attributes_of(0) == [("kind", "Kind 1")]
    assert {split: len(dataset.queries(split)) for split in dataset.splits} == {"train": 11, "val": 0, "test": 0}
    assert dataset.interactions.shape[0] == 5  # beside the queries' folder


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"source": "nowhere"}, "nowhere: no such directory"),
        ({"queries": "nowhere"}, "nowhere: no such directory"),
        ({}, "give --source DIR or --queries DIR"),
        ({"source": "ml-1m"}, r"no RecBench\+ query file found there; give --queries DIR"),
        ({"queries": "ml-1m"}, r"ml-1m: no RecBench\+ query file, such as ExplicitQuery\.json"),
        ({"queries": "recbenchplus/decoded"}, r"decoded: movies\.dat not found there; give --catalogue FILE"),
        ({"source": ".", "attributes": "gone.tsv"}, r"gone\.tsv: no such file"),
    ],
)
def test_what_is_missing(source: Path, tmp_path: Path, names: dict[str, str], message: str) -> None:
    paths = {name: source / place for name, place in names.items()}
    with pytest.raises(UserError, match=message):
        run(RecBench(tmp_path / "out", **paths, embedding=SMALL))
    assert not (tmp_path / "out").exists()
