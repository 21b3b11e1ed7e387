"""A small suite, run for real: finished, cut off, gone on with, and refused where its settings have changed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from rerec_engine.data.dataset import load_dataset
from rerec_engine.data.traces import read_traces
from rerec_engine.errors import UserError
from rerec_engine.experiment.__main__ import main
from rerec_engine.experiment.runner import cpu_seconds, evaluations, start_key
from rerec_engine.experiment.suite import load_suite

DATA = {"seed": 1, "films": 40, "books": 40, "users": 40, "train_queries": 40, "val_queries": 10} | {
    "test_queries": 20, "candidates": 6, "short_traces": 600, "medium_traces": 50, "full_traces": 50,
    "biased_traces": 20, "embedding_epochs": 2,
}  # fmt: skip
SUITE = """
title: A small one
data: {data}
datasets: {{films: {{domain: film}}, books: {{domain: book}}}}
tests: [books, films]
permutations: 2
retention: true
seeds: 2
against: rerec
settings:
  model: {{hidden_size: 32, layers: 2}}
  rollout: {{max_new_tokens: 16, responses_per_query: 3}}
  loss.entropy: 0.05  # a gradient, whatever the rewards
  train: {{steps: 2, queries_per_step: 4, queries_per_update: 4, eval_every: 0, checkpoint_every: 1, report: false}}
arms:
  sft: {{train.steps: 0, data.path: "{{films}}", warm_start: {{path: "{{films_answers}}", epochs: 1}}}}
  rerec: {{}}
  broken: {{device: "cuda:9"}}
"""


def experiment(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rerec_engine.experiment", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("suite") / "small.yaml"
    path.write_text(SUITE.format(data=json.dumps(DATA)))
    return path


@pytest.fixture(scope="module")
def done(suite: Path) -> Path:
    output = suite.parent / "out"
    run = experiment(suite, "--output", output, "--seeds", 1, "--arms", "sft", "rerec")
    assert run.returncode == 0, run.stderr[-3000:]
    assert "rerec (n = 1)" in run.stdout
    return output / "small"


@pytest.fixture(scope="module")
def starts(done: Path, suite: Path) -> Path:
    return done.parent / "starts" / start_key(load_suite(str(suite)))


@pytest.mark.slow
def test_arms_share_the_warm_start_and_differ(done, starts):
    start = load_file(starts / "seed_0" / "final" / "model.safetensors")
    for arm in ("sft", "rerec"):
        assert [line["moment"] for line in evaluations(done / arm / "seed_0")] == ["before", "after"]
        weights = load_file(done / arm / "seed_0" / "final" / "model.safetensors")
        assert weights.keys() == start.keys()
        assert any((weights[name] != start[name]).any() for name in start)
    assert not (done / "rerec" / "seed_1").exists()


def test_suites_share_a_warm_start_where_its_settings_are_the_same(suite, tmp_path):
    base = load_suite(str(suite))
    for change, same in (
        (("epochs: 1", "epochs: 2"), True),  # of an arm
        (("steps: 2", "steps: 3"), True),
        (("hidden_size: 32", "hidden_size: 64"), False),
        (('"seed": 1', '"seed": 2'), False),
    ):
        other = tmp_path / "other.yaml"
        other.write_text(suite.read_text().replace(*change))
        assert (start_key(load_suite(str(other))) == start_key(base)) == same, change


@pytest.mark.slow
@pytest.mark.parametrize("name", ["data", "films"])
def test_answers_are_the_train_queries_truth(done, starts, name):
    place = starts if name == "data" else done / "data"
    dataset = load_dataset(place / name)
    traces = read_traces(place / ("answers.parquet" if name == "data" else "films_answers.parquet"))
    queries = dataset.queries("train")
    assert len(traces) == len(queries)
    for trace, query in zip(traces, queries, strict=True):
        assert trace.response == f"\n\\boxed{{ {dataset.titles[query.ground_truth[0]]}}}"


@pytest.mark.slow
def test_results_tell_what_was_run(done):
    record = json.loads((done / "results.json").read_text())
    assert [row["arm"] for row in record["table"]] == ["sft", "rerec"]
    for arm in ("sft", "rerec"):
        last = evaluations(done / arm / "seed_0")[-1]
        measured = json.loads((done / arm / "seed_0" / "measured.json").read_text())
        told = record["results"][arm]["0"]
        assert list(measured["tests"]) == ["books", "films"]
        assert told["accuracy"] == measured["tests"]["books"]["accuracy"]
        assert told["more"] == {"films": measured["tests"]["films"]["accuracy"], **measured["known"]}
        assert told["cpu_minutes"] == cpu_seconds(done / arm / "seed_0") / 60 > 0
        if arm == "sft":  # trained on films, and evaluated on the same films by train
            assert last["accuracy"] == told["more"]["films"]
    text = (done / "results.md").read_text()
    assert text.startswith("# A small one\n")
    assert "- rerec: `python -m rerec_engine.train --data.path DATA --model.path STARTS/seed_0/final" in text
    assert (done / "results.png").stat().st_size > 5000


@pytest.mark.slow
def test_the_same_command_goes_on_and_names_what_failed(done, suite, tmp_path):
    root = tmp_path / "out"
    shutil.copytree(done.parent, root)
    for saved in root.rglob("config.yaml"):
        saved.write_text(saved.read_text().replace(str(done.parent), str(root)))
    output = root / "small"
    used = cpu_seconds(output / "rerec" / "seed_0")
    sft = (output / "sft" / "seed_0" / "eval.jsonl").stat().st_mtime_ns
    run = output / "rerec" / "seed_0"  # cut off after its first step
    shutil.rmtree(run / "checkpoints" / "step_2")
    shutil.rmtree(run / "final")
    (run / "eval.jsonl").write_text("".join((run / "eval.jsonl").read_text().splitlines(True)[:1]))
    again = experiment(suite, "--output", root, "--seeds", 1)
    assert again.returncode == 1
    assert "error: 1 of 3 runs failed: broken, seed 0 (exit code 2, see " in again.stderr
    assert "Traceback" not in again.stderr
    assert "resuming" in (output / "logs" / "rerec_seed_0.log").read_text()
    assert (output / "sft" / "seed_0" / "eval.jsonl").stat().st_mtime_ns == sft
    assert evaluations(run) == evaluations(done / "rerec" / "seed_0")
    assert cpu_seconds(run) > used  # of both its processes
    assert [row["arm"] for row in json.loads((output / "results.json").read_text())["table"]] == ["sft", "rerec"]


@pytest.mark.slow
def test_changed_settings_are_refused(done, suite, tmp_path):
    changed = tmp_path / "small.yaml"
    changed.write_text(suite.read_text().replace("steps: 2", "steps: 3"))
    with pytest.raises(UserError, match=r"train\.steps is 2, but the suite has 3; choose another output"):
        main([str(changed), "--output", str(done.parent)])
