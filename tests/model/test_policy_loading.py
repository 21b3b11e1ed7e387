"""Where a policy is found, what is asked of a model and its tokenizer, and how a saved one comes back."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from packed_rows import rows_of

from rerec_engine.errors import UserError
from rerec_engine.model.policy import (
    load_policy,
    make_policy,
    resolve_device,
)

MESSAGES = [{"role": "user", "content": "Find a drama film"}]


def message(raised: pytest.ExceptionInfo[UserError]) -> str:
    return str(raised.value)


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == torch.device("cuda")
    assert resolve_device("cuda:3") == torch.device("cuda:3")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == resolve_device("cpu") == torch.device("cpu")
    with pytest.raises(UserError, match="device 'cuda:1' was asked for, but torch .* sees no CUDA device"):
        resolve_device("cuda:1")
    with pytest.raises(UserError) as raised:
        resolve_device("gpu")
    assert message(raised) == "device must be auto, cpu, cuda or cuda:N, got 'gpu'"


def test_what_a_model_must_have(tiny_policy):
    policy = tiny_policy()
    model, tokenizer = policy.model, policy.tokenizer
    without = copy.deepcopy(tokenizer)
    without.chat_template = None
    broken, small, endless = (copy.deepcopy(model) for _ in range(3))
    broken.model.norm = None
    small.lm_head = torch.nn.Linear(32, 7, bias=False)
    endless.config.eos_token_id = endless.generation_config.eos_token_id = None
    mute = copy.deepcopy(tokenizer)
    mute.eos_token = None
    mute.chat_template = "{{ messages[-1]['content'] }}"
    for parts, expected in [
        (
            (model, without),
            "the tokenizer has no chat template: set model.chat_template (--chat-template) to a file that holds one "
            "(jinja)",
        ),
        (
            (broken, tokenizer),
            "Qwen2ForCausalLM's own forward pass fails: TypeError: 'NoneType' object is not callable",
        ),
        ((small, tokenizer), f"the tokenizer has {len(tokenizer)} tokens, the LM head 7"),
        ((endless, mute), "neither tokenizer nor model names an end-of-sequence token"),
    ]:
        with pytest.raises(UserError) as raised:
            make_policy(*parts, "there")
        assert message(raised) == f"there: {expected}"


def test_a_saved_policy_loads_as_it_was(saved, tiny_policy):
    made, loaded = tiny_policy(tie_word_embeddings=True), load_policy(str(saved), "cpu")
    assert loaded.encode_prompt(MESSAGES) == made.encode_prompt(MESSAGES)
    assert (loaded.end_ids, loaded.pad_id) == (made.end_ids, made.pad_id)
    assert torch.equal(loaded.token_logprobs(rows_of())[0], made.token_logprobs(rows_of())[0])
    kept = dict(loaded.whole_parameters())
    assert kept.keys() == dict(made.model.named_parameters()).keys()
    assert all(torch.equal(x, kept[name]) for name, x in made.model.named_parameters())


def test_loading_without_weights_and_errors(saved, tmp_path):
    empty = load_policy(str(saved), "cpu", "bf16", "fp32", empty=True)
    assert {(p.device.type, p.dtype) for p in empty.model.parameters()} == {("meta", torch.float32)}
    for names in (("fp16",), ("fp32", "int8")):
        with pytest.raises(UserError, match=rf"dtype must be one of \['auto', 'bf16', 'fp32'\], got '{names[-1]}'"):
            load_policy(str(saved), "cpu", *names)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "nothing"}))
    with pytest.raises(UserError) as raised:
        load_policy(str(tmp_path), "cpu")
    assert message(raised).startswith(f"{tmp_path}: cannot load a causal LM: ")
    assert "\n" not in message(raised)
