"""LoRA: the start is the model itself, the merge is peft's, files go to peft and back, the sampler sees the adapter."""

from __future__ import annotations

import copy
import dataclasses
import json

import numpy as np
import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file

pytest.importorskip("peft", reason="no peft: pip install .[test]")

from rerec_engine.config import ModelConfig
from rerec_engine.errors import UserError
from rerec_engine.model.lora import (
    add_adapter,
    effective_weight,
    has_adapter,
    is_adapter,
    load_adapter,
    merged_parameters,
    plain,
    save_adapter,
    without_adapter,
)
from rerec_engine.model.memory import checkpointed, enable_checkpointing
from rerec_engine.model.packed_attention import enable_packing
from rerec_engine.model.policy import load_policy
from rerec_engine.model.ranks import whole
from rerec_engine.model.sequences import response_states
from rerec_engine.rollout.decoder import FusedDecoder
from rerec_engine.rollout.sampler import Sampler
from rerec_engine.types import Sampling

CONFIG = ModelConfig(lora_rank=4, lora_alpha=8)
ARCHITECTURES = ["qwen2", "llama", "gpt2"]


def rows_of(policy, count=4, seed=0):
    rng = np.random.default_rng(seed)
    size = len(policy.tokenizer)
    return [(rng.integers(5, size, 7).tolist(), rng.integers(5, size, 5 + i).tolist()) for i in range(count)]


def logprobs(policy, rows):
    with torch.no_grad():
        return policy.token_logprobs(rows)[0]


def adapted(policy, config=CONFIG, seed=1):
    """The policy with an adapter that changes it."""
    add_adapter(policy.model, config, seed)
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in policy.model.named_parameters():
            if is_adapter(name):
                parameter.copy_(torch.randn_like(parameter) * 0.2)
    policy.model.eval()
    return policy


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_new_adapter_changes_nothing_and_alone_is_trained(tiny_policy, architecture):
    policy = tiny_policy(architecture)
    rows = rows_of(policy)
    before = logprobs(policy, rows)
    assert not has_adapter(policy.model)
    assert add_adapter(policy.model, CONFIG) is policy.model
    assert has_adapter(policy.model)
    assert torch.equal(logprobs(policy, rows), before)
    for name, parameter in policy.model.named_parameters():
        assert parameter.requires_grad == is_adapter(name)
    policy.token_logprobs(rows)[0].sum().backward()
    assert any(p.grad.abs().max() > 0 for n, p in policy.model.named_parameters() if "lora_B" in n)


def test_the_adapter_is_drawn_from_its_seed_alone(tiny_policy):
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(len(found))
        state = torch.get_rng_state()
        model = add_adapter(tiny_policy().model, CONFIG, seed)
        found.append(torch.cat([p.flatten() for n, p in model.named_parameters() if "lora_A" in n]))
        torch.manual_seed(len(found) - 1)
        assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_without_adapter_is_the_start_bit_for_bit(tiny_policy, architecture):
    policy = tiny_policy(architecture)
    rows = rows_of(policy)
    start = logprobs(policy, rows)
    adapted(policy)
    trained = logprobs(policy, rows)
    assert (trained - start).abs().max() > 0.05
    with without_adapter(policy.model):
        assert torch.equal(logprobs(policy, rows), start)
        layer = next(m for m in policy.model.modules() if hasattr(m, "lora_A"))
        assert effective_weight(layer) is layer.weight
    assert torch.equal(logprobs(policy, rows), trained)


@pytest.mark.slow
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_merged_is_what_peft_merges_and_loads_into_a_plain_model(tiny_policy, architecture, tied, tmp_path):
    policy = adapted(tiny_policy(architecture, tie_word_embeddings=tied))
    rows = rows_of(policy)
    expected = logprobs(policy, rows)
    seen = []
    merged = {name: x.clone() for name, x in merged_parameters(policy.model, lambda x: (seen.append(x), x)[1])}
    named = list(policy.model.named_parameters())
    assert len(seen) == len(named)
    assert {id(x) for x in seen} == {id(x) for _, x in named}
    bare = tiny_policy(architecture, seed=5, tie_word_embeddings=tied)
    assert list(merged) == [name for name, _ in bare.model.named_parameters()]
    lacking = bare.model.load_state_dict(merged, strict=False)
    assert not lacking.unexpected_keys
    assert (logprobs(bare, rows) - expected).abs().max() < 1e-5

    with plain(policy.model):
        policy.model.save_pretrained(tmp_path, state_dict=dict(merged_parameters(policy.model)))
    policy.tokenizer.save_pretrained(tmp_path)
    assert not list(tmp_path.glob("adapter*"))
    assert "rerec" not in (tmp_path / "config.json").read_text()
    assert (logprobs(load_policy(str(tmp_path), "cpu"), rows) - expected).abs().max() < 1e-5
    assert torch.equal(logprobs(policy, rows), expected)  # the model is as it was

    for module in policy.model.modules():
        if hasattr(module, "lora_A"):
            module.merge()
    for name, parameter in policy.model.named_parameters():
        if not is_adapter(name):
            assert torch.allclose(merged[name.replace(".base_layer", "")], parameter, atol=1e-6)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_sampler_draws_from_the_adapted_model(tiny_policy, architecture):
    policy = adapted(tiny_policy(architecture))
    sampler = Sampler(policy)
    assert architecture == "gpt2" or isinstance(sampler.decoder, FusedDecoder)
    asked = [prompt for prompt, _ in rows_of(policy)]
    rollouts = sampler.generate(asked, 2, Sampling(30, 1.0, seed=1))
    rows = [(asked[i // 2], r.token_ids) for i, r in enumerate(rollouts)]
    sampled = torch.tensor([x for r in rollouts for x in r.logprobs])
    assert (logprobs(policy, rows) - sampled).abs().max() < 1e-4
    with without_adapter(policy.model):
        assert (logprobs(policy, rows) - sampled).abs().max() > 0.05


def test_bf16_weights_have_an_fp32_adapter(tiny_policy):
    policy = tiny_policy()
    policy.model.to(torch.bfloat16)
    policy.dtype = torch.bfloat16
    start = logprobs(policy, rows_of(policy))
    adapted(policy)
    kinds = {is_adapter(n): p.dtype for n, p in policy.model.named_parameters()}
    assert kinds == {True: torch.float32, False: torch.bfloat16}
    policy.token_logprobs(rows_of(policy))[0].sum().backward()
    assert all(p.grad.dtype == torch.float32 for n, p in policy.model.named_parameters() if is_adapter(n))
    with without_adapter(policy.model):
        assert torch.equal(logprobs(policy, rows_of(policy)), start)
    for module in policy.model.modules():
        if hasattr(module, "lora_A"):
            exact = module.weight.double() + module.get_delta_weight("default").double()
            assert torch.equal(effective_weight(module), exact.bfloat16())
            break


def test_named_targets(tiny_policy):
    config = dataclasses.replace(CONFIG, lora_targets="q_proj, v_proj")
    model = add_adapter(tiny_policy().model, config)
    names = {n.split(".lora_")[0].rsplit(".", 1)[-1] for n, _ in model.named_parameters() if is_adapter(n)}
    assert names == {"q_proj", "v_proj"}


@pytest.mark.parametrize(
    ("targets", "told"),
    [
        ("q_proj,qkv", "is called qkv"),
        ("lm_head", "lm_head is not"),
        ("embed_tokens", "embed_tokens is not"),
        ("norm", "norm is not"),
    ],
)
def test_targets_that_cannot_be_are_refused(tiny_policy, targets, told):
    with pytest.raises(UserError, match=told):
        add_adapter(tiny_policy().model, dataclasses.replace(CONFIG, lora_targets=targets))


@pytest.mark.parametrize(
    "wrong", [{"lora_rank": -1}, {"lora_alpha": 0}, {"lora_targets": "q_proj,,v_proj"}, {"lora_targets": ""}]
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ModelConfig(**wrong)


@pytest.mark.parametrize("architecture", ["qwen2", "gpt2"])
def test_a_saved_adapter_loads_here_and_with_plain_peft(tiny_policy, architecture, tmp_path):
    from peft import PeftModel

    policy = adapted(tiny_policy(architecture))
    rows = rows_of(policy)
    expected = logprobs(policy, rows)
    save_adapter(policy.model, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    ours = tiny_policy(architecture)
    add_adapter(ours.model, CONFIG)
    load_adapter(ours.model, tmp_path)
    assert torch.equal(logprobs(ours, rows), expected)
    theirs = tiny_policy(architecture)
    wrapped = PeftModel.from_pretrained(copy.deepcopy(theirs.model), str(tmp_path)).eval()
    theirs.model.load_state_dict(wrapped.merge_and_unload().state_dict())
    assert (logprobs(theirs, rows) - expected).abs().max() < 1e-5


def test_an_adapter_that_does_not_fit_is_refused(tiny_policy, tmp_path):
    model = adapted(tiny_policy()).model
    save_adapter(model, tmp_path)
    weights, settings = tmp_path / "adapter_model.safetensors", tmp_path / "adapter_config.json"

    def refused(told, **changes):
        with pytest.raises(UserError, match=told) as caught:
            load_adapter(add_adapter(tiny_policy().model, dataclasses.replace(CONFIG, **changes)), tmp_path)
        assert str(tmp_path) in str(caught.value)

    refused("lora_rank is 8, the adapter's is 4", lora_rank=8)
    refused("lora_alpha is 32, the adapter's is 8", lora_alpha=32)
    refused("it also has .*down_proj", lora_targets="q_proj")
    kept = load_file(weights)
    name = sorted(kept)[0]
    save_file({n: x for n, x in kept.items() if n != name}, weights)
    refused(f"it lacks {name}")
    save_file({**kept, name: torch.zeros(4, 3)}, weights)
    refused("is \\(4, 3\\), the model's is")
    weights.write_bytes(weights.read_bytes()[:100])
    refused("not readable as an adapter")
    settings.write_text(json.dumps({"r": 4}))
    refused("not readable as an adapter's settings")
    settings.unlink()
    refused("not readable as an adapter's settings")


def test_an_adapter_on_a_model_without_weights(tiny_policy):
    """As ranks other than the first have one."""
    with torch.device("meta"):
        model = type(tiny_policy().model)(tiny_policy().model.config)
    add_adapter(model, CONFIG)
    expected = [(n, p.shape) for n, p in add_adapter(tiny_policy().model, CONFIG).named_parameters()]
    assert [(n, p.shape) for n, p in model.named_parameters()] == expected


def test_checkpointing_changes_no_gradient_of_the_adapter(tiny_policy):
    found = []
    for again in (False, True):
        policy = tiny_policy()
        if again:
            enable_checkpointing(policy.model)
        adapted(policy)
        with checkpointed(policy.model):
            policy.token_logprobs(rows_of(policy))[0].sum().backward()
        found.append([p.grad for n, p in policy.model.named_parameters() if is_adapter(n)])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_sharded_packed_and_checkpointed_is_the_same(tiny_policy, dtype, tmp_path):
    """FSDP2 with one rank: parameters are DTensors, and arguments go through its hooks."""

    def make():
        policy = tiny_policy()
        policy.model.to(dtype)
        policy.dtype = dtype
        enable_checkpointing(policy.model)
        assert enable_packing(policy.model)
        return adapted(policy)

    def gradient(policy):
        with checkpointed(policy.model), torch.autocast("cpu", torch.bfloat16, enabled=dtype != torch.float32):
            hidden, _ = response_states(policy.body, rows_of(policy), policy.pad_id, packed=True)
        hidden.float().square().sum().backward()
        return [whole(p.grad) for n, p in policy.model.named_parameters() if is_adapter(n)]

    alone, sharded = make(), make()
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        sharded.shard(torch.device("cpu"))
        for mine, theirs in zip(gradient(sharded), gradient(alone), strict=True):
            assert torch.equal(mine, theirs)
        expected, found = dict(merged_parameters(alone.model)), dict(merged_parameters(sharded.model, whole))
        assert list(found) == list(expected)
        assert all(torch.equal(found[name], expected[name]) for name in expected)
        save_adapter(sharded.model, tmp_path, whole)
        load_adapter(alone.model, tmp_path)
        with without_adapter(sharded.model), without_adapter(alone.model), torch.no_grad():
            off = [response_states(p.body, rows_of(p), p.pad_id, packed=True)[0] for p in (alone, sharded)]
        assert dtype != torch.float32 or torch.equal(*off)
    finally:
        dist.destroy_process_group()
