"""Layouts: packed rows and shared prompts change no log-prob and no gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from packed_rows import IDS, MODELS, exact_varlen, found, rows_of
from transformers import AttentionInterface

from rerec_engine.model.critic import Critic
from rerec_engine.model.packed_attention import enable_packing
from rerec_engine.model.sequences import packed_inputs, response_states, take_rows


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "options"), MODELS, ids=IDS)
def test_packing_changes_nothing(tiny_policy, architecture, options):
    policy, rows = tiny_policy(architecture, **options), rows_of()
    padded, gradient = found(policy, rows)
    alone = torch.cat([found(policy, [row])[0] for row in rows])
    assert enable_packing(policy.model)
    packed, packed_gradient = found(policy, rows, packed=True)
    assert (padded - alone).abs().max() < 1e-5
    assert (packed - alone).abs().max() < 1e-5
    assert gradient.abs().max() > 0.1
    assert (packed_gradient - gradient).abs().max() < 1e-5 * gradient.abs().max()
    again, again_gradient = found(policy, rows)  # padded, by the same model
    assert torch.equal(again, padded)
    assert torch.equal(again_gradient, gradient)


def test_rows_in_any_order_and_of_any_kind(tiny_policy):
    policy, rows = tiny_policy(), rows_of()
    enable_packing(policy.model)
    whole = found(policy, rows, packed=True)[0].split([len(r) for _, r in rows])
    order = np.random.default_rng(1).permutation(len(rows))
    mixed = found(policy, [(np.array(rows[i][0]), rows[i][1].tolist()) for i in order], packed=True)[0]
    assert (torch.cat([whole[i] for i in order]) - mixed).abs().max() < 1e-5
    with_empty = found(policy, [*rows, (rows[0][0], []), ([5, 6], [])], packed=True)[0]
    assert (with_empty - torch.cat(whole)).abs().max() < 1e-5


@pytest.mark.parametrize("attention", ["rerec", "flash"])
def test_a_row_that_comes_again_is_laid_once(tiny_policy, monkeypatch, attention):
    policy, rows = tiny_policy(), rows_of()
    again = [rows[2], *rows, (list(rows[0][0]), rows[0][1].copy()), rows[2], rows[-1]]
    padded, gradient = found(policy, again)
    enable_packing(policy.model)
    if attention == "rerec":
        packed, packed_gradient = found(policy, again, packed=True)
        assert (packed - padded).abs().max() < 1e-5
        assert (packed_gradient - gradient).abs().max() < 1e-5 * gradient.abs().max()
        once, _ = packed_inputs(rows, torch.device("cpu"), "rerec")
    else:
        monkeypatch.setattr("rerec_engine.model.sequences.is_flash", lambda _: True)
        once, _ = packed_inputs(rows, torch.device("cpu"), "flash")
    twice, index = packed_inputs(again, torch.device("cpu"), attention)
    assert len(twice["input_ids"][0]) == len(once["input_ids"][0])
    ids = twice["input_ids"][0]
    told = torch.cat([torch.as_tensor([prompt[-1], *response])[:-1] for prompt, response in again])
    assert torch.equal(ids[index], told)  # each predicting position holds the token before


def test_the_critic_is_packed_like_the_policy(tiny_policy):
    policy, rows = tiny_policy(), rows_of()
    enable_packing(policy.model)
    body = Critic(policy).body
    padded, _ = response_states(body, rows, policy.pad_id)
    packed, _ = response_states(body, rows, policy.pad_id, packed=True)
    assert (padded - packed).abs().max() < 1e-5


def test_a_model_that_loses_arguments_is_noticed(tiny_policy):
    policy = tiny_policy()
    enable_packing(policy.model)
    policy.body.forward = lambda **inputs: policy.model.get_decoder()(inputs["input_ids"])
    with pytest.raises(ValueError, match=r"model\.packing off"):
        response_states(policy.body, rows_of(), policy.pad_id, packed=True)


@pytest.mark.parametrize(
    ("architecture", "options"), [MODELS[0], MODELS[1], MODELS[3]], ids=["qwen2", "llama", "sliding"]
)
def test_what_transformers_flash_attention_is_given(tiny_policy, architecture, options):
    """flash-attn itself wants CUDA; here an exact attention takes the arguments that reach transformers' function."""
    calls = []

    def flash(module: Any, query, key, value, attention_mask, scaling, sliding_window=None, **kwargs: Any):
        assert attention_mask is None
        names = ("cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k")
        q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
        window = sliding_window - 1 if sliding_window else -1
        calls.append((kwargs["cu_seq_lens_q"].tolist(), kwargs["position_ids"].tolist()))
        return exact_varlen(q, k, v, *(kwargs[n] for n in names), scaling, window)[None], None

    AttentionInterface.register("flash_stub", flash)
    policy, rows = tiny_policy(architecture, **options), rows_of()
    padded, _ = found(policy, rows)
    policy.model.config._attn_implementation = "flash_stub"  # its own setter asks for flash-attn
    assert enable_packing(policy.model)
    packed, _ = found(policy, rows, packed=True)
    sizes = [len(p) + len(r) for p, r in rows]
    assert calls[0][0] == np.cumsum([0, *sizes]).tolist()
    assert calls[0][1] == [[i for n in sizes for i in range(n)]]
    assert (packed - padded).abs().max() < 1e-5


def test_gradient_of_shared_positions_is_the_same_every_time():
    """Advanced indexing adds up its gradient in the threads' order: some of a thousand passes differed."""
    threads, places, at = torch.get_num_threads(), [], 0
    for _ in range(7):
        prompt, at = torch.tensor([at + 99]), at + 100
        for _ in range(8):
            places += [prompt, torch.arange(at, at + 59)]
            at += 60
    index = torch.cat(places)
    incoming = torch.randn(len(index), 128, generator=torch.Generator().manual_seed(0))
    states = torch.randn(at, 128, requires_grad=True)
    expected = torch.zeros(at, 128, dtype=torch.float64).index_add(0, index, incoming.double())
    torch.set_num_threads(8)
    try:
        assert torch.equal(take_rows(states, index), states[index])
        (first,) = torch.autograd.grad(take_rows(states, index), states, incoming)
        torch.testing.assert_close(first.double(), expected, rtol=1e-5, atol=1e-6)
        for _ in range(300):
            (again,) = torch.autograd.grad(take_rows(states, index), states, incoming)
            assert torch.equal(again, first)
    finally:
        torch.set_num_threads(threads)
