from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from rerec_engine import prepare
from rerec_engine.cli import run_command
from rerec_engine.data.dataset import load_dataset
from rerec_engine.worlds.options import DemoOptions, FilmOptions, MadeOptions, NextItemOptions


def command(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """Run the command line in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["prepare", *map(str, words)])
    try:
        run_command(prepare.main)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder laid out like the real one, small: 60 films, 12 explicit queries."""
    root = tmp_path / "source"
    for name in ("recbenchplus/decoded", "ml-1m", "ml-1m-dbpedia"):
        (root / name).mkdir(parents=True)
    (root / "ml-1m/movies.dat").write_text("".join(f"{i}::Film {i} ({1900 + i})::War|Drama\n" for i in range(1, 61)))
    (root / "ml-1m/item_map.txt").write_text("".join(f"{i} {i - 1}\n" for i in range(1, 61)))
    (root / "ml-1m/user_map.txt").write_text("".join(f"{i + 1} {i}\n" for i in range(5)))
    (root / "ml-1m/train.txt").write_text(
        "".join(f"{u} {' '.join(str((7 * u + j) % 60) for j in range(9))}\n" for u in range(5))
    )
    (root / "ml-1m/test.txt").write_text("".join(f"{u} {(7 * u + 20) % 60}\n" for u in range(5)))
    (root / "ml-1m-dbpedia/item_attributes.tsv").write_text(
        "movielens_id\trelation\tattribute\n" + "".join(f"{i}\tstarring\tdbr:Star_{i % 9}\n" for i in range(1, 61))
    )
    rows = [
        {"id": str(i), "gt_size": 1, "gt_item_ids": [i], "gt_other": [], "complete": i != 12, "query": f"Query {i}?"}
        for i in range(1, 13)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (root / "recbenchplus/decoded/decoded_Explicit.jsonl").write_text(lines)
    return root


@pytest.mark.parametrize("embeddings", ["lightgcn", "attributes"])
def test_recbench(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], source: Path, tmp_path: Path, embeddings: str
) -> None:
    output = tmp_path / "data" / "recbench"
    arguments = ("--embeddings", embeddings, "--epochs", 2, "--dim", 8, "--threads", 1)
    assert command(monkeypatch, "recbench", "--source", source, "--output", output, *arguments) == 0
    printed = capsys.readouterr().out
    assert "explicit" in printed
    assert "incomplete label 1" in printed
    dataset = load_dataset(output)
    assert dataset.item_embeddings.shape == (60, 8)
    lengths = np.linalg.norm(dataset.item_embeddings, axis=1)
    assert np.all((np.abs(lengths - 1) < 1e-5) | (lengths == 0))
    assert sum(len(dataset.queries(split)) for split in dataset.splits) == 11
    report = json.loads((output / "prepare_report.json").read_text())
    assert report["rows"]["explicit"] == {"read": 12, "kept": 11, "dropped": {"incomplete label": 1}}
    assert report["settings"]["seed"] == 0
    assert report["dataset"]["attributes"] == 11


def test_recbench_with_facts(monkeypatch: pytest.MonkeyPatch, source: Path, tmp_path: Path) -> None:
    words = ("--embeddings", "attributes", "--dim", 4, "--facts", "all")
    assert command(monkeypatch, "recbench", "--source", source, "--output", tmp_path / "out", *words) == 0
    dataset = load_dataset(tmp_path / "out")
    assert dataset.description.facts == "all"
    for query in dataset.queries("train"):
        lines = query.messages[0]["content"].split("\n")
        item = query.candidates[0]
        star = dict(dataset.attributes.attributes_of(item))["starring"].removeprefix("dbr:").replace("_", " ")
        assert any(line.startswith("- ") and star in line and dataset.titles[item] in line for line in lines)


def test_the_same_seed_gives_the_same_rows(monkeypatch: pytest.MonkeyPatch, source: Path, tmp_path: Path) -> None:
    rows = []
    for number, seed in enumerate((3, 3, 4)):
        output = tmp_path / str(number)
        words = (
            "recbench",
            "--source",
            source,
            "--output",
            output,
            "--seed",
            seed,
            "--embeddings",
            "attributes",
            "--dim",
            4,
        )
        assert command(monkeypatch, *words) == 0
        dataset = load_dataset(output)
        rows.append({split: dataset.queries(split) for split in dataset.splits})
    assert rows[0] == rows[1] != rows[2]


def test_movielens(monkeypatch: pytest.MonkeyPatch, source: Path, tmp_path: Path) -> None:
    words = ("--embeddings", "attributes", "--dim", 2, "--val", 0.2, "--test", 0.2)
    attributes = ("--attributes", source / "ml-1m-dbpedia/item_attributes.tsv")
    assert (
        command(
            monkeypatch, "movielens", "--source", source / "ml-1m", "--output", tmp_path / "out", *words, *attributes
        )
        == 0
    )
    dataset = load_dataset(tmp_path / "out")
    assert {split: len(dataset.queries(split)) for split in dataset.splits} == {"train": 3, "val": 1, "test": 1}


FAULTS: list[tuple[list[str], str]] = [
    (["recbench", "--source", "nowhere"], "nowhere: no such directory"),
    (["movielens", "--source", "nowhere"], "nowhere: no such directory"),
    (["rerec-parquet", "--source", "nowhere"], "nowhere: no such directory"),
    (["recbench"], "give --source DIR or --queries"),
    (["movielens"], "give --source DIR"),
    (["recbench", "--source", "SOURCE/ml-1m"], "no RecBench+ query file found"),
    (["recbench", "--queries", "SOURCE/recbenchplus/decoded"], "movies.dat not found there; give --catalogue"),
    (["recbench", "--source", "SOURCE", "--val", "0.9", "--test", "0.1"], "sum is below 1"),
    (["recbench", "--source", "SOURCE", "--attributes", "gone.tsv"], "gone.tsv: no such file"),
    (["movielens", "--source", "SOURCE"], "neither NAME.inter"),
    (["movielens", "--source", "SOURCE/ml-1m", "--max-queries", "0"], "at least 1"),
]


@pytest.mark.parametrize(("words", "message"), FAULTS)
def test_a_mistake_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    source: Path,
    tmp_path: Path,
    words: list[str],
    message: str,
) -> None:
    placed = [word.replace("SOURCE", str(source)) for word in words]
    output = tmp_path / "out"
    assert command(monkeypatch, *placed, "--output", output) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not output.exists()


@pytest.mark.parametrize(
    "words", [[], ["nothing"], ["recbench", "--output", "x", "--bogus", "1"], ["recbench", "--seed", "x"]]
)
def test_a_bad_command_line_has_exit_code_2(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    assert command(monkeypatch, *words) == 2


@pytest.mark.parametrize(
    ("name", "writer", "options"),
    [
        ("demo", "demo.write_demo", DemoOptions(seed=4, train_queries=9, taste="told")),
        ("world", "movielens.write_film_requests", FilmOptions(movielens=Path("ml"), min_ratings=2, short_traces=3)),
        ("next-item", "movielens.write_next_item", NextItemOptions(movielens=Path("ml"), history=4, candidates=9)),
    ],
)
def test_made_worlds_take_every_option(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, writer: str, options: MadeOptions
) -> None:
    calls: list[object] = []
    monkeypatch.setattr(f"rerec_engine.worlds.{writer}", lambda output, options: calls.append((output, options)))
    words = [f"--{field}={value}" for field, value in asdict(options).items() if value != ""]
    assert command(monkeypatch, name, "--output", tmp_path / "d", *words) == 0
    assert calls == [(tmp_path / "d", options)]


@pytest.mark.parametrize("words", [["--movielens", "ml"], ["--task=next item"], ["--min_ratings", "3"]])
def test_an_old_door_names_the_new_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert command(monkeypatch, "demo", "--output", "x", *words) == 2
    assert "`prepare next-item --movielens DIR --history 10`" in capsys.readouterr().err
