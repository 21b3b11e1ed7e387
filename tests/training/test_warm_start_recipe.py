"""Optimizers and rates of a warm start, by what is trained."""

from __future__ import annotations

import pytest
import torch

from rerec_engine.config import Config, ModelConfig, WarmStartConfig
from rerec_engine.training.muon import Muon
from rerec_engine.training.warm_start_recipe import make_optimizers, set_rates, start_of, warmup_steps


def trained(optimizers):
    return [sum(len(group["params"]) for group in optimizer.param_groups) for optimizer, _ in optimizers]


def test_a_model_made_on_the_spot_has_muon_for_its_matrices(tiny_policy):
    policy = tiny_policy()
    assert start_of(policy, pretrained=False) == "made"
    (muon, matrix_rate), (adamw, rate) = optimizers = make_optimizers(policy.model, "made", WarmStartConfig())
    assert (type(muon), type(adamw)) == (Muon, torch.optim.AdamW)
    assert (matrix_rate, rate, adamw.defaults["betas"]) == (0.02, 3e-3, (0.9, 0.98))
    assert sum(trained(optimizers)) == len(list(policy.model.parameters()))


def test_a_pretrained_model_has_adamw_alone(tiny_policy):
    policy = tiny_policy()
    assert start_of(policy, pretrained=True) == "pretrained"
    ((adamw, rate),) = optimizers = make_optimizers(policy.model, "pretrained", WarmStartConfig())
    assert (type(adamw), rate, adamw.defaults["betas"]) == (torch.optim.AdamW, 1e-4, (0.9, 0.95))
    assert trained(optimizers) == [len(list(policy.model.parameters()))]


def test_muon_for_a_pretrained_model_where_it_is_asked_for(tiny_policy):
    config = WarmStartConfig(matrix_learning_rate=2e-3, learning_rate=3e-4)
    (muon, matrix_rate), (_, rate) = make_optimizers(tiny_policy().model, "pretrained", config)
    assert (type(muon), matrix_rate, rate) == (Muon, 2e-3, 3e-4)


def test_of_an_adapted_model_the_adapter_is_trained(tiny_policy):
    pytest.importorskip("peft", reason="peft: pip install 'rerec-engine[lora]'")
    policy = tiny_policy()
    policy.prepare(ModelConfig(lora_rank=2), seed=0)
    assert start_of(policy, pretrained=True) == "adapter"
    ((adamw, rate),) = make_optimizers(policy.model, "adapter", WarmStartConfig())
    names = {id(p): name for name, p in policy.model.named_parameters()}
    assert rate == 1e-3
    assert all(".lora_" in names[id(p)] for group in adamw.param_groups for p in group["params"])
    config = Config(model=ModelConfig(lora_rank=2), warm_start=WarmStartConfig(matrix_learning_rate=0.01))
    with pytest.raises(ValueError, match=r"matrix_learning_rate must be none where model\.lora_rank is set, got 0\.01"):
        config.check()


def test_rates_rise_and_fall_to_a_tenth():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizers = [(torch.optim.AdamW([weight]), 2.0)]
    rates = []
    for step in range(100):
        set_rates(optimizers, step, 100, warmup=10)
        rates.append(optimizers[0][0].param_groups[0]["lr"])
    assert rates[0] == pytest.approx(0.2) and max(rates) == rates[9] == pytest.approx(2 * (1 - 0.9 * 0.09))
    assert rates[-1] == pytest.approx(2 * (0.1 + 0.9 * 0.01))


@pytest.mark.parametrize(
    ("given", "start", "wanted"), [(None, "made", 50), (None, "pretrained", 5), (None, "adapter", 5), (0, "made", 0)]
)
def test_warm_up_by_what_is_trained(given, start, wanted):
    assert warmup_steps(WarmStartConfig(warmup_steps=given), start, 100) == wanted
