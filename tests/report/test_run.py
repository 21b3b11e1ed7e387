"""What is read of a run directory for its report."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rerec_engine.errors import UserError
from rerec_engine.report.run import POINTS, read_run, rounded


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_metrics_by_column_to_five_digits(make_run):
    path = make_run(steps=30)
    run, written = read_run(path), lines(path / "metrics.jsonl")
    assert run["mean_of"] == 1
    assert "kl" not in run["metrics"]  # null in all steps
    for name, values in run["metrics"].items():
        assert values == [rounded(float(line[name])) for line in written]
    assert run["metrics"].keys() == written[0].keys() - {"kl"}
    assert [line["accuracy"] for line in run["evals"]] == [0.3, 0.31, 0.315, 0.33]


def test_places_of_an_evaluation_in_several_orders(make_run):
    path = make_run(steps=2)
    assert read_run(path)["places"] == []
    groups = {"1": {"accuracy": {"mean": 1 / 3}, "chosen": 0.5}, "2": {"accuracy": {"mean": 1}, "chosen": 0}}
    (path / "orders.json").write_text(json.dumps({"orders": {"by_place": groups}}))
    assert read_run(path)["places"] == [
        {"place": 1, "accuracy": 0.33333, "chosen": 0.5},
        {"place": 2, "accuracy": 1, "chosen": 0},
    ]
    for broken in ("[]", "{", '{"orders": null}'):
        (path / "orders.json").write_text(broken)
        with pytest.raises(UserError, match=r"orders\.json: is not what evaluate --permutations writes"):
            read_run(path)


@pytest.mark.slow
def test_a_long_run_has_means_of_its_steps(make_run):
    path = make_run(steps=2 * POINTS + 3)
    run, written = read_run(path), lines(path / "metrics.jsonl")
    assert run["mean_of"] == 3
    assert run["metrics"]["step"] == [line["step"] for line in written[2::3]]
    means = np.array([line["reward"] for line in written]).reshape(-1, 3).mean(1)
    assert run["metrics"]["reward"] == [rounded(float(x)) for x in means]


@pytest.mark.slow
def test_mistakes_are_named(make_run, tmp_path):
    with pytest.raises(UserError, match=r"no config\.yaml there; expected a run directory"):
        read_run(tmp_path)
    path = make_run(steps=3)
    (path / "metrics.jsonl").write_text('{"step": 1}\nnonsense\n{"step": 2}\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl:2: not JSON"):
        read_run(path)
    (path / "metrics.jsonl").write_text('{"reward": 1}\n{"step": 2}\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl:1: no step"):
        read_run(path)
    (path / "metrics.jsonl").write_text("")
    assert read_run(path)["metrics"] == {"step": []}
    assert read_run(path)["evals"]
    evaluations = (path / "eval.jsonl").rename(path / "kept")
    with pytest.raises(UserError, match="no step and no evaluation yet"):
        read_run(path)
    evaluations.rename(path / "eval.jsonl")
    (path / "metrics.jsonl").write_text('{"step": 1, "reward": 0.5}\n{"step": 2, "rew')  # being written
    assert read_run(path)["metrics"] == {"step": [1], "reward": [0.5]}
    (path / "rollouts" / "step_1.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"step_1\.parquet: not readable as parquet"):
        read_run(path)
