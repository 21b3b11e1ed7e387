"""Which rollouts a report shows, and every token of them with its text and advantage."""

from __future__ import annotations

import json

import pyarrow.parquet as pq

from rerec_engine.config import AdvantageConfig
from rerec_engine.report.run import read_run


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
