"""How large the passes are, and what they keep, by model and memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from rerec_engine.config import Config, ModelConfig, TrainConfig
from rerec_engine.training import fitting
from rerec_engine.training.fitting import PASS_TOKENS, activation_bytes, fitted, free_memory

CPU = torch.device("cpu")


def told(config):
    return config.train.tokens_per_micro_batch, config.model.gradient_checkpointing


def test_small_models_have_the_largest_passes(tiny_policy):
    assert told(fitted(Config(), tiny_policy().model, CPU)) == (PASS_TOKENS, False)


def test_a_large_models_passes_are_bounded_on_a_cpu_alone(tiny_policy, monkeypatch):
    model = tiny_policy().model
    monkeypatch.setattr(fitting, "CPU_BYTES", 1000 * activation_bytes(model) + 1)
    monkeypatch.setattr(fitting, "free_memory", lambda device: 10**12)
    assert told(fitted(Config(), model, CPU)) == (1000, False)
    assert told(fitted(Config(), model, torch.device("cuda"))) == (PASS_TOKENS, False)
    monkeypatch.setattr(fitting, "CPU_BYTES", 1)
    assert told(fitted(Config(), model, CPU)) == (fitting.FEWEST_TOKENS, False)


@pytest.mark.parametrize(("free", "again"), [(10**12, False), (10**6, True), (None, False)])
def test_activations_are_kept_where_there_is_room(tiny_policy, monkeypatch, free, again):
    monkeypatch.setattr(fitting, "free_memory", lambda device: free)
    assert told(fitted(Config(), tiny_policy().model, CPU)) == (PASS_TOKENS, again)


def test_what_is_set_stays(tiny_policy):
    for again in (False, True):
        config = Config(model=ModelConfig(gradient_checkpointing=again), train=TrainConfig(tokens_per_micro_batch=7))
        assert fitted(config, tiny_policy().model, CPU) == config


@pytest.mark.parametrize("architecture", ["qwen2", "llama", "gpt2"])
def test_activations_are_about_what_a_pass_keeps(tiny_policy, architecture):
    policy, kept = tiny_policy(architecture), {}
    parameters = {p.untyped_storage().data_ptr() for p in policy.model.parameters()}

    def keep(x):
        if x.untyped_storage().data_ptr() not in parameters:
            kept[x.untyped_storage().data_ptr()] = x.untyped_storage()
        return x

    tokens = 256
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        policy.body(input_ids=torch.zeros(1, tokens, dtype=torch.long), use_cache=False)
    found = sum(storage.nbytes() for storage in kept.values()) / tokens
    assert 0.5 * found < activation_bytes(policy.model) < 2 * found


def test_free_memory_is_the_least_that_is_told(tmp_path, monkeypatch):
    (tmp_path / "meminfo").write_text("MemTotal: 8 kB\nMemAvailable:    6 kB\n")
    monkeypatch.setattr(fitting, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(fitting, "CGROUP", tmp_path)
    assert free_memory(CPU) == 6 * 1024
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert free_memory(CPU) == 4000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(CPU) == 6 * 1024
    monkeypatch.setattr(fitting, "MEMINFO", tmp_path / "none")
    assert free_memory(CPU) is None


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"train\.tokens_per_micro_batch must be >= 1, or none, got 0"):
        replace(TrainConfig(), tokens_per_micro_batch=0)
