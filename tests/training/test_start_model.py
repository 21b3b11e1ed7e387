"""What reinforcement starts from: given or made, warm-started or not, and never made twice."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from rerec_engine.config import Config, DataConfig, ModelConfig, RolloutConfig, WarmStartConfig
from rerec_engine.data.dataset import load_dataset
from rerec_engine.data.traces import Trace, write_traces
from rerec_engine.errors import UserError
from rerec_engine.model import arithmetic
from rerec_engine.model.policy import load_policy
from rerec_engine.runs.run_directory import RunDir
from rerec_engine.runs.settings import load_settings
from rerec_engine.training.start_model import checked, dataset_path, make_start_model, start_source
from rerec_engine.types import Message
from rerec_engine.worlds import demo

SMALL = {"hidden_size": 32, "layers": 1, "heads": 2}


def config_of(epochs=0, traces=None, seed=0, **model):
    return dataclasses.replace(
        Config(),
        seed=seed,
        device="cpu",
        data=DataConfig(max_prompt_tokens=70),
        rollout=RolloutConfig(max_new_tokens=30),
        model=ModelConfig(**{**SMALL, **model}),
        warm_start=WarmStartConfig(epochs=epochs, path=traces, tokens_per_batch=60),
    )


@pytest.fixture
def run(tmp_path):
    return RunDir(tmp_path)


@pytest.fixture
def dataset(mini_demo, tmp_path):
    """A dataset whose directory holds traces and nothing else of its own."""
    path = tmp_path / "data"
    path.mkdir()
    ask = (Message(role="user", content="a b"),)
    write_traces(path / "warm_start.parquet", [Trace("short", ask, "c d e " * (1 + i % 3)) for i in range(6)])
    (path / "train.parquet").symlink_to(mini_demo / "train.parquet")
    return dataclasses.replace(load_dataset(mini_demo), path=path)


@pytest.fixture
def given(tiny_policy, tmp_path):
    tiny_policy().save(tmp_path / "given")
    return str(tmp_path / "given")


def weights(path):
    return dict(load_policy(str(path), "cpu").model.named_parameters())


def same(a, b):
    return all(torch.equal(x, b[name]) for name, x in a.items())


def test_a_given_model_is_used_where_it_lies(run, dataset, given):
    config = config_of(path=given)
    make_start_model(config, run, dataset)
    assert not run.start.exists()
    assert start_source(config, run) == given


def test_a_run_keeps_the_arithmetic_that_it_found_at_its_start(given, tmp_path, monkeypatch):
    monkeypatch.setattr(arithmetic, "NARROW", 8)
    monkeypatch.setattr(arithmetic, "multiply_with_onednn", lambda: False)
    monkeypatch.setattr(arithmetic, "speedup", lambda width: 2.3)
    config = checked(config_of(path=given))
    assert config.model.dtype == "bf16"
    run = RunDir.create(dataclasses.replace(config, output_dir=str(tmp_path / "run")))
    run.release()
    monkeypatch.setattr(arithmetic, "speedup", lambda width: 0.1)
    resumed, _ = load_settings(["--resume", str(run.path)])
    assert resumed.model.dtype == "bf16"
    with pytest.raises(UserError, match=r"--resume cannot change model\.dtype"):
        load_settings(["--resume", str(run.path), "--dtype", "fp32"])
    assert checked(config_of(path=given)).model.dtype == "fp32"


def test_a_model_made_on_the_spot_is_computed_in_fp32(monkeypatch):
    monkeypatch.setattr(arithmetic, "speedup", lambda width: 2.3)
    assert checked(config_of(hidden_size=1024)).model.dtype == "fp32"
    assert checked(config_of(dtype="bf16")).model.dtype == "bf16"


def test_a_model_is_made_for_the_runs_lengths_from_its_seed(run, dataset, tmp_path):
    make_start_model(config_of(), run, dataset)
    policy = load_policy(start_source(config_of(), run), "cpu")
    assert policy.model.config.max_position_embeddings == 100  # prompt and response
    assert (policy.model.config.hidden_size, policy.model.config.num_hidden_layers) == (32, 1)
    title = dataset.titles[0]
    ids = policy.tokenizer(title)["input_ids"]
    assert policy.tokenizer.decode(ids) == title
    assert len(ids) < len(title) / 2  # its words are the dataset's
    for seed in (0, 1):
        other = RunDir(tmp_path / f"seed-{seed}")
        make_start_model(config_of(seed=seed), other, dataset)
        assert same(weights(other.start), weights(run.start)) == (seed == 0)


def test_a_vocabulary_of_the_dataset_gives_each_phrase_a_token(run, dataset):
    (dataset.path / "vocabulary.json").write_text(json.dumps(["The Silent River", " drama"]))
    make_start_model(config_of(), run, dataset)
    tokenizer = load_policy(str(run.start), "cpu").tokenizer
    assert [len(tokenizer(text)["input_ids"]) for text in ("The Silent River", " drama", "dram")] == [1, 1, 4]


@pytest.mark.parametrize("text", ["{", '["a", 3]', "7"], ids=["no JSON", "a number", "no list"])
def test_a_vocabulary_that_is_none_is_named(run, dataset, text):
    (dataset.path / "vocabulary.json").write_text(text)
    with pytest.raises(UserError, match=r"vocabulary\.json: expected a JSON list of phrases: "):
        make_start_model(config_of(), run, dataset)
    assert not run.start.exists()


def test_a_given_model_that_is_warm_started_is_the_runs_own(run, dataset, given):
    config = config_of(epochs=1, path=given)
    before = weights(given)
    make_start_model(config, run, dataset)
    assert start_source(config, run) == str(run.start)
    assert not same(weights(run.start), before)
    assert same(weights(given), before)


def test_traces_may_lie_elsewhere(run, dataset, given, tmp_path):
    traces = tmp_path / "mine.parquet"
    (dataset.path / "warm_start.parquet").rename(traces)
    config = config_of(epochs=1, path=given)
    with pytest.raises(UserError, match=r"data/warm_start\.parquet"):
        make_start_model(config, run, dataset)
    make_start_model(config_of(epochs=1, traces=str(traces), path=given), run, dataset)
    assert run.start.is_dir()


def test_what_an_attempt_has_finished_is_not_made_again(run, dataset):
    run.start.mkdir()
    make_start_model(config_of(epochs=1), run, dataset)
    assert list(run.start.iterdir()) == []


def test_the_state_of_a_warm_start_goes_when_the_model_is_whole(run, dataset, monkeypatch):
    monkeypatch.setattr("rerec_engine.training.warm_start.SAVE_SECONDS", 0.0)
    kept = []
    unlink = type(run.path).unlink
    monkeypatch.setattr(
        type(run.path), "unlink", lambda path, **more: kept.append((path, path.exists())) or unlink(path, **more)
    )
    make_start_model(config_of(epochs=1), run, dataset)
    assert (run.warm_start, True) in kept
    assert run.start.is_dir()
    assert not run.warm_start.exists()


def test_the_demo_is_made_once_in_the_run_from_its_seed(run, monkeypatch):
    made = []

    def write(path, options):
        path.mkdir(exist_ok=True)
        made.append((path, options.seed))

    monkeypatch.setattr(demo, "write_demo", write)
    config = dataclasses.replace(Config(), seed=5)
    assert dataset_path(config, run, anew=False) == run.path / "data"
    assert dataset_path(config, run, anew=False) == run.path / "data"
    assert made == [(run.path / "data", 5)]
    dataset_path(config, run, anew=True)  # a new run in the directory of an attempt
    assert len(made) == 2
    given = dataclasses.replace(config, data=DataConfig(path="some/where"))
    assert str(dataset_path(given, run, anew=True)) == "some/where"
    assert len(made) == 2
