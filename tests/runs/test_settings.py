"""CLI over file over default; mistakes are one line."""

from __future__ import annotations

import pytest

from rerec_engine.config import Config
from rerec_engine.errors import UserError
from rerec_engine.runs.settings import (
    DEMO,
    as_words,
    flatten,
    load_settings,
    read_yaml,
    replaced,
    with_settings,
    write_yaml,
)


def test_defaults_are_the_published_ones():
    config, resume = load_settings(["--data", "somewhere", "--model", "of-ones-own"])
    assert resume is None
    assert config == replaced(Config(), {"data.path": "somewhere", "model.path": "of-ones-own"})
    assert (config.rollout.responses_per_query, config.train.queries_per_step, config.train.queries_per_update) == (
        5,
        512,
        256,
    )
    assert (config.loss.beta, config.optim.learning_rate, config.advantage.w_penalty) == (0.01, 5e-6, 0.3)


def test_without_data_the_demo_stands_in():
    assert load_settings([])[0] == read_yaml(DEMO)
    assert load_settings(["--model", "m"])[0] == replaced(read_yaml(DEMO), {"model.path": "m"})


def test_a_model_made_on_the_spot_takes_the_demos_settings_with_data_too(tmp_path):
    """A step of 512 queries and no warm start are for pretrained models."""
    without, _ = load_settings(["--data", str(tmp_path)])
    (tmp_path / "warm_start.parquet").touch()
    config, _ = load_settings(["--data", str(tmp_path), "--train.steps", "20"])
    small = {"data.path": str(tmp_path), "rollout.max_new_tokens": 768}
    assert config == replaced(read_yaml(DEMO), {**small, "train.steps": 20})
    assert without == replaced(read_yaml(DEMO), {**small, "warm_start.epochs": 0})


def test_command_line_over_file_over_default(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("train:\n  steps: 7\n  eval_every: 3\nreward: {qas: 0.5}\nseed: 4\n")
    config, _ = load_settings(["--config", str(file), "--train.steps", "9", "--data.path", "d"])
    assert (config.train.steps, config.train.eval_every, config.reward.qas, config.seed) == (9, 3, 0.5, 4)


def test_changed_by_name_as_text_or_as_values():
    base = read_yaml(DEMO)
    changed = with_settings(base, {"reward.qas": "0.5", "rollout.vllm.python": "p", "seed": "4"})
    assert changed == replaced(base, {"reward.qas": 0.5, "rollout.vllm.python": "p", "seed": 4})
    before, after = flatten(base), flatten(changed)
    assert {name for name in before if before[name] != after[name]} == {"reward.qas", "rollout.vllm.python", "seed"}
    with pytest.raises(ValueError, match=r"train\.steps must be >= 0"):
        replaced(base, {"train.steps": -1})


@pytest.mark.slow
@pytest.mark.parametrize("in_file", ["loss: {kl_in: reward}", "advantage: {estimator: gae}"])
def test_settings_that_need_each_other_may_come_from_two_places(tmp_path, in_file):
    file = tmp_path / "run.yaml"
    file.write_text(in_file)
    words = ["--advantage.estimator", "gae"] if "loss" in in_file else ["--loss.kl-in", "reward"]
    for data in ([], ["--data.path", "d"]):
        config, _ = load_settings(["--config", str(file), *words, *data])
        assert (config.loss.kl_in, config.advantage.estimator) == ("reward", "gae")


def test_the_settings_that_switch_parts_off():
    words = "--reward.qas 0 --advantage.estimator grpo --curriculum.enabled false --advantage.outcome_gate true"
    config, _ = load_settings(words.split())
    assert (config.reward.qas, config.advantage.estimator) == (0.0, "grpo")
    assert (config.curriculum.enabled, config.advantage.outcome_gate) == (False, True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words, message",
    [
        (["--reward.qa", "0"], r"reward\.qas"),
        (["--seed", "x"], "seed"),
        (["--loss.clip-low", "3"], r"loss\.clip_low must be in \(0, 1\), got 3\.0"),
        (["--advantage.estimator", "ppo"], "gae"),
        (["--loss.kl_in", "reward"], r"advantage\.estimator must be .* loss\.kl_in is reward, got 'raae'"),
        (["surplus"], "surplus"),
        (["--config", "nowhere.yaml"], r"nowhere\.yaml: no such"),
        (["--resume", "nowhere"], r"^nowhere: no run to resume there"),
    ],
)
def test_mistakes_on_the_command_line(words, message):
    with pytest.raises(UserError, match=message) as caught:
        load_settings(words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text, message",
    [
        ("reward: {qa: 1}", r"unknown setting 'reward\.qa' \(did you mean 'reward\.qas'\?\)"),
        ("train: {steps: many}", "steps"),
        ("train: [1, 2]", "unknown setting 'train'"),
        ("train: {steps: [1, 2]}", r"train\.steps must be one value"),
        ("- a\n- b", "expected settings by name, got list"),
        ("a: [", "not readable as YAML"),
        ("loss: {beta: -1}", r"loss\.beta must be >= 0"),
    ],
)
def test_mistakes_in_the_file(tmp_path, text, message):
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        read_yaml(file)
    assert "bad.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_saved_settings_read_back(tmp_path):
    switches = {"enable_thinking": False, "deep": {"x": [1, None]}}
    named = {"output_dir": "x y", "train.steps": 3, "seed": 8, "model.chat_template_kwargs": switches}
    config = replaced(Config(), named)
    write_yaml(config, tmp_path / "config.yaml")
    assert read_yaml(tmp_path / "config.yaml") == config
    assert load_settings([*as_words({"model.chat_template_kwargs": switches}), "--model", "m"])[0].model == replaced(
        Config().model, {"chat_template_kwargs": switches, "path": "m"}
    )


def test_the_switches_of_a_chat_template(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("model: {chat_template_kwargs: {enable_thinking: true}, path: m}")
    read = [load_settings(["--config", str(file), *words])[0].model for words in ([], ["--chat-template-kwargs", "{}"])]
    assert [model.chat_template_kwargs for model in read] == [{"enable_thinking": True}, {}]
    for wrong in ("enable_thinking", "[1]", "{enable_thinking: false}"):
        with pytest.raises(UserError, match="expected a JSON object such as"):
            load_settings(["--model.chat_template_kwargs", wrong])
    file.write_text("model: {chat_template_kwargs: 3}")
    with pytest.raises(UserError, match=r"model\.chat_template_kwargs: expected a JSON object"):
        read_yaml(file)


def test_resume_changes_little(tmp_path):
    write_yaml(Config(), tmp_path / "config.yaml")
    config, resume = load_settings(["--resume", str(tmp_path), "--train.steps", "500"])
    assert (config.train.steps, resume) == (500, tmp_path)
    with pytest.raises(UserError, match=r"cannot change loss\.beta"):
        load_settings(["--resume", str(tmp_path), "--loss.beta", "0"])
