"""The trainer's log-probs against the model's own, at the start of a run: what falls back, what is refused."""

from __future__ import annotations

import copy
import re

import pytest
import torch
from architectures import tiny_policy_of

from rerec_engine.config import ModelConfig
from rerec_engine.errors import RunError, UserError
from rerec_engine.model.critic import Critic
from rerec_engine.model.output import Output
from rerec_engine.model.selfcheck import BOUNDS, Case, prove_policy, prove_saved, true_logprobs

PACKED = ModelConfig(packing=True)


@pytest.mark.parametrize("kind", ["qwen2", "granite", "granitemoe", "cohere", "gemma2", "falcon_h1", "phi", "mamba"])
def test_log_probs_are_the_models_own(kind):
    policy = tiny_policy_of(kind)
    policy.prepare(PACKED, seed=0)
    proof = prove_policy(policy)
    assert proof.logprob_max < 1e-4
    case = Case(policy)
    assert (policy.token_logprobs(case.rows)[0] - true_logprobs(policy, case)).abs().max() < 1e-4


def test_the_truth_is_that_of_each_sequence_alone():
    policy = tiny_policy_of("granite")
    case = Case(policy)
    alone = []
    for prompt, response in case.rows:
        logits = policy.model(input_ids=torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : -1]
        alone.append(logits.log_softmax(-1).gather(1, torch.tensor(response)[:, None])[:, 0])
    assert torch.allclose(true_logprobs(policy, case), torch.cat(alone), atol=1e-5)


def test_attention_that_packed_rows_do_not_do_gets_padded_ones():
    policy = tiny_policy_of("gemma2")
    policy.model.set_attn_implementation("sdpa")  # which it is loaded without, since that knows no cap
    policy.prepare(PACKED, seed=0)
    assert policy.packed
    (told,) = prove_policy(policy).told
    assert not policy.packed
    assert told.startswith(
        "Gemma2ForCausalLM: padded rows, since packed ones give ValueError: packed attention does not"
    )
    assert "\n" not in told


def test_packed_rows_that_are_wrong_give_way(monkeypatch):
    policy = tiny_policy_of("qwen2")
    policy.prepare(PACKED, seed=0)
    monkeypatch.setattr("rerec_engine.model.packed_attention.Blocks.key_index", None, raising=False)
    monkeypatch.setattr(
        "rerec_engine.model.packed_attention._by_block",
        lambda q, k, v, *_: torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True),
    )
    (told,) = prove_policy(policy).told
    assert not policy.packed
    assert "padded rows, since packed ones give log-probs" in told


def test_what_was_measured_wrongly_gives_way_to_the_models_own_logits():
    policy = tiny_policy_of("granite")
    policy.output = Output()
    assert policy.output != tiny_policy_of("granite").output
    (told,) = prove_policy(policy).told
    assert policy.output == Output(own=True)
    assert told == "GraniteForCausalLM: updates and sampler take the model's own logits, which need more memory"


def test_a_model_with_which_nothing_agrees_is_refused_in_one_line(monkeypatch):
    policy = tiny_policy_of("qwen2")
    monkeypatch.setattr(type(policy), "token_logprobs", lambda self, rows, **_: (torch.zeros(21), None))
    policy.model.__class__ = type("NextForCausalLM", (type(policy.model),), {})
    with pytest.raises(UserError) as raised:
        prove_policy(policy)
    told = str(raised.value)
    assert told.startswith("NextForCausalLM, padded rows: our log-probs differ from the model's own by ")
    assert told.endswith(" nats (bound 0.001)")
    monkeypatch.setattr(type(policy), "token_logprobs", lambda self, rows, **_: 1 / 0)
    with pytest.raises(UserError, match="padded rows: ZeroDivisionError: division by zero$"):
        prove_policy(policy)


def test_an_adapter_is_proven_on_and_off_and_left_as_it_was():
    policy = tiny_policy_of("qwen2")
    before = copy.deepcopy(policy.model.state_dict())
    policy.prepare(ModelConfig(packing=True, lora_rank=2), seed=0)
    started = {name: p.clone() for name, p in policy.model.named_parameters()}
    random = torch.get_rng_state()
    assert prove_policy(policy).logprob_max < 1e-4
    assert all(torch.equal(p, started[name]) for name, p in policy.model.named_parameters())
    assert all(torch.equal(p, before[name]) for name, p in policy.whole_parameters())
    assert torch.equal(torch.get_rng_state(), random)


def test_the_critic_is_tried(monkeypatch):
    policy = tiny_policy_of("gemma2")
    policy.prepare(PACKED, seed=0)
    critic = Critic(policy)
    prove_policy(policy, critic)
    assert not critic.packed
    torch.nn.init.constant_(critic.head.bias, float("nan"))
    with pytest.raises(UserError, match="^Gemma2ForCausalLM, the critic: values that are not finite$"):
        prove_policy(policy, critic)


def test_bf16_arithmetic_has_its_own_bound():
    policy = tiny_policy_of("granite")
    policy.dtype = torch.bfloat16
    assert 0 < prove_policy(policy).logprob_max < BOUNDS[torch.bfloat16] / 4


MOE = ["apertus", "qwen3_moe", "mixtral", "granitemoe", "gpt_oss", "olmoe"]


@pytest.mark.parametrize("kind", ["qwen2", "gpt2", "lfm2", *MOE])
def test_what_is_saved_of_an_adapter_gives_the_same_log_probs(kind, tmp_path):
    policy = tiny_policy_of(kind)
    policy.prepare(ModelConfig(lora_rank=2, lora_targets="all-linear"), seed=0)
    with torch.no_grad():
        for name, p in policy.model.named_parameters():
            if ".lora_B." in name:
                p.normal_(std=0.1)
    policy.save(tmp_path)
    assert prove_saved(policy, tmp_path) < 1e-4
    assert all(".base_layer" not in name for name, _ in policy.whole_parameters())


def test_an_adapter_with_which_the_model_does_not_run_is_refused_before_training():
    policy = tiny_policy_of("llama4_text")
    policy.prepare(ModelConfig(lora_rank=2), seed=0)
    with pytest.raises(UserError, match="^Llama4ForCausalLM, its own forward pass with the adapter: AttributeError: "):
        prove_policy(policy)
    with pytest.raises(UserError, match=r"^model\.lora_targets: MambaForCausalLM takes no such adapter: .*out_proj"):
        tiny_policy_of("mamba").prepare(ModelConfig(lora_rank=2), seed=0)


def test_what_was_saved_wrongly_ends_the_run_in_one_line(tmp_path):
    policy = tiny_policy_of("qwen2")
    tiny_policy_of("qwen2", seed=1).save(tmp_path)
    with pytest.raises(RunError) as raised:
        prove_saved(policy, tmp_path)
    assert re.fullmatch(
        rf"{tmp_path}: loaded again, Qwen2ForCausalLM gives log-probs \d.* nats off those of the model in training "
        r"\(bound 0\.001\); the checkpoints hold what was trained",
        str(raised.value),
    )
