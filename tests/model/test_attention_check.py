"""Fast attention that is another model's is told, and not taken."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from rerec_engine.model import attention_check
from rerec_engine.model.attention_check import difference, settle_attention
from rerec_engine.model.policy import make_policy


def gemma(cap):
    torch.manual_seed(0)
    sizes = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4)
    sizes |= dict(num_key_value_heads=2, head_dim=8, query_pre_attn_scalar=1, initializer_range=0.5)
    return Gemma2ForCausalLM(
        Gemma2Config(vocab_size=400, attn_logit_softcapping=cap, final_logit_softcapping=None, **sizes)
    ).eval()


def test_a_cap_of_attention_logits_is_kept(tiny_policy, monkeypatch, capsys):
    monkeypatch.setattr("rerec_engine.model.chat._told", set())
    model = gemma(1.0)
    right = copy.deepcopy(model).double()
    right.set_attn_implementation("eager")
    policy = make_policy(model, tiny_policy().tokenizer, "gemma")
    ids = torch.tensor([5, 9, 300, 21, 7, 8, 33, 100])
    logp, _ = policy.token_logprobs([([3, 4], ids)])
    with torch.no_grad():
        every = right(torch.tensor([[3, 4, *ids]])).logits[0, 1:-1].log_softmax(-1)
    assert torch.allclose(logp.double(), every.gather(1, ids[:, None])[:, 0], atol=1e-4)
    assert policy.model.config._attn_implementation == "eager"
    assert "gemma: eager attention, since SDPA leaves out the cap" in capsys.readouterr().err


@pytest.mark.parametrize("architecture", ["qwen2", "llama", "gpt2"])
def test_where_both_agree_the_fast_one_stays(tiny_policy, architecture):
    policy = tiny_policy(architecture)
    assert policy.model.config._attn_implementation == "sdpa"
    assert difference(policy.model) < 1e-5
    assert policy.model.config._attn_implementation == "sdpa"


def test_another_difference_is_measured(tiny_policy, monkeypatch, capsys):
    monkeypatch.setattr("rerec_engine.model.chat._told", set())
    model = tiny_policy().model
    fast = ALL_ATTENTION_FUNCTIONS["sdpa"]

    def without_its_last_head(*args, **more):
        out, weights = fast(*args, **more)
        out = out.clone()
        out[..., -1, :] = 0
        return out, weights

    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS, "sdpa", without_its_last_head)
    settle_attention(model, "other")
    assert model.config._attn_implementation == "eager"
    assert "other: eager attention, since SDPA gives other log-probs" in capsys.readouterr().err


def test_a_model_without_the_choice_is_left_alone(tiny_policy, monkeypatch):
    model = tiny_policy().model
    monkeypatch.setattr(model, "forward", lambda **_: (_ for _ in ()).throw(RuntimeError("no")))
    settle_attention(model, "there")
    assert model.config._attn_implementation == "sdpa"
    assert attention_check.difference(model) == 0
