"""The run directory: made, written, cut back, and used again where nothing was trained in it."""

from __future__ import annotations

import dataclasses
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rerec_engine.config import Config, WarmStartConfig
from rerec_engine.errors import UserError
from rerec_engine.runs.run_directory import RunDir
from rerec_engine.runs.settings import read_yaml


def config_of(path, epochs=0):
    return dataclasses.replace(Config(), output_dir=str(path), warm_start=WarmStartConfig(epochs=epochs))


def test_a_new_one_holds_settings_and_environment(tmp_path):
    run = RunDir.create(config_of(tmp_path / "a" / "run"))
    assert read_yaml(run.path / "config.yaml") == config_of(tmp_path / "a" / "run")
    assert json.loads((run.path / "environment.json").read_text())["versions"]["torch"]


@pytest.mark.parametrize(
    "left", ["metrics.jsonl", "checkpoints/step_0/model.safetensors", "warm_start.pt", "notes.txt"]
)
def test_what_holds_something_is_refused(tmp_path, left):
    run = RunDir.create(config_of(tmp_path))
    (run.path / left).parent.mkdir(parents=True, exist_ok=True)
    (run.path / left).write_text("x")
    with pytest.raises(UserError, match="not empty"):
        RunDir.create(config_of(tmp_path))
    assert (run.path / left).read_text() == "x"


@pytest.mark.parametrize(("epochs", "again"), [(0, True), (1, False)])
def test_a_start_model_counts_where_it_was_warm_started(tmp_path, epochs, again):
    run = RunDir.create(config_of(tmp_path, epochs))
    run.start.mkdir()
    (run.start / "config.json").write_text("{}")
    if again:
        RunDir.create(config_of(tmp_path, epochs))
        assert not run.start.exists()
    else:
        with pytest.raises(UserError, match="continue the run with --resume"):
            RunDir.create(config_of(tmp_path, epochs))
        assert (run.start / "config.json").exists()


def test_the_dataset_of_an_attempt_stays(tmp_path):
    run = RunDir.create(config_of(tmp_path))
    (run.path / "data").mkdir()
    (run.path / "data" / "items.parquet").write_text("mine")
    RunDir.create(config_of(tmp_path))
    assert (run.path / "data" / "items.parquet").read_text() == "mine"


@pytest.mark.parametrize(("step", "kept"), [(2, [1, 2]), (0, []), (None, [])])
def test_resumed_it_is_cut_back(tmp_path, step, kept):
    run = RunDir.create(config_of(tmp_path))
    for i in range(1, 4):
        run.log("metrics.jsonl", {"step": i})
        run.save_rollouts(i, pa.table({"step": [i]}))
    with (run.path / "metrics.jsonl").open("a") as torn:
        torn.write('{"step": 9, "epo')
    RunDir.resume(tmp_path, step)
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == kept
    assert sorted(int(p.stem[5:]) for p in run.rollouts.iterdir()) == kept


def test_only_the_rank_that_writes_does(tmp_path):
    run = RunDir.create(config_of(tmp_path))
    run.writes = False
    run.log("metrics.jsonl", {"step": 1})
    run.save_rollouts(1, pa.table({"step": [1]}))
    assert not (tmp_path / "metrics.jsonl").exists()
    run.writes = True
    run.save_rollouts(1, pa.table({"step": [1]}))
    assert pq.read_table(run.rollouts / "step_1.parquet").to_pydict() == {"step": [1]}
    assert [path.name for path in run.rollouts.iterdir()] == ["step_1.parquet"]


def test_a_figure_that_is_no_number_is_refused(tmp_path):
    run = RunDir.create(config_of(tmp_path))
    with pytest.raises(ValueError, match="Out of range"):
        run.log("metrics.jsonl", {"step": 1, "reward": float("nan")})


def test_a_place_that_is_gone_is_one_line_that_names_it(tmp_path):
    with pytest.raises(UserError, match=r"none/metrics\.jsonl: cannot write: No such file"):
        RunDir(tmp_path / "none").log("metrics.jsonl", {"step": 1})
