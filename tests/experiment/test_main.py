"""The command: the table of what is there, and what it says where something is amiss."""

from __future__ import annotations

import json

import pytest

from rerec_engine.errors import RunError, UserError
from rerec_engine.experiment.__main__ import main
from rerec_engine.experiment.runner import arm_runs, prepare
from rerec_engine.experiment.suite import load_suite

SUITE = """
title: Two arms
data: {data}
seeds: 2
against: plain
arms: {{plain: {{}}, warm: {{rollout.temperature: 0.5}}}}
"""


@pytest.fixture
def suite(tmp_path, mini_demo):
    path = tmp_path / "two.yaml"
    path.write_text(SUITE.format(data=mini_demo))
    return path


@pytest.fixture
def done(suite, tmp_path, make_finished):
    """An output directory in which three of four runs are finished."""
    loaded, output = load_suite(str(suite)), tmp_path / "out"
    runs = arm_runs(loaded, output, prepare(loaded, output), list(loaded.arms), loaded.seeds)
    for run, accuracy in zip(runs, (0.25, 0.5, 0.75), strict=False):
        make_finished(run, accuracy)
    return output


def test_the_table_of_what_is_there(suite, done, capsys):
    main([str(suite), "--output", str(done), "--table"])
    told = capsys.readouterr().out
    assert "plain (n = 2)" in told
    assert "warm (n = 1)" in told
    assert told.splitlines()[-1].endswith("results.md, results.json, results.png")
    record = json.loads((done / "two" / "results.json").read_text())
    assert [(row["arm"], row["runs"]) for row in record["table"]] == [("plain", [0.25, 0.75]), ("warm", [0.5])]


def test_runs_that_fail_leave_the_table_of_the_others(suite, done, monkeypatch, capsys):
    asked = []

    def fail(suite, output, jobs, arms, seeds):
        asked.append((jobs, arms, seeds))
        raise RunError("1 of 2 runs failed")

    monkeypatch.setattr("rerec_engine.experiment.runner.run_suite", fail)
    with pytest.raises(RunError, match="1 of 2 runs failed"):
        main([str(suite), "--output", str(done), "--jobs", "3", "--seeds", "1", "--arms", "warm"])
    assert asked == [(3, ["warm"], (0,))]
    assert "plain (n = 2)" in capsys.readouterr().out  # what is there of all arms and seeds
    assert (done / "two" / "results.md").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--arms", "plain", "nobody"], r"suite two has no arm 'nobody'; it has plain, warm$"),
        (["--table", "--output", "none"], r"none/two: no results there$"),
        (["--jobs", "0"], r"--jobs: expected 1 or more"),
        (["--seeds", "x"], r"--seeds"),
    ],
)
def test_mistakes_are_one_line_and_run_nothing(suite, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        main([str(suite), *words])
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["two.yaml"]
