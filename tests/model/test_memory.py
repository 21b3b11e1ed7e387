"""Checkpointing computes layers twice and changes nothing; weights that wait elsewhere come and go unchanged."""

from __future__ import annotations

import pytest
import torch
from packed_rows import found, rows_of

from rerec_engine.model import memory
from rerec_engine.model.memory import checkpointed, enable_checkpointing, on_device
from rerec_engine.model.packed_attention import enable_packing


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("architecture", ["qwen2", "gpt2"])
def test_checkpointing_runs_layers_again_and_changes_nothing(tiny_policy, architecture, packed):
    policy, rows = tiny_policy(architecture), rows_of()  # GPT-2 has dropout where it is not switched off
    enable_packing(policy.model)
    before = found(policy, rows, packed)
    enable_checkpointing(policy.model)
    inner = next(m for n, m in policy.model.named_modules() if n.endswith(("q_proj", "c_attn")))
    calls = []
    inner.register_forward_hook(lambda *_: calls.append(inner.training))
    assert torch.equal(found(policy, rows, packed)[0], before[0])
    assert calls == [False]
    calls.clear()
    with checkpointed(policy.model):
        after = found(policy, rows, packed)
    assert calls == [False, False]
    assert torch.equal(after[0], before[0])
    assert torch.equal(after[1], before[1])
    assert not any(module.training for module in policy.model.modules())


def test_on_device_brings_weights_and_takes_them_back(tiny_policy, monkeypatch):
    policy = tiny_policy(tie_word_embeddings=True)
    model = policy.model
    with pytest.raises(ValueError, match="frozen"), on_device(model, torch.device("meta")):
        pass
    model.requires_grad_(False)
    before = [(x, x.data_ptr(), x.clone()) for x in [*model.parameters(), *model.buffers()]]
    with on_device(model, torch.device("cpu")):  # where it is already
        assert all(x.data_ptr() == place for x, place, _ in before)
    monkeypatch.setattr(memory, "_copy", lambda x, device: x + 1)  # another device, as far as a CPU can tell
    with on_device(model, torch.device("meta")):
        assert all(torch.equal(x, kept + 1) for x, _, kept in before)
        assert model.lm_head.weight is model.model.embed_tokens.weight
    assert all(x.data_ptr() == place and torch.equal(x, kept) for x, place, kept in before)


def test_layers_alone_are_in_training_mode_and_only_within(tiny_policy):
    model = tiny_policy("gpt2").model
    enable_checkpointing(model)
    layers = set(model.transformer.h)

    def fail():
        assert {module for module in model.modules() if module.training} == layers
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), checkpointed(model):
        fail()
    assert not any(module.training for module in model.modules())


def test_a_layer_that_trains_already_goes_on_training(tiny_policy):
    model = tiny_policy().model.train()
    with checkpointed(model):
        pass
    assert all(module.training for module in model.modules())


def test_without_enabling_nothing_is_computed_again(tiny_policy):
    policy, rows = tiny_policy(), rows_of()
    calls = []
    policy.model.model.layers[0].self_attn.register_forward_hook(lambda *_: calls.append(1))
    with checkpointed(policy.model):
        found(policy, rows)
    assert len(calls) == 1


def test_checkpointing_needs_no_gradient_of_the_embeddings(tiny_policy):
    """As under LoRA, where what enters the first layer has none."""
    policy, rows = tiny_policy(), rows_of()
    enable_checkpointing(policy.model)
    policy.model.get_input_embeddings().requires_grad_(False)
    with checkpointed(policy.model):
        policy.token_logprobs(rows)[0].sum().backward()
    weight = policy.model.model.layers[0].self_attn.q_proj.weight
    assert weight.grad.abs().max() > 0
    assert policy.model.get_input_embeddings().weight.grad is None


def test_weights_come_back_after_an_error(monkeypatch):
    module = torch.nn.BatchNorm1d(3).requires_grad_(False)  # with buffers, which go along
    homes = {name: x.data_ptr() for name, x in module.state_dict().items()}
    monkeypatch.setattr(memory, "_copy", lambda x, device: x + 1)

    def fail():
        assert module.running_mean.tolist() == [1.0] * 3
        assert int(module.num_batches_tracked) == 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), on_device(module, torch.device("meta")):
        fail()
    assert {name: x.data_ptr() for name, x in module.state_dict().items()} == homes
    assert module.running_mean.tolist() == [0.0] * 3


def test_weights_of_which_one_could_change_are_refused_untouched():
    module = torch.nn.Linear(2, 2).requires_grad_(False)
    module.bias.requires_grad_()
    with pytest.raises(ValueError) as raised, on_device(module, torch.device("meta")):
        pass
    assert str(raised.value) == "on_device is for frozen modules: changes on the device would be lost"
    assert module.weight.device.type == "cpu"
