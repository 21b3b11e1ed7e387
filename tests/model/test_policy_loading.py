"""Where a policy is found, what is asked of a model and its tokenizer, and how a saved one comes back."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from packed_rows import rows_of

from rerec_engine.errors import UserError
from rerec_engine.model.policy import (
    check_source,
    load_policy,
    make_policy,
    model_directory,
    model_source,
    resolve_device,
)

MESSAGES = [{"role": "user", "content": "Find a drama film"}]


def message(raised: pytest.ExceptionInfo[UserError]) -> str:
    return str(raised.value)


def test_model_directory_finds_the_final_model_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "final").mkdir()
    with pytest.raises(UserError, match="no model here"):
        model_directory(str(tmp_path))
    (tmp_path / "final" / "config.json").write_text("{}")
    assert model_directory(str(tmp_path)) == tmp_path / "final"
    with pytest.raises(UserError, match="nowhere: no such model directory"):
        model_directory(str(tmp_path / "nowhere"))


def test_a_run_directorys_own_model_comes_first_and_hub_names_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert model_directory("Qwen/Qwen2.5-0.5B") == Path("Qwen/Qwen2.5-0.5B")
    (tmp_path / "Qwen").mkdir()  # now it is a path
    with pytest.raises(UserError, match=r"Qwen2.5-0.5B: no such model directory, and no name on the Hub \(ORG/NAME\)"):
        model_directory("Qwen/Qwen2.5-0.5B")
    for place in ("final", "."):
        (tmp_path / "Qwen" / place).mkdir(exist_ok=True)
        (tmp_path / "Qwen" / place / "config.json").write_text("{}")
        assert model_directory("Qwen") == Path("Qwen") / place


def test_a_source_is_a_directory_with_a_model_or_a_name(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert model_source("Qwen/Qwen2.5-0.5B") == "Qwen/Qwen2.5-0.5B"
    with pytest.raises(UserError) as raised:
        model_source("~/here")
    assert message(raised) == "~/here: no model here (config.json is missing)"
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError) as raised:
        model_source("~/here")
    kind = "a LoRA adapter alone (the run's final/ holds it merged)"
    assert message(raised) == f"~/here: {kind} here (config.json is missing)"
    (tmp_path / "here" / "config.json").write_text("{}")
    assert model_source("~/here") == str(tmp_path / "here")


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
    scaled, biased, small, endless = (copy.deepcopy(model) for _ in range(4))
    scaled.config.logit_scale = 0.5
    biased.lm_head.bias = torch.nn.Parameter(torch.zeros(len(tokenizer)))
    small.lm_head = torch.nn.Linear(32, 7, bias=False)
    endless.config.eos_token_id = endless.generation_config.eos_token_id = None
    mute = copy.deepcopy(tokenizer)
    mute.eos_token = None
    for parts, expected in [
        ((model, without), "the tokenizer has no chat template; save one with it (tokenizer.chat_template = ...)"),
        ((scaled, tokenizer), "models with logit_scale (0.5) are not supported"),
        ((biased, tokenizer), "needs an LM head without bias"),
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
        with pytest.raises(UserError, match=r"dtype must be one of \['bf16', 'fp32'\], got 'fp"):
            load_policy(str(saved), "cpu", *names)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "nothing"}))
    with pytest.raises(UserError) as raised:
        load_policy(str(tmp_path), "cpu")
    assert message(raised).startswith(f"{tmp_path}: cannot load a causal LM: ")
    assert "\n" not in message(raised)


def test_a_source_is_a_model_a_runs_final_or_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run" / "final").mkdir(parents=True)
    with pytest.raises(UserError, match=r"^run: no model here \(config.json is missing\)"):
        model_source("run")
    (tmp_path / "run" / "final" / "config.json").write_text("{}")
    assert model_source("run") == "run/final"
    assert model_source("run/final") == "run/final"
    check_source("run")
    assert model_source("owner/name") == "owner/name"
    with pytest.raises(UserError, match=r"^\./owner/name: no model here"):
        model_source("./owner/name")
    (tmp_path / "run" / "adapter_config.json").write_text("{}")
    (tmp_path / "run" / "final" / "config.json").unlink()
    with pytest.raises(UserError, match="a LoRA adapter alone"):
        model_source("run")


def test_a_name_that_the_hub_does_not_have(monkeypatch):
    def refuse(name):
        raise OSError(f"{name} is not a valid model identifier\nmore")

    monkeypatch.setattr("rerec_engine.model.policy.AutoConfig.from_pretrained", refuse)
    message = (
        "^nowhere: no such directory here, and the Hub gives no such model: nowhere is not a valid model identifier$"
    )
    with pytest.raises(UserError, match=message):
        check_source("nowhere")
