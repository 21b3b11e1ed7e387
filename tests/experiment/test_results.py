"""What finished runs have come to, and the files that tell it, from run directories made by hand."""

from __future__ import annotations

import dataclasses
import json
import math
import sys

import pytest

from rerec_engine.config import Config
from rerec_engine.experiment.results import collect, figures, picture, write_results
from rerec_engine.experiment.runner import Run
from rerec_engine.experiment.suite import load_suite
from rerec_engine.experiment.table import compare

SUITE = """
title: Two arms
data: world
seeds: 3
against: plain
settings: {train.steps: 7}
arms: {plain: {}, warm: {rollout.temperature: 0.5}}
"""
TESTS = {"books": {"accuracy": 0.25, "by_category": {"implicit": 0.25}, "mean_length": 7.0},
         "films": {"accuracy": 0.75, "by_category": {}, "mean_length": 8.0}}  # fmt: skip


@pytest.fixture
def make_run(tmp_path, make_finished):
    """`make_run(arm, seed, accuracy=None, measures=(), ...)`: a run, finished where it has an accuracy."""

    def make(arm, seed, accuracy=None, measures=(), **more):
        run = Run(arm, seed, tmp_path / arm / f"seed_{seed}", Config(), measures)
        if accuracy is not None:
            make_finished(run, accuracy, **more)
        return run

    return make


@pytest.fixture
def suite(tmp_path):
    (tmp_path / "two.yaml").write_text(SUITE)
    return load_suite(str(tmp_path / "two.yaml"))


def test_figures_without_tests_are_those_after_training(make_run):
    found = figures(make_run("plain", 0, 0.4, cpu_seconds=90.0))
    assert found == {
        "accuracy": 0.4,
        "by_category": {"explicit": 0.4},
        "more": {},
        "mean_length": 12.0,
        "cpu_minutes": 1.5,
        "tokens": 3000.0,
    }


def test_the_first_test_is_what_arms_are_judged_by(make_run):
    measured = {"tests": TESTS, "known": {"facts": 0.9}}
    found = figures(make_run("plain", 0, 0.4, ("--tests", "books=B", "films=F"), measured=measured))
    assert (found["accuracy"], found["by_category"], found["mean_length"]) == (0.25, {"implicit": 0.25}, 7.0)
    assert found["more"] == {"films": 0.75, "facts": 0.9}


def test_what_is_known_alone_leaves_the_accuracy(make_run):
    measured = {"tests": {}, "known": {"facts": 0.9}}
    found = figures(make_run("plain", 0, 0.4, ("--world", "{}"), measured=measured))
    assert (found["accuracy"], found["more"]) == (0.4, {"facts": 0.9})


def test_a_run_whose_time_was_not_taken(make_run):
    run = make_run("plain", 0, 0.4)
    (run.path / "usage.json").unlink()
    assert math.isnan(figures(run)["cpu_minutes"])


def test_only_what_is_finished_is_collected(make_run):
    runs = [
        make_run("plain", 0, 0.4),
        make_run("plain", 1, 0.9, moment="during"),  # cut off
        make_run("plain", 2),  # not begun
        make_run("warm", 0, 0.9, ("--world", "{}")),  # trained, not measured
    ]
    found = collect(runs)
    assert {arm: {seed: run["accuracy"] for seed, run in seeds.items()} for arm, seeds in found.items()} == {
        "plain": {0: 0.4},
        "warm": {},
    }
    assert collect([]) == {}


def test_a_suite_may_be_judged_by_ndcg(make_run, suite, tmp_path):
    run = make_run("plain", 0, 0.4)
    lines = (run.path / "eval.jsonl").read_text().splitlines()
    told = [json.dumps({**json.loads(line), "ndcg@3": 0.625}) + "\n" for line in lines]
    (run.path / "eval.jsonl").write_text("".join(told))
    found = figures(run, judge="ndcg@3")
    assert (found["accuracy"], found["more"]) == (0.625, {"first right": 0.4})
    write_results(dataclasses.replace(suite, judge="ndcg@3"), tmp_path, [run])
    assert "|  | ndcg@3 | explicit | first right |" in (tmp_path / "results.md").read_text()


def test_the_files_tell_what_was_found(suite, make_run, tmp_path):
    output = tmp_path / "out"
    output.mkdir()
    accuracies = {"plain": [0.25, 0.5, 0.75], "warm": [0.5, 0.75]}
    runs = [make_run(arm, seed, x) for arm, values in accuracies.items() for seed, x in enumerate(values)]
    (runs[0].path / "usage.json").unlink()
    rows = write_results(suite, output, [*runs, make_run("warm", 2)])
    assert [(row.arm, row.seeds, row.accuracy) for row in rows] == [("plain", 3, 0.5), ("warm", 2, 0.625)]
    assert rows[1].difference == 0.25
    record = json.loads((output / "results.json").read_text(), parse_constant=pytest.fail)  # NaN is no JSON
    assert (record["suite"], record["title"], record["against"]) == ("two", "Two arms", "plain")
    assert record["arms"] == {"plain": {}, "warm": {"rollout.temperature": "0.5"}}
    assert record["settings"] == {"train.steps": "7"}
    assert record["data"] == str(tmp_path / "world")
    assert record["environment"]["versions"]
    assert [(row["arm"], row["accuracy"], row["runs"]) for row in record["table"]] == [
        ("plain", 0.5, [0.25, 0.5, 0.75]),
        ("warm", 0.625, [0.5, 0.75]),
    ]
    assert record["table"][0]["difference"] is record["table"][0]["p"] is None
    assert record["results"]["warm"]["1"]["accuracy"] == 0.75
    assert [run["cpu_minutes"] for run in record["results"]["plain"].values()] == [None, 1.5, 1.5]
    text = (output / "results.md").read_text()
    assert text.startswith("# Two arms\n\n|")
    assert "| warm (n = 2) |" in text
    commands = [line for line in text.splitlines() if line.startswith("- ")]
    assert [line.split(":")[0] for line in commands] == ["- plain", "- warm"]
    assert all("`python -m rerec_engine.train --data.path DATA" in line for line in commands)
    assert all("--train.steps 7" in line for line in commands)
    assert ["--rollout.temperature 0.5" in line for line in commands] == [False, True]


def test_nothing_finished_is_a_table_without_rows(suite, make_run, tmp_path):
    assert write_results(suite, tmp_path, [make_run("plain", 0)]) == []
    assert json.loads((tmp_path / "results.json").read_text())["results"] == {"plain": {}}
    assert "(n =" not in (tmp_path / "results.md").read_text()


def test_the_picture_shows_every_run_and_every_interval(make_run, tmp_path, monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="matplotlib is missing: pip install .[plot]")
    values = {"plain": [0.25, 0.5, 0.75], "warm": [0.5, 0.75, 0.75], "once": [0.125]}
    rows = compare(collect([make_run(arm, i, x) for arm, own in values.items() for i, x in enumerate(own)]), "plain")
    shown = []
    monkeypatch.setattr(pyplot, "close", shown.append)
    picture(rows, "A title", "plain", tmp_path / "results.png")
    assert (tmp_path / "results.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    (figure,) = shown
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["once", "warm", "plain"]  # the first on top
    dots = [line for line in left.lines if line.get_marker() == "o"]
    assert [list(line.get_xdata()) for line in dots] == [values[arm] for arm in ("once", "warm", "plain")]
    bars = [list(line.get_xdata()) for line in right.lines if line.get_linewidth() == 2 and line.get_marker() == "None"]
    assert bars == [[rows[1].difference_low, rows[1].difference_high]]  # the others have none
    monkeypatch.undo()
    pyplot.close(figure)


def test_without_matplotlib_there_is_no_picture(suite, make_run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    write_results(suite, tmp_path, [make_run("plain", 0, 0.5)])
    assert (tmp_path / "results.md").is_file()
    assert not (tmp_path / "results.png").exists()
