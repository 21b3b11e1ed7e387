"""Which rollouts a report shows, and every token of them with its text and advantage."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rerec_engine.config import AdvantageConfig, Config
from rerec_engine.errors import UserError
from rerec_engine.model.small_model import corpus_tokenizer
from rerec_engine.report.rollouts import CREDITED, PARTS, PENALISED, PLAIN, read_groups
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


@pytest.mark.parametrize(
    ("response", "thinking"),
    [
        ("no", []),
        ("<think>\u00e9\U0001f600</think>yes", [[7, 10]]),
        ("a</think>b<think>c", [[0, 1], [17, 18]]),
        ("<think></think>yes", []),
    ],
)
def test_blocks_of_reasoning_are_marked(tmp_path, response, thinking):
    write(tmp_path, 1, row(response=response))
    ((group,), _) = read_groups(tmp_path, GRPO, ALL)
    assert group["responses"][0]["thinking"] == thinking


ALL = 10**6
RAAE, GRPO = (Config(advantage=AdvantageConfig(estimator=name)) for name in ("raae", "grpo"))


def row(query="q", reward=0.0, category="explicit", **more):
    own = {"step": 1, "prompt": f"prompt of {query}", "response": "yes", "finish": "stop", "token_ids": [1, 2, 3]}
    own |= {"token_rewards": [reward] * 3, "token_advantages": [0.0] * 3}
    return {"query_id": query, "category": category, "reward": reward, **dict.fromkeys(PARTS[1:], 0.5), **own, **more}


def write(path, step, *rows):
    (path / "rollouts").mkdir(exist_ok=True)
    table = pa.Table.from_pylist([{**row, "step": step} for row in rows])
    pq.write_table(table, path / "rollouts" / f"step_{step}.parquet")


def queries(groups):
    return [(group["step"], group["query"]) for group in groups]


def test_categories_take_turns_and_what_differs_most_comes_first(tmp_path):
    pairs = {"a": (0.0, 0.1), "b": (0.0, 1.0), "c": (0.5, 0.5), "d": (0.2, 0.4)}
    category = {"a": "explicit", "b": "explicit", "c": "implicit", "d": "implicit"}
    write(tmp_path, 1, *(row(q, reward, category[q]) for q, rewards in pairs.items() for reward in rewards))
    groups, left_out = read_groups(tmp_path, RAAE, ALL)
    assert queries(groups) == [(1, "b"), (1, "d"), (1, "a"), (1, "c")]
    assert left_out == 0
    assert [[response["reward"] for response in group["responses"]] for group in groups][:2] == [[1.0, 0.0], [0.4, 0.2]]


def test_steps_take_turns_and_are_in_the_order_of_their_numbers(tmp_path):
    for step in (10, 9):
        write(tmp_path, step, row("a"), row("b"), row("c"))
    groups, _ = read_groups(tmp_path, RAAE, ALL)
    assert queries(groups) == [(step, query) for step in (9, 10) for query in "abc"]
    size = len(json.dumps(groups[0]).encode())
    groups, left_out = read_groups(tmp_path, RAAE, 3 * size + 10)
    assert queries(groups) == [(9, "a"), (9, "b"), (10, "a")]
    assert left_out == 3


def test_one_group_is_shown_however_few_bytes_there_are(tmp_path):
    write(tmp_path, 1, row("a"), row("b"))
    groups, left_out = read_groups(tmp_path, RAAE, 1)
    assert (queries(groups), left_out) == ([(1, "a")], 1)


def test_a_run_that_saved_none_has_none(tmp_path):
    assert read_groups(tmp_path, RAAE, ALL) == ([], 0)


def test_figures_of_a_response(tmp_path):
    scores = {"ndcg": 0.123456, "format": 1, "qas": 0.0, "pas": 0.25, "hit": 1}
    write(tmp_path, 1, row(7, 1.00004, None, finish="length", response="é🎬", **scores))
    ((group,), _) = read_groups(tmp_path, RAAE, ALL)
    assert (group["step"], group["query"], group["category"], group["prompt"]) == (1, "7", "", "prompt of 7")
    (response,) = group["responses"]
    assert {name: response[name] for name in PARTS} == {**scores, "ndcg": 0.1235, "reward": 1.0}
    assert (response["finish"], response["text"], response["tokens"]) == ("length", "é🎬", [3])  # UTF-16 units


@pytest.mark.parametrize(
    ("config", "kinds"), [(RAAE, [PENALISED, PLAIN, CREDITED]), (GRPO, [PLAIN] * 3)], ids=["raae", "grpo"]
)
def test_tokens_below_and_above_the_responses_reward(tmp_path, config, kinds):
    rewards = [0.4, 0.5 + 1e-8, 0.6]
    write(tmp_path, 1, row(reward=0.5, token_rewards=rewards, token_advantages=[-1.2345, 0.25, 2000.4]))
    runs = read_groups(tmp_path, config, ALL)[0][0]["responses"][0]["advantages"]
    assert runs == [[1, value, kind] for value, kind in zip((-1.23, 0.25, 2000.0), kinds, strict=True)]


def test_equal_neighbours_are_one_run(tmp_path):
    rows = row(reward=0.5, token_rewards=[0.5, 0.5, 0.4], token_advantages=[1.0001, 1.0, 1.0])
    write(tmp_path, 1, rows)
    runs = read_groups(tmp_path, RAAE, ALL)[0][0]["responses"][0]["advantages"]
    assert runs == [[2, 1.0, PLAIN], [1, 1.0, PENALISED]]


def test_a_character_of_several_tokens_is_the_last_ones(tmp_path):
    tokenizer = corpus_tokenizer(["a plain text"], vocab_size=300)
    ids = tokenizer("a🎬b").input_ids
    assert len(ids) > 4  # the picture takes several
    write(tmp_path, 1, row(token_ids=ids, token_rewards=[0.0] * len(ids), token_advantages=[0.0] * len(ids)))
    response = read_groups(tmp_path, RAAE, ALL, tokenizer)[0][0]["responses"][0]
    assert response["text"] == "a🎬b"
    assert response["tokens"] == [1, *[0] * (len(ids) - 3), 2, 1]


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "rollouts").mkdir()
    (tmp_path / "rollouts" / "step_3.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"step_3\.parquet: not readable as parquet: [^\n]+$"):
        read_groups(tmp_path, RAAE, ALL)
