"""What a run does before its first step."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from rerec_engine.config import Config
from rerec_engine.data.dataset import load_dataset
from rerec_engine.errors import UserError
from rerec_engine.model.ranks import Ranks
from rerec_engine.runs.run_directory import RunDir
from rerec_engine.training.setup import _not_evaluated, _tell_left_out, _train_queries
from rerec_engine.training.start_model import make_start_model


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


def test_what_is_left_out_is_told_before_a_warm_start(tiny_policy, mini_demo, tmp_path, capsys):
    dataset = load_dataset(mini_demo)
    config = replace(Config(), data=replace(Config().data, max_prompt_tokens=3), device="cpu")
    tiny_policy().save(tmp_path / "given")
    config = replace(config, model=replace(config.model, path=str(tmp_path / "given")))
    config = replace(config, warm_start=replace(config.warm_start, epochs=1, path=str(tmp_path / "gone.parquet")))
    with pytest.raises(UserError, match="no query is left to train on"):
        make_start_model(config, RunDir(tmp_path), dataset, partial(_tell_left_out, config, dataset))
    lengths = sorted(len(tiny_policy().encode_prompt(query.messages)) for query in dataset.queries("train"))
    some = replace(config, data=replace(config.data, max_prompt_tokens=lengths[-1] - 1))
    _tell_left_out(some, dataset, tiny_policy())
    assert capsys.readouterr().err.startswith(f"of {len(lengths)} train queries ")
    _tell_left_out(replace(config, data=replace(config.data, max_prompt_tokens=lengths[-1])), dataset, tiny_policy())
    assert capsys.readouterr().err == ""


def test_what_is_not_evaluated_is_told_at_the_start(tiny_policy, mini_demo, capsys):
    policy, dataset = tiny_policy(), load_dataset(mini_demo)
    lengths = [len(policy.encode_prompt(query.messages)) for query in dataset.queries("test")]
    limit = sorted(lengths)[len(lengths) // 2]
    some = replace(Config(), data=replace(Config().data, max_prompt_tokens=limit))
    assert _not_evaluated(some, dataset, policy, Ranks()) == limit
    val, test = capsys.readouterr().err.splitlines()
    assert val.startswith(f"of {len(dataset.queries('val'))} val queries ")
    over = sum(length > limit for length in lengths)
    assert test.startswith(f"of {len(lengths)} test queries {over} (") and test.endswith("; they are not evaluated")
    every = replace(Config(), data=replace(Config().data, max_prompt_tokens=9999))
    assert _not_evaluated(every, dataset, policy, Ranks()) >= max(lengths)
    assert capsys.readouterr().err == ""


def test_an_empty_training_set_is_named(tiny_policy, mini_demo, monkeypatch):
    dataset = load_dataset(mini_demo)
    monkeypatch.setattr(type(dataset), "queries", lambda self, split: [])
    with pytest.raises(UserError, match=r"train\.parquet: holds no query to train on"):
        _train_queries(Config(), tiny_policy(), dataset, Ranks())
