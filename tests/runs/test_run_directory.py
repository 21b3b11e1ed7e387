"""The run directory: made, written, cut back, and used again where nothing was trained in it."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rerec_engine.config import Config, WarmStartConfig
from rerec_engine.errors import UserError
from rerec_engine.runs.run_directory import RunDir
from rerec_engine.runs.settings import flatten, read_yaml, with_settings


def config_of(path, epochs=0):
    return dataclasses.replace(Config(), output_dir=str(path), warm_start=WarmStartConfig(epochs=epochs))


def ended(config):
    """A run's directory once the run is gone."""
    run = RunDir.create(config)
    run.release()
    return run


def test_a_new_one_holds_settings_and_environment(tmp_path):
    run = ended(config_of(tmp_path / "a" / "run"))
    assert read_yaml(run.path / "config.yaml") == config_of(tmp_path / "a" / "run")
    assert json.loads((run.path / "environment.json").read_text())["versions"]["torch"]


@pytest.mark.parametrize(
    "left", ["metrics.jsonl", "checkpoints/step_0/model.safetensors", "warm_start.pt", "notes.txt"]
)
def test_what_holds_something_is_refused(tmp_path, left):
    run = ended(config_of(tmp_path))
    (run.path / left).parent.mkdir(parents=True, exist_ok=True)
    (run.path / left).write_text("x")
    with pytest.raises(UserError, match="not empty"):
        RunDir.create(config_of(tmp_path))
    assert (run.path / left).read_text() == "x"


@pytest.mark.parametrize("left", [[], [".lock"], [".lock", ".config.yaml.12.tmp"]])
def test_one_killed_before_its_settings_were_written_may_begin_again(tmp_path, left):
    (tmp_path / "rollouts").mkdir()
    for name in left:
        (tmp_path / name).write_text("12")
    ended(config_of(tmp_path))
    assert sorted(os.listdir(tmp_path)) == [".lock", "config.yaml", "environment.json", "rollouts"]


def test_resumed_it_holds_nothing_of_a_killed_attempt(tmp_path):
    run = ended(config_of(tmp_path))
    for left in (".eval.jsonl.12.tmp", "rollouts/.step_3.parquet.12.tmp"):
        (run.path / left).write_text("half")
    (run.path / ".data.12.tmp").mkdir()
    RunDir.resume(tmp_path, config_of(tmp_path)).release()
    assert sorted(os.listdir(tmp_path)) == [".lock", "config.yaml", "environment.json", "rollouts"]
    assert os.listdir(run.rollouts) == []


@pytest.mark.parametrize(("epochs", "again"), [(0, True), (1, False)])
def test_a_start_model_counts_where_it_was_warm_started(tmp_path, epochs, again):
    run = ended(config_of(tmp_path, epochs))
    run.start.mkdir()
    (run.start / "config.json").write_text("{}")
    if again:
        ended(config_of(tmp_path, epochs))
        assert not run.start.exists()
    else:
        with pytest.raises(UserError, match="continue the run with --resume"):
            RunDir.create(config_of(tmp_path, epochs))
        assert (run.start / "config.json").exists()


def test_the_dataset_of_an_attempt_stays(tmp_path):
    run = ended(config_of(tmp_path))
    (run.path / "data").mkdir()
    (run.path / "data" / "items.parquet").write_text("mine")
    RunDir.create(config_of(tmp_path))
    assert (run.path / "data" / "items.parquet").read_text() == "mine"


def test_one_run_at_a_time(tmp_path):
    run = RunDir.create(config_of(tmp_path))
    for another in (lambda: RunDir.create(config_of(tmp_path)), lambda: RunDir.resume(tmp_path, config_of(tmp_path))):
        with pytest.raises(UserError, match=rf"a run is going on there \(process {os.getpid()}\)"):
            another()
    assert pickle.loads(pickle.dumps(run)).path == tmp_path  # as other ranks get it
    run.release()
    RunDir.resume(tmp_path, config_of(tmp_path)).release()


def test_what_was_relative_is_found_from_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("data", "model", "python"):
        Path(name).mkdir()
    given = {"data.path": "data", "model.path": "./model", "rollout.vllm.python": "python", "output_dir": "run"}
    config = with_settings(Config(), given | {"warm_start.path": "gone.parquet"})
    saved = flatten(read_yaml(ended(config).path / "config.yaml"))
    assert {name: saved[name] for name in given} == {name: str(tmp_path / value) for name, value in given.items()}
    assert saved["warm_start.path"] == "gone.parquet"
    hub = with_settings(Config(), {"model.path": "org/name", "output_dir": "other"})
    assert read_yaml(ended(hub).path / "config.yaml").model.path == "org/name"


def test_resumed_it_keeps_the_settings_that_hold_now(tmp_path):
    ended(config_of(tmp_path))
    longer = with_settings(config_of(tmp_path), {"train.steps": 7})
    RunDir.resume(tmp_path, longer).release()
    assert read_yaml(tmp_path / "config.yaml") == longer


@pytest.mark.parametrize(("step", "kept"), [(2, [1, 2]), (0, []), (None, [])])
def test_resumed_it_is_cut_back(tmp_path, step, kept):
    run = ended(config_of(tmp_path))
    for i in range(1, 4):
        run.log("metrics.jsonl", {"step": i})
        run.save_rollouts(i, pa.table({"step": [i]}))
    with (run.path / "metrics.jsonl").open("a") as torn:
        torn.write('{"step": 9, "epo')
    RunDir.resume(tmp_path, config_of(tmp_path)).cut_back(step, end=9)
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == kept
    assert sorted(int(p.stem[5:]) for p in run.rollouts.iterdir()) == kept


@pytest.mark.parametrize(
    ("end", "kept"),
    [
        (3, [("before", 0), ("during", 2), ("during", 3)]),  # ended, and made again
        (2, [("before", 0), ("during", 2), ("during", 3)]),  # with fewer steps than it has done
        (6, [("before", 0), ("during", 2), ("during", 3), ("after", 3)]),  # it goes on
    ],
)
def test_the_last_evaluation_is_there_once(tmp_path, end, kept):
    run = ended(config_of(tmp_path))
    for moment, step in (("before", 0), ("during", 2), ("during", 3), ("after", 3), ("during", 4)):
        run.log("eval.jsonl", {"step": step, "moment": moment})
    RunDir.resume(tmp_path, config_of(tmp_path)).cut_back(3, end)
    lines = map(json.loads, (run.path / "eval.jsonl").read_text().splitlines())
    assert [(line["moment"], line["step"]) for line in lines] == kept


def test_only_the_rank_that_writes_does(tmp_path):
    run = ended(config_of(tmp_path))
    run.writes = False
    run.log("metrics.jsonl", {"step": 1})
    run.save_rollouts(1, pa.table({"step": [1]}))
    assert not (tmp_path / "metrics.jsonl").exists()
    run.writes = True
    run.save_rollouts(1, pa.table({"step": [1]}))
    assert pq.read_table(run.rollouts / "step_1.parquet").to_pydict() == {"step": [1]}
    assert [path.name for path in run.rollouts.iterdir()] == ["step_1.parquet"]


def test_a_figure_that_is_no_number_is_refused(tmp_path):
    run = ended(config_of(tmp_path))
    with pytest.raises(ValueError, match="Out of range"):
        run.log("metrics.jsonl", {"step": 1, "reward": float("nan")})


def test_a_place_that_is_gone_is_one_line_that_names_it(tmp_path):
    with pytest.raises(UserError, match=r"none/metrics\.jsonl: cannot write: No such file"):
        RunDir(tmp_path / "none").log("metrics.jsonl", {"step": 1})
