"""What a run does before its first step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rerec_engine.config import Config
from rerec_engine.data.dataset import load_dataset
from rerec_engine.errors import UserError
from rerec_engine.model.ranks import Ranks
from rerec_engine.training.setup import _train_queries


def test_prompts_that_are_too_long_are_left_out_counted_and_told(tiny_policy, mini_demo, capsys):
    policy, dataset = tiny_policy(), load_dataset(mini_demo)
    lengths = sorted(len(policy.encode_prompt(query.messages)) for query in dataset.queries("train"))
    limit = lengths[len(lengths) // 2]
    config = Config()
    config = replace(config, data=replace(config.data, max_prompt_tokens=limit))
    queries, prompts, orders = _train_queries(config, policy, dataset, Ranks())
    kept = sum(length <= limit for length in lengths)
    assert 0 < kept < len(lengths) and len(queries) == len(prompts) == kept
    assert max(map(len, prompts)) <= limit
    assert orders is None
    assert prompts == [policy.encode_prompt(query.messages) for query in queries]
    over, most = len(lengths) - kept, -(-lengths[-1] // 64) * 64
    told = capsys.readouterr().err
    assert f"{len(lengths)} read, {kept} kept, {over} ({100 * over / len(lengths):.0f} %) longer than {limit}" in told
    assert told.endswith(f"--data.max-prompt-tokens {most} keeps all\n")
    assert len(told.splitlines()) == 1
    shorter = replace(config, data=replace(config.data, max_prompt_tokens=lengths[0] - 1))
    asked = rf"train\.parquet: no query is left to train on: .*data\.max_prompt_tokens.*: set it to {most}$"
    with pytest.raises(UserError, match=asked):
        _train_queries(shorter, policy, dataset, Ranks())


def test_an_empty_training_set_is_named(tiny_policy, mini_demo, monkeypatch):
    dataset = load_dataset(mini_demo)
    monkeypatch.setattr(type(dataset), "queries", lambda self, split: [])
    with pytest.raises(UserError, match=r"train\.parquet: holds no query to train on"):
        _train_queries(Config(), tiny_policy(), dataset, Ranks())
