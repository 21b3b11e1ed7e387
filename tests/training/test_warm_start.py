"""The warm start: cut short it goes on exactly, and it learns its traces."""

from __future__ import annotations

import copy
import dataclasses
import json
import resource

import numpy as np
import pytest
import torch

from rerec_engine.config import Config, ModelConfig, WarmStartConfig
from rerec_engine.data.traces import Trace, write_traces
from rerec_engine.errors import Stopped, UserError
from rerec_engine.files import replacing_directory
from rerec_engine.runs.run_directory import RunDir
from rerec_engine.training import warm_start as module
from rerec_engine.training.warm_start import warm_start
from rerec_engine.types import Message

CONFIG = Config(warm_start=WarmStartConfig(epochs=2, tokens_per_batch=60, warmup_steps=2))
GIVEN = dataclasses.replace(CONFIG, model=ModelConfig(path="a pretrained model"))


@pytest.fixture
def traces(tmp_path):
    ask = (Message(role="user", content="a b"),)
    write_traces(tmp_path / "traces.parquet", [Trace("short", ask, "c d e " * (1 + i % 3)) for i in range(12)])
    return tmp_path / "traces.parquet"


class AskedAfter:
    """An `Interrupt` that is asked to stop in its n-th step."""

    exit_code = 143

    def __init__(self, steps):
        self.steps = steps

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    @property
    def asked(self):
        self.steps -= 1
        return self.steps <= 0


def weights(policy):
    return torch.cat([p.detach().flatten() for p in policy.model.parameters()])


def run_of(tmp_path, name):
    (tmp_path / name).mkdir()
    return RunDir(tmp_path / name)


def prepared(policy, kind):
    """A policy as it is warm-started: made on the spot, pretrained, or pretrained with an adapter."""
    if kind != "made":
        policy.prepare(ModelConfig(lora_rank=2 if kind == "adapter" else 0), seed=0)
    return policy


@pytest.mark.parametrize("kind", ["made", "pretrained", "adapter"])
def test_cut_short_it_goes_on_exactly(tiny_policy, traces, tmp_path, monkeypatch, kind):
    if kind == "adapter":
        pytest.importorskip("peft", reason="peft: pip install 'rerec-engine[lora]'")
    config = CONFIG if kind == "made" else GIVEN
    whole, parts = (prepared(tiny_policy(seed=1), kind) for _ in range(2))
    frozen = {name: p.clone() for name, p in whole.model.named_parameters() if not p.requires_grad}
    warm_start(whole, traces, config, run_of(tmp_path, "whole"))
    assert bool(frozen) == (kind == "adapter")
    assert all(torch.equal(p, frozen[name]) for name, p in whole.model.named_parameters() if name in frozen)
    run = run_of(tmp_path, "parts")
    monkeypatch.setattr(module, "Interrupt", lambda: AskedAfter(3))
    with pytest.raises(Stopped, match=r"step \d+ of \d+ of the warm start; continue with --resume") as stopped:
        warm_start(parts, traces, config, run)
    assert stopped.value.exit_code == 143
    assert run.warm_start.is_file()
    assert not torch.equal(weights(parts), weights(whole))
    monkeypatch.undo()
    again = tiny_policy(seed=1 if kind == "adapter" else 2)  # a new process, whatever the weights that are trained
    warm_start(prepared(again, kind), traces, config, run)
    assert torch.equal(weights(again), weights(whole))
    lines = [
        [json.loads(line) for line in (tmp_path / name / "warm_start.jsonl").open()] for name in ("whole", "parts")
    ]
    assert [line["step"] for line in lines[1]] == list(range(1, lines[0][0]["steps"] + 1))
    assert [line["loss"] for line in lines[0]] == [line["loss"] for line in lines[1]]


def test_its_state_is_kept_every_now_and_then(tiny_policy, traces, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SAVE_SECONDS", 0.0)
    run = run_of(tmp_path, "run")
    warm_start(tiny_policy(), traces, CONFIG, run)
    assert torch.load(run.warm_start, weights_only=True)["step"] > 2


def test_traces_become_likelier(tiny_policy, traces, tmp_path):
    policy = tiny_policy()
    rows = [row for phase in module._encode(policy, traces) for row in phase]

    def loss():
        with torch.no_grad():
            return -float(policy.token_logprobs(rows)[0].mean())

    before = loss()
    warm_start(policy, traces, CONFIG, run_of(tmp_path, "run"))
    assert loss() < 0.8 * before


@pytest.mark.parametrize("packed", [False, True], ids=["padded", "packed"])
def test_passes_add_up_to_the_update(tiny_policy, traces, packed):
    policy = tiny_policy()
    if packed:
        prepared(policy, "pretrained")
    rows = [row for phase in module._encode(policy, traces) for row in phase]

    def gradients(tokens):
        policy.model.zero_grad()
        loss = module._accumulate(policy, rows, tokens)
        return loss, torch.cat([p.grad.flatten() for p in policy.model.parameters()])

    assert len(list(module._micro_batches(rows, 40, packed))) > 3
    whole, wanted = gradients(10**6)
    loss, found = gradients(40)
    assert abs(loss - whole) < 1e-5
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_a_pass_keeps_within_its_tokens():
    rows = [([0] * p, [1] * r) for p, r in ((3, 2), (3, 9), (1, 1), (20, 20), (2, 2))]
    for packed in (False, True):
        parts = list(module._micro_batches(rows, 18, packed))
        assert [row for part in parts for row in part] == rows
        sizes = [[len(p) + len(r) for p, r in part] for part in parts]
        taken = [sum(size) if packed else max(size) * len(size) for size in sizes]
        assert [n for n in taken if n > 18] == [40]
        assert len(parts) == (4 if packed else 5)


def test_even_batches_hold_every_row_once():
    rows = [([0] * (5 + i % 7), [1]) for i in range(50)]
    batches = list(module._even_batches(rows, 60, np.random.default_rng(0)))
    assert sorted(id(row) for batch in batches for row in batch) == sorted(map(id, rows))
    sizes = [sum(map(module._length, batch)) for batch in batches]
    assert len(batches) == round(sum(sizes) / 60)
    assert all(abs(size - 60) <= 12 for size in sizes)
    assert len(list(module._even_batches(rows[:2], 10**6, np.random.default_rng(0)))) == 1


def test_the_first_traces_alone(tiny_policy, traces):
    policy = tiny_policy()
    phases = module._encode(policy, traces)
    first = module._encode(policy, traces, 5)
    assert [list(map(len, row)) for row in first[0]] == [list(map(len, row)) for row in phases[0][:5]]


def test_a_response_is_taught_to_end_as_the_template_ends_a_turn(tiny_policy, traces):
    policy = tiny_policy()
    own, other = policy.tokenizer.eos_token, "<|user|>"  # stands for a ChatML end of a base model's tokenizer
    policy.tokenizer = policy.chat.tokenizer = copy.deepcopy(policy.tokenizer)
    rows = [row for phase in module._encode(policy, traces) for row in phase]
    assert {int(response[-1]) for _, response in rows} == {policy.tokenizer.eos_token_id}
    policy.tokenizer.chat_template = policy.tokenizer.chat_template.replace(own, other)
    rows = [row for phase in module._encode(policy, traces) for row in phase]
    assert {int(response[-1]) for _, response in rows} == {policy.tokenizer.convert_tokens_to_ids(other)}


def test_no_trace_is_a_mistake(tiny_policy, tmp_path):
    write_traces(tmp_path / "none.parquet", [])
    with pytest.raises(UserError, match="holds no trace"):
        warm_start(tiny_policy(), tmp_path / "none.parquet", CONFIG, run_of(tmp_path, "run"))


def test_a_full_disk_is_told_in_a_line(tiny_policy, traces, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SAVE_SECONDS", 0)
    run, policy = RunDir(tmp_path), tiny_policy()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(UserError, match=r"warm_start\.pt: cannot write: File too large"):
            warm_start(policy, traces, CONFIG, run)
        with (
            pytest.raises(UserError, match=r"start: cannot write: .*File too large"),
            replacing_directory(run.start) as at,
        ):
            policy.save(at)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["traces.parquet", "warm_start.jsonl"]
