"""Settings: published defaults, validation, and the files in `rerec_engine/configs`."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import rerec_engine.config as c

CONFIGS = Path(c.__file__).parent / "configs"


def test_defaults_are_the_published_ones() -> None:
    config = c.Config()
    weights = config.reward
    assert (weights.ndcg, weights.format, weights.qas, weights.pas, weights.k) == (1.0, 0.1, 0.01, 0.01, 1)
    assert (config.train.queries_per_step, config.train.queries_per_update) == (512, 256)
    assert (config.rollout.responses_per_query, config.rollout.temperature) == (5, 1.0)
    assert (config.data.max_prompt_tokens, config.rollout.max_new_tokens) == (768, 768)
    assert (config.loss.clip_low, config.loss.clip_high, config.loss.beta, config.loss.kl) == (0.2, 0.2, 0.01, "k3")
    assert (config.optim.learning_rate, config.advantage.w_penalty, config.curriculum.tau) == (5e-6, 0.3, 0.1)


@pytest.mark.parametrize(
    ("section", "field", "bad"),
    [
        (c.RewardWeights, "ndcg", math.nan),
        (c.RewardWeights, "pas", math.inf),
        (c.RewardWeights, "k", 0),
        (c.RewardWeights, "qas_mode", "median"),
        (c.DataConfig, "max_prompt_tokens", 0),
        (c.RolloutConfig, "responses_per_query", 0),
        (c.RolloutConfig, "temperature", 0.0),
        (c.RolloutConfig, "temperature", 1e-39),
        (c.RolloutConfig, "temperature", math.inf),
        (c.VllmConfig, "kv_cache_gb", 0.0),
        (c.VllmConfig, "tensor_parallel", 0),
        (c.VllmConfig, "timeout", math.inf),
        (c.AdvantageConfig, "w_penalty", -0.1),
        (c.AdvantageConfig, "gae_lambda", 1.5),
        (c.CurriculumConfig, "probe_share", 1.01),
        (c.LossConfig, "clip_low", 1.0),
        (c.LossConfig, "beta", -1.0),
        (c.LossConfig, "entropy", math.nan),
        (c.LossConfig, "value_clip", 0.0),
        (c.LossConfig, "value_weight", -0.5),
        (c.LossConfig, "kl_in", "both"),
        (c.LossConfig, "importance_cap", 0.5),
        (c.LossConfig, "importance_cap", -1.0),
        (c.LossConfig, "importance_cap", math.inf),
        (c.LossConfig, "importance_cap", math.nan),
        (c.OptimConfig, "learning_rate", 0.0),
        (c.TrainConfig, "steps", -1),
        (c.TrainConfig, "keep_checkpoints", 0),
    ],
)
def test_bad_value_names_setting_and_value(section: type, field: str, bad: object) -> None:
    with pytest.raises(ValueError) as caught:
        section(**{field: bad})
    assert field in str(caught.value)
    assert repr(bad) in str(caught.value) or "finite" in str(caught.value)


@pytest.mark.parametrize("estimator", ["raae", "grpo", "dr_grpo", "rloo", "reinforce_pp", "gae"])
def test_kl_in_the_reward_needs_an_estimator_that_takes_it(estimator: Any) -> None:
    config = c.Config(loss=c.LossConfig(kl_in="reward"), advantage=c.AdvantageConfig(estimator=estimator))
    dataclasses.replace(config, loss=c.LossConfig()).check()
    if estimator in ("reinforce_pp", "gae"):
        config.check()
        return
    with pytest.raises(ValueError, match=rf"advantage.estimator must be .* loss.kl_in is reward, got '{estimator}'"):
        config.check()


@given(st.sampled_from(["ndcg", "format", "qas", "pas"]), st.floats())
def test_reward_weights_are_finite(name: str, value: float) -> None:
    if math.isfinite(value):
        assert getattr(c.RewardWeights(**{name: value}), name) == value  # type: ignore[arg-type]
    else:
        with pytest.raises(ValueError, match=f"reward.{name}"):
            c.RewardWeights(**{name: value})  # type: ignore[arg-type]


def sections(cls: type) -> list[type]:
    nested = [hint for hint in get_type_hints(cls).values() if dataclasses.is_dataclass(hint)]
    return [cls, *(s for hint in nested if isinstance(hint, type) for s in sections(hint))]


def test_every_section_is_frozen_and_compares_by_value() -> None:
    assert c.Config() == c.Config()
    for section in sections(c.Config):
        settings = section()
        name = dataclasses.fields(settings)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(settings, name, None)


def build(cls: type, values: dict[str, Any], place: str) -> Any:
    hints = get_type_hints(cls)
    unknown = set(values) - {field.name for field in dataclasses.fields(cls)}
    assert not unknown, f"{place}: unknown settings {sorted(unknown)}"
    nested = {
        k: build(hints[k], v, f"{place}.{k}") if dataclasses.is_dataclass(hints[k]) else v for k, v in values.items()
    }
    return cls(**nested)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_files_hold_known_settings(path: Path) -> None:
    assert isinstance(build(c.Config, yaml.safe_load(path.read_text()) or {}, path.name), c.Config)


def test_build_tells_an_unknown_setting() -> None:
    with pytest.raises(AssertionError, match="learning_rat"):
        build(c.Config, {"optim": {"learning_rat": 1.0}}, "x.yaml")


def test_credit_by_rank_needs_lists() -> None:
    config = c.Config(advantage=c.AdvantageConfig(estimator="rank"), reward=c.RewardWeights(k=2))
    config.check()
    with pytest.raises(ValueError, match=r"reward.k must be >= 2 where advantage.estimator is rank, got 1"):
        dataclasses.replace(config, reward=c.RewardWeights()).check()
