"""The warm start: cut short it goes on exactly, and it learns its traces."""

from __future__ import annotations

import copy
import resource

import pytest
import torch

from rerec_engine.config import WarmStartConfig
from rerec_engine.data.traces import Trace, write_traces
from rerec_engine.errors import Stopped, UserError
from rerec_engine.files import replacing_directory
from rerec_engine.runs.run_directory import RunDir
from rerec_engine.training import warm_start as module
from rerec_engine.training.warm_start import warm_start
from rerec_engine.types import Message

CONFIG = WarmStartConfig(epochs=2, tokens_per_batch=60, warmup_steps=2)


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


def test_cut_short_it_goes_on_exactly(tiny_policy, traces, tmp_path, monkeypatch):
    whole, parts = tiny_policy(seed=1), tiny_policy(seed=1)
    warm_start(whole, traces, CONFIG, 0, run_of(tmp_path, "whole"))
    run = run_of(tmp_path, "parts")
    monkeypatch.setattr(module, "Interrupt", lambda: AskedAfter(3))
    with pytest.raises(Stopped, match=r"step \d+ of \d+ of the warm start; continue with --resume") as stopped:
        warm_start(parts, traces, CONFIG, 0, run)
    assert stopped.value.exit_code == 143
    assert run.warm_start.is_file()
    assert not torch.equal(weights(parts), weights(whole))
    monkeypatch.undo()
    again = tiny_policy(seed=2)  # a new process, whatever its weights
    warm_start(again, traces, CONFIG, 0, run)
    assert torch.equal(weights(again), weights(whole))


def test_its_state_is_kept_every_now_and_then(tiny_policy, traces, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SAVE_SECONDS", 0.0)
    run = run_of(tmp_path, "run")
    warm_start(tiny_policy(), traces, CONFIG, 0, run)
    assert torch.load(run.warm_start, weights_only=True)["step"] > 2


def test_traces_become_likelier(tiny_policy, traces, tmp_path):
    policy = tiny_policy()
    rows = [row for phase in module._encode(policy, traces) for row in phase]

    def loss():
        with torch.no_grad():
            return -float(policy.token_logprobs(rows)[0].mean())

    before = loss()
    warm_start(policy, traces, CONFIG, 0, run_of(tmp_path, "run"))
    assert loss() < 0.8 * before


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
        warm_start(tiny_policy(), tmp_path / "none.parquet", CONFIG, 0, run_of(tmp_path, "run"))


def test_a_full_disk_is_told_in_a_line(tiny_policy, traces, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SAVE_SECONDS", 0)
    run, policy = RunDir(tmp_path), tiny_policy()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(UserError, match=r"warm_start\.pt: cannot write: File too large"):
            warm_start(policy, traces, CONFIG, 0, run)
        with (
            pytest.raises(UserError, match=r"start: cannot write: .*File too large"),
            replacing_directory(run.start) as at,
        ):
            policy.save(at)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["traces.parquet"]
