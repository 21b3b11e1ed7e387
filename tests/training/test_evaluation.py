"""Evaluations of a run: which queries, what is written, and what is told to whom."""

from __future__ import annotations

import dataclasses
import json
import shutil
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from rerec_engine.config import Config, DataConfig, RewardWeights, RolloutConfig, TrainConfig
from rerec_engine.data.dataset import load_dataset
from rerec_engine.model.ranks import Ranks
from rerec_engine.reward import RewardEngine
from rerec_engine.rollout.base import Follower
from rerec_engine.rollout.replica import ReplicaSampler
from rerec_engine.rollout.sampler import Sampler
from rerec_engine.runs.run_directory import RunDir
from rerec_engine.training.evaluation import evaluate
from rerec_engine.types import Rollout, Sampling


@pytest.fixture(scope="module")
def parts(mini_demo, tiny_policy):
    return SimpleNamespace(
        dataset=load_dataset(mini_demo), reward=RewardEngine.load(mini_demo, threads=1), policy=tiny_policy()
    )


@pytest.fixture
def trainer(parts, tmp_path):
    """A trainer whose engine answers every second query with its ground truth and the others with nothing."""
    policy, asked = parts.policy, []

    def generate(prompts, n, sampling):
        assert (n, sampling) == (1, Sampling(7, 0.0))
        rollouts = []
        for prompt in prompts:
            query = truths[tuple(prompt)]
            text = f"\\boxed{{{parts.dataset.titles[query.ground_truth[0]]}}}" if len(asked) % 2 == 0 else "no"
            asked.append(query.id)
            ids = policy.tokenizer(text)["input_ids"]
            rollouts.append(Rollout(ids, [-1.0] * len(ids), "stop", 0))
        return rollouts

    queries = [query for split in parts.dataset.splits for query in parts.dataset.queries(split)]
    truths = {tuple(policy.encode_prompt(query.messages)): query for query in queries}
    config = dataclasses.replace(
        Config(), rollout=RolloutConfig(max_new_tokens=7), train=TrainConfig(eval_queries=4), reward=RewardWeights(k=3)
    )
    made = SimpleNamespace(ranks=Ranks(), config=config, run=RunDir(tmp_path), step=5, asked=asked, **vars(parts))
    made.worker = SimpleNamespace(generate=generate, engine=Follower(list))
    return made


def lines(trainer):
    path = trainer.run.path / "eval.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize(
    ("moment", "limit", "expected"),
    [("before", 4, 10), ("during", 4, 4), ("during", 0, 10), ("during", 99, 10), ("after", 4, 10)],
)
def test_during_training_the_first_queries_alone_are_asked(trainer, moment, limit, expected):
    trainer.config = dataclasses.replace(trainer.config, train=TrainConfig(eval_queries=limit))
    evaluate(trainer, "val", moment)
    assert trainer.asked == [query.id for query in trainer.dataset.queries("val")][:expected]
    (line,) = lines(trainer)
    assert (line["moment"], line["split"], line["step"], line["queries"]) == (moment, "val", 5, expected)
    assert line["accuracy"] == 0.5
    assert line["format_rate"] == 0.5
    assert 0 < line["chance"] < 1


def lengths_of(trainer, split):
    return [len(trainer.policy.encode_prompt(query.messages)) for query in trainer.dataset.queries(split)]


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize("moment", ["before", "during", "after"])
def test_prompts_that_are_too_long_are_not_asked_and_counted(trainer, split, moment):
    lengths = lengths_of(trainer, split)
    limit = sorted(lengths)[len(lengths) // 2]
    trainer.config = dataclasses.replace(trainer.config, data=DataConfig(max_prompt_tokens=limit))
    evaluate(trainer, split, moment)
    queries = trainer.dataset.queries(split)
    short = [query.id for query, length in zip(queries, lengths, strict=True) if length <= limit]
    assert 4 < len(short) < len(queries)
    asked = short[:4] if moment == "during" else short
    (line,) = lines(trainer)
    assert (trainer.asked, line["queries"]) == (asked, len(asked))
    assert line["left_out"] == (0 if moment == "during" else len(queries) - len(short))


def test_a_split_of_long_prompts_alone_is_told(trainer, capsys):
    trainer.config = dataclasses.replace(trainer.config, data=DataConfig(max_prompt_tokens=1))
    evaluate(trainer, "val", "after")
    which = "of at most data.max_prompt_tokens (1) tokens in the val split"
    assert capsys.readouterr().err == f"no query {which}: not evaluated after training\n"
    assert (trainer.asked, lines(trainer)) == ([], [])


def test_evaluations_follow_one_another(trainer):
    for moment in ("before", "during", "after"):
        evaluate(trainer, "val", moment)
        trainer.step += 3
    assert [(line["moment"], line["step"]) for line in lines(trainer)] == [("before", 5), ("during", 8), ("after", 11)]


def test_a_table_before_and_after_and_none_during(trainer, capsys):
    evaluate(trainer, "test", "before")
    told = capsys.readouterr().err
    assert "before reinforcement, test split, greedy (step 5)" in told
    assert "NDCG@3" in told  # k is the reward's
    assert "0.500 [" in told
    evaluate(trainer, "test", "during")
    assert "reinforcement" not in capsys.readouterr().err


def test_a_split_that_is_not_there_is_told_and_nothing_is_written(trainer, capsys):
    trainer.dataset = dataclasses.replace(trainer.dataset, splits=("train",))
    evaluate(trainer, "val", "after")
    assert capsys.readouterr().err == "no query in the val split: not evaluated after training\n"
    assert (trainer.asked, lines(trainer)) == ([], [])


def test_so_is_a_split_without_a_query(trainer, mini_demo, tmp_path, capsys):
    """As `prepare --val 0` leaves it."""
    shutil.copytree(mini_demo, tmp_path / "data")
    path = tmp_path / "data" / "val.parquet"
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    trainer.dataset = load_dataset(tmp_path / "data")
    evaluate(trainer, "val", "during")
    assert capsys.readouterr().err == "no query in the val split: not evaluated during training\n"
    assert (trainer.asked, lines(trainer)) == ([], [])


def test_other_ranks_answer_too_and_are_silent(trainer, capsys):
    trainer.ranks, trainer.run.writes = Ranks(1, 2), False
    evaluate(trainer, "val", "before")
    assert len(trainer.asked) == 10
    trainer.dataset = dataclasses.replace(trainer.dataset, splits=("train",))
    evaluate(trainer, "val", "before")
    assert capsys.readouterr().err == ""
    assert lines(trainer) == []


@pytest.mark.parametrize(("kind", "followed"), [(Sampler, True), (ReplicaSampler, False)])
def test_the_bar_follows_a_sampler_that_generates_nothing_else(trainer, kind, followed):
    """A replica may be in the middle of the next step's responses."""
    trainer.worker.engine, answer, watched = kind(trainer.policy), trainer.worker.generate, []

    def generate(*asked):
        watched.append(trainer.worker.engine.watch is not None)
        return answer(*asked)

    trainer.worker.generate = generate
    evaluate(trainer, "val", "during")
    assert watched == [followed]
    assert trainer.worker.engine.watch is None
