"""`bench/cost/model.py` against what our code does: parameters, bytes, FLOPs. Nothing here is timed."""

from __future__ import annotations

import dataclasses
import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bench.cost import model as cost_model
from bench.cost.model import MODELS, Model, Setup
from bench.cost.replay import expected, qwen2, qwen2_config, replay
from rerec_engine.config import Config, LossConfig, ModelConfig, TrainConfig
from rerec_engine.kernels.common import WORKSPACE_MB
from rerec_engine.model.lora import is_adapter
from rerec_engine.model.memory import checkpointed, enable_checkpointing
from rerec_engine.model.packed_attention import enable_packing
from rerec_engine.model.policy import Policy
from rerec_engine.rollout.shared_memory import ALIGNMENT, WeightMemory
from rerec_engine.training.batches import TrainingBatch, pack
from rerec_engine.training.update import Updater
from rerec_engine.types import Query, Rollout

SMALL = Model(hidden=64, layers=2, heads=4, kv_heads=2, intermediate=160, vocab=400, tied=True)


def policy_of(model: Model, dtype: torch.dtype = torch.float32) -> Policy:
    torch.manual_seed(0)
    return Policy(qwen2(model).to(dtype), None, (1,), 0, dtype)  # type: ignore[arg-type]  # no text here


@pytest.mark.parametrize(
    ("name", "published"), [("Qwen2.5-3B", 3.09), ("Qwen2.5-7B", 7.62), ("Qwen2.5-32B", 32.8)], ids=str
)
def test_parameters_are_the_published_ones(name, published):
    model = MODELS[name]
    with torch.device("meta"):
        counted = sum(p.numel() for p in qwen2(dataclasses.replace(model, layers=1)).parameters())
    assert counted + (model.layers - 1) * model.layer == model.parameters
    assert round(model.parameters / 1e9, 1 if published > 10 else 2) == published


def test_sizes_of_a_small_model():
    policy = policy_of(SMALL)
    assert 4 * sum(p.numel() for p in policy.model.parameters()) == cost_model.held(Setup(SMALL, gpus=1))["weights"]
    policy.prepare(ModelConfig(lora_rank=8), 0)
    counted = sum(p.numel() for name, p in policy.model.named_parameters() if is_adapter(name))
    assert counted == SMALL.adapter(8)


def test_a_push_carries_every_parameter_once_in_bf16():
    memory = WeightMemory(torch.bfloat16)
    try:
        layout = memory.write(policy_of(SMALL).whole_parameters())
    finally:
        memory.close()
    assert layout is not None
    padding = memory.size - cost_model.push_bytes(Setup(SMALL))
    assert 0 <= padding < ALIGNMENT * len(layout)


def test_keys_and_values():
    cache = policy_of(SMALL, torch.bfloat16).model(torch.ones(3, 7, dtype=torch.long), use_cache=True).past_key_values
    assert sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers) == 3 * 7 * SMALL.kv_bytes


def saved_bytes(model: Model, autocast: bool, checkpointing: bool) -> int:
    """What autograd keeps after a forward pass over 200 tokens, the parameters and their cast copies left out."""
    policy = policy_of(model, torch.float32 if autocast else torch.bfloat16)
    if checkpointing:
        enable_checkpointing(policy.model)
    weights = [p.numel() for p in policy.model.parameters() if p.ndim == 2]
    known = {p.untyped_storage().data_ptr() for p in policy.model.parameters()}
    kept: dict[int, int] = {}

    def note(x: torch.Tensor) -> torch.Tensor:
        storage = x.untyped_storage()
        copy = autocast and x.dtype == torch.bfloat16 and x.ndim == 2 and x.numel() in weights
        if storage.data_ptr() not in known and not copy:
            kept[storage.data_ptr()] = storage.nbytes()
        return x

    ids = torch.zeros(1, 200, dtype=torch.long)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x), checkpointed(policy.model):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            states = policy.body(input_ids=ids, use_cache=False).last_hidden_state
        total = sum(kept.values())  # while the graph holds them
    del states
    return total


@pytest.mark.parametrize("autocast", [False, True], ids=["bf16", "autocast"])
def test_activations_of_a_layer(autocast):
    one, two = (saved_bytes(dataclasses.replace(SMALL, layers=n), autocast, False) for n in (1, 2))
    assert two - one == 200 * cost_model.layer_activations(SMALL, narrow=not autocast)
    one, two = (saved_bytes(dataclasses.replace(SMALL, layers=n), autocast, True) for n in (1, 2))
    assert two - one == 200 * SMALL.hidden * (4 if autocast else 2)


@pytest.mark.parametrize("packing", [False, True], ids=["padded", "packed"])
@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
def test_flops_of_reference_and_update(monkeypatch, packing, checkpointing):
    monkeypatch.setenv("REREC_IMPL", "reference")  # whose products torch can count
    s = Setup(SMALL, 1, queries=2, prompt=48, response=32, packing=packing, checkpointing=checkpointing)
    policy, reference = policy_of(SMALL), policy_of(SMALL)
    policy.prepare(ModelConfig(gradient_checkpointing=checkpointing, packing=packing), 0)
    reference.packed = packing and enable_packing(reference.model)
    reference.model.requires_grad_(False)
    rng = np.random.default_rng(0)
    prompts = [rng.integers(2, SMALL.vocab, s.prompt).tolist() for _ in range(s.queries)]
    rollouts = [
        Rollout(rng.integers(2, SMALL.vocab, s.response).tolist(), [-6.0] * s.response, "length", 0)
        for _ in range(s.queries * s.responses)
    ]
    batch = pack([Query(str(i), (), (0,)) for i in range(s.queries)], prompts, rollouts, s.responses)
    ones = torch.ones(len(batch.token_ids))
    config = dataclasses.replace(Config(), loss=LossConfig(beta=0.01), train=TrainConfig(tokens_per_micro_batch=10**5))
    updater = Updater(policy, config, reference, None)
    with sdpa_kernel(SDPBackend.MATH):  # counted as if every token saw every key
        with FlopCounterMode(display=False) as prepare:
            passes = updater.forward_passes(batch)
        ready = TrainingBatch(
            **vars(batch),
            scores={},
            token_rewards=ones,
            advantages=ones,
            old_logprobs=batch.rollout_logprobs,
            ref_logprobs=passes.ref_logprobs,
        )
        with FlopCounterMode(display=False) as update:
            updater.update(ready, 1)
    length = s.prompt + s.response
    pairs = s.queries * (s.prompt**2 + s.responses * s.response * length if packing else s.responses * length**2)
    unseen = cost_model.attention_flops(SMALL, pairs - cost_model.pairs_seen(s))
    assert prepare.get_total_flops() - unseen == cost_model.pass_flops(s)
    assert update.get_total_flops() - (4 if checkpointing else 3) * unseen == cost_model.update_flops(s)


@pytest.mark.slow
def test_shards_of_two_ranks():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words = [sys.executable, str(Path(__file__).with_name("count_shards.py")), json.dumps(qwen2_config(SMALL)), port]
    processes = [subprocess.Popen([*words, str(rank), "2"], stdout=subprocess.PIPE, text=True) for rank in range(2)]
    told = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    weights, gradients, moments = np.array([line.split() for line in told], dtype=int).mean(0)
    held = cost_model.held(Setup(SMALL, gpus=2, reference=False))
    assert (weights, gradients, moments) == (held["weights"], held["weights"], held["AdamW"])


@pytest.mark.slow
def test_peak_of_an_update_at_true_size():
    """Four layers of the 7B model on 8 ranks, on tensors without storage: all of them take a minute."""
    s = Setup(dataclasses.replace(MODELS["Qwen2.5-7B"], layers=4), gpus=8, micro_batch=8192)
    assert expected(s) == pytest.approx(replay(s), rel=0.03)


def test_workspace_is_the_kernels():
    assert cost_model.WORKSPACE == WORKSPACE_MB * 2**20


def test_command(capsys):
    cost_model.main(["--model", "Qwen2.5-7B", "--gpus", "8"])
    assert "fits" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        cost_model.main(["--gpus", "8", "--tensor-parallel", "3"])
    assert stop.value.code == 2
