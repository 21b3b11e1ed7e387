"""What is read of a run directory for its report."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from rerec_engine.config import AdvantageConfig
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


@pytest.mark.slow
def test_a_long_run_has_means_of_its_steps(make_run):
    path = make_run(steps=2 * POINTS + 3)
    run, written = read_run(path), lines(path / "metrics.jsonl")
    assert run["mean_of"] == 3
    assert run["metrics"]["step"] == [line["step"] for line in written[2::3]]
    means = np.array([line["reward"] for line in written]).reshape(-1, 3).mean(1)
    assert run["metrics"]["reward"] == [rounded(float(x)) for x in means]


def test_every_token_has_its_text_and_advantage(make_run):
    path = make_run(steps=12)
    run = read_run(path)
    assert len(run["groups"]) == 12
    assert run["groups_left_out"] == 0
    rows = pq.read_table(path / "rollouts" / "step_12.parquet").to_pylist()
    by_text = {(row["query_id"], row["response"]): row for row in rows}
    seen = 0
    for group in run["groups"]:
        assert [r["reward"] for r in group["responses"]] == sorted(
            (r["reward"] for r in group["responses"]), reverse=True
        )
        for response in group["responses"]:
            units = len(response["text"].encode("utf-16-le")) // 2
            assert sum(response["tokens"]) == units
            assert sum(count for count, *_ in response["advantages"]) == len(response["tokens"])
            if group["step"] == 12:
                row = by_text[group["query"], response["text"]]
                values = [value for count, value, _ in response["advantages"] for _ in range(count)]
                assert values == row["token_advantages"]
                kinds = [kind for count, _, kind in response["advantages"] for _ in range(count)]
                assert kinds == [int(x < row["reward"] - 1e-6) for x in row["token_rewards"]]
                seen += 1
    assert seen == 24


def test_plain_grpo_marks_no_segment(make_run):
    run = read_run(make_run(steps=6, advantage=AdvantageConfig(estimator="grpo")))
    kinds = {kind for g in run["groups"] for r in g["responses"] for *_, kind in r["advantages"]}
    assert kinds == {0}


def test_bytes_bound_the_choice_and_steps_and_categories_take_turns(make_run):
    path = make_run(steps=9)
    sizes = [len(json.dumps(group, ensure_ascii=False).encode()) for group in read_run(path)["groups"]]
    run = read_run(path, rollout_bytes=sum(sizes) // 2)
    assert run["groups_left_out"] == 12 - len(run["groups"]) > 0
    steps = [group["step"] for group in run["groups"]]
    assert steps == sorted(steps)
    assert 0 <= steps.count(1) - steps.count(9) <= 1
    first = [group["category"] for group in run["groups"] if group["step"] == 1]
    assert len(set(first)) == min(len(first), 3)


def test_without_a_tokenizer_responses_are_whole(make_run):
    path = make_run(steps=3)
    for file in (path / "final").iterdir():
        file.unlink()
    response = read_run(path)["groups"][0]["responses"][0]
    assert response["tokens"] == [len(response["text"].encode("utf-16-le")) // 2]


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
    with pytest.raises(UserError, match="no step yet"):
        read_run(path)
    (path / "metrics.jsonl").write_text('{"step": 1, "reward": 0.5}\n{"step": 2, "rew')  # being written
    assert read_run(path)["metrics"] == {"step": [1], "reward": [0.5]}
    (path / "rollouts" / "step_1.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"step_1\.parquet: not readable as parquet"):
        read_run(path)
