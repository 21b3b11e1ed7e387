"""The policy's log-probs by plain transformers, in both arithmetics, and what training makes of the model."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from packed_rows import rows_of

from rerec_engine.config import ModelConfig
from rerec_engine.model.output import Output
from rerec_engine.model.policy import blocks, copy_of, load_policy, make_policy


def test_a_response_ends_with_any_end_that_model_or_tokenizer_names(tiny_policy):
    policy = tiny_policy()
    own = policy.tokenizer.eos_token_id
    assert policy.end_ids == (own,)
    assert policy.pad_id == policy.tokenizer.pad_token_id
    model, tokenizer = policy.model.train(), copy.deepcopy(policy.tokenizer)
    model.generation_config.eos_token_id = [250, 17]
    tokenizer.pad_token = None
    other = make_policy(model, tokenizer, "there")
    assert other.end_ids == tuple(sorted({own, 250, 17}))
    assert other.pad_id == other.end_ids[0]
    assert not other.model.training


@pytest.mark.parametrize("architecture", ["qwen2", "gpt2"])
def test_log_probs_are_those_of_plain_transformers(tiny_policy, architecture):
    policy, rows = tiny_policy(architecture), rows_of()
    logp, entropy = policy.token_logprobs(rows, temperature=0.7)
    model = copy.deepcopy(policy.model).double()
    expected = []
    for prompt, response in rows:
        ids = torch.tensor([[*prompt, *response]])
        full = (model(ids).logits[0, len(prompt) - 1 : -1] / 0.7).log_softmax(-1)
        expected.append(
            torch.stack([full.gather(1, torch.tensor(response)[:, None])[:, 0], -(full.exp() * full).sum(1)])
        )
    truth = torch.cat(expected, 1)
    assert logp.dtype == entropy.dtype == torch.float32
    torch.testing.assert_close(torch.stack([logp, entropy]).double(), truth, atol=1e-5, rtol=0)
    assert policy.token_logprobs(rows, return_entropy=False)[1] is None


def test_scaled_and_capped_logits(tiny_policy):
    policy, rows = tiny_policy(), rows_of()
    assert policy.output == Output()
    hidden, targets = policy.response_states(rows)
    policy.output = Output(scale=3.0, cap=2.0)
    full = (2 * torch.tanh(3 * hidden.double() @ policy.head.double().t() / 2)).log_softmax(-1)
    expected = full.gather(1, targets[:, None])[:, 0]
    torch.testing.assert_close(policy.token_logprobs(rows)[0].double(), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_the_models_own_logits_give_the_same_log_probs(tiny_policy, temperature):
    policy, rows = tiny_policy(), rows_of()
    expected = policy.token_logprobs(rows, temperature)
    policy.output = Output(own=True)
    found = policy.token_logprobs(rows, temperature)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert policy.token_logprobs(rows, return_entropy=False)[1] is None


def test_bf16_arithmetic_on_fp32_weights(saved):
    plain, mixed = load_policy(str(saved), "cpu"), load_policy(str(saved), "cpu", "bf16", "fp32")
    narrow = load_policy(str(saved), "cpu", "bf16")
    assert [p.model.dtype for p in (plain, mixed, narrow)] == [torch.float32, torch.float32, torch.bfloat16]
    assert [p.dtype for p in (plain, mixed, narrow)] == [torch.float32, torch.bfloat16, torch.bfloat16]
    assert [p.autocast()._enabled for p in (plain, mixed, narrow)] == [False, True, False]
    rows = rows_of(len(plain.tokenizer))
    hidden, _ = mixed.response_states(rows)
    assert hidden.dtype == mixed.head.dtype == torch.bfloat16
    gap = (mixed.token_logprobs(rows)[0] - plain.token_logprobs(rows)[0]).abs()
    assert 0 < gap.max() < 0.1


def test_a_copy_has_room_for_the_weights_and_none_of_their_memory(tiny_policy):
    policy = tiny_policy()
    policy.dtype = torch.bfloat16
    copied = copy_of(policy)
    shapes = [{name: x.shape for name, x in p.model.named_parameters()} for p in (policy, copied)]
    assert shapes[0] == shapes[1]
    assert {(x.dtype, x.requires_grad) for x in copied.model.parameters()} == {(torch.bfloat16, False)}
    assert not {x.data_ptr() for x in copied.model.parameters()} & {x.data_ptr() for x in policy.model.parameters()}
    assert (copied.end_ids, copied.pad_id, copied.model.training) == (policy.end_ids, policy.pad_id, False)


def test_preparing_for_training(tiny_policy):
    policy = tiny_policy()
    policy.prepare(ModelConfig(packing=False), seed=0)
    assert (policy.packed, policy.adapted) == (False, False)
    policy.prepare(ModelConfig(packing=True), seed=0)
    assert policy.packed
    closed = tiny_policy()
    closed.model._supports_attention_backend = False
    closed.prepare(ModelConfig(packing=True), seed=0)
    assert not closed.packed


def test_only_a_sharded_body_lets_go_of_its_weights(tiny_policy):
    policy, calls = tiny_policy(), []
    policy.body.reshard = lambda: calls.append(1)
    policy.reshard()
    assert not calls
    policy.sharded = True
    policy.reshard()
    assert calls == [1]


def test_layers_are_what_transformers_keeps_together(tiny_policy):
    model = tiny_policy().model
    assert blocks(model) == list(model.model.layers)
    assert blocks(SimpleNamespace(_no_split_modules=None, modules=model.modules)) == []
