from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

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


def test_flags_become_a_task(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], source: Path, tmp_path: Path
) -> None:
    output = tmp_path / "data" / "recbench"
    words = ("--embeddings", "attributes", "--dim", 8, "--seed", 3)
    assert command(monkeypatch, "recbench", "--source", source, "--output", output, *words) == 0
    assert "incomplete label 1" in capsys.readouterr().out
    dataset = load_dataset(output)
    assert dataset.item_embeddings.shape == (60, 8)
    report = json.loads((output / "prepare_report.json").read_text())
    assert (report["settings"]["seed"], report["settings"]["embeddings"]) == (3, "attributes")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["recbench", "--source", "nowhere"], "nowhere: no such directory"),
        (["movielens"], "give --source DIR"),
        (["recbench", "--source", "SOURCE", "--val", "0.9", "--test", "0.1"], "sum is below 1"),
    ],
)
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
