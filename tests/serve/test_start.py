"""Which engine serves, and the parts of a server put together."""

from __future__ import annotations

import argparse
import sys

import pytest
import torch

pytest.importorskip("fastapi", reason="fastapi is missing: pip install .[serve]")

from rerec_engine.errors import UserError
from rerec_engine.model.source import Loading
from rerec_engine.serve import start
from rerec_engine.serve.limits import Limits
from rerec_engine.serve.start import find_vllm, start_conversation


@pytest.fixture
def arguments(mini_demo, tiny_model):
    def make(**more):
        own = {
            "data": mini_demo,
            "engine": "auto",
            "vllm_python": None,
            "vllm_args": "",
            "device": "cpu",
            "constrain": "auto",
            "model": str(tiny_model),
        }
        return argparse.Namespace(**{**own, **vars(Loading()), **more})

    return make


@pytest.fixture(autouse=True)
def threads():
    """The number of threads is the process's."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def limits_of(engine):
    return Limits(concurrent=32 if engine == "vllm" else 2)


@pytest.fixture
def no_vllm(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def test_the_interpreter_that_is_named_comes_first(tmp_path, monkeypatch):
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\n")
    with pytest.raises(UserError, match=rf"--vllm-python {program}: no such program"):
        find_vllm(str(program))  # it cannot be run
    program.chmod(0o755)
    assert find_vllm(str(program)) == str(program)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_vllm("python") == str(program)


def test_this_interpreter_where_it_has_vllm(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "vllm" or None)
    assert find_vllm(None) == sys.executable
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert find_vllm(None) is None


@pytest.mark.parametrize("engine", ["auto", "sampler"])
def test_without_vllm_the_sampler_serves(arguments, tiny_model, no_vllm, engine):
    conversation, limits = start_conversation(arguments(engine=engine), limits_of)
    assert conversation.backend.name == "sampler"
    assert limits.concurrent == 2
    assert conversation.assistant.context == 1024
    assert conversation.assistant.dataset.titles


def test_callers_share_the_cores(arguments, tiny_model, no_vllm):
    for threads, each in ((6, 3), (1, 1)):
        torch.set_num_threads(threads)
        start_conversation(arguments(), limits_of)
        assert torch.get_num_threads() == each


def test_vllm_that_is_asked_for_and_absent(arguments, tiny_model, no_vllm):
    with pytest.raises(UserError, match="--engine vllm: vLLM is not installed here"):
        start_conversation(arguments(engine="vllm"), limits_of)


class Started:
    """Stands for vLLM's server, which has a test of its own."""

    name = "vllm"

    def __init__(self, python, model, end_ids, **more):
        if "--broken" in more["arguments"]:
            raise UserError("vLLM did not start: no GPU")
        self.given = {"python": python, "model": model, "end_ids": end_ids, **more}

    def stream(self, *_):
        yield from ()


def test_vllm_gets_the_model_and_what_it_takes(arguments, tiny_model, monkeypatch, capsys):
    monkeypatch.setattr(start, "VllmBackend", Started)
    given = arguments(vllm_python=sys.executable, vllm_args="--dtype float32")
    conversation, limits = start_conversation(given, limits_of)
    assert limits.concurrent == 32
    backend = conversation.backend.given
    assert (backend["python"], backend["model"]) == (sys.executable, tiny_model)
    assert (backend["context"], backend["callers"], backend["arguments"]) == (1024, 32, "--dtype float32")
    assert len(backend["end_ids"]) > 0
    assert capsys.readouterr().err == f"starting vLLM ({sys.executable}) ...\n"


def test_vllm_that_does_not_start(arguments, tiny_model, monkeypatch, capsys):
    monkeypatch.setattr(start, "VllmBackend", Started)
    broken = {"vllm_python": sys.executable, "vllm_args": "--broken"}
    conversation, limits = start_conversation(arguments(**broken), limits_of)
    assert (conversation.backend.name, limits.concurrent) == ("sampler", 2)
    assert "the built-in sampler serves, since vLLM did not start: no GPU" in capsys.readouterr().err
    with pytest.raises(UserError, match="vLLM did not start: no GPU"):
        start_conversation(arguments(engine="vllm", **broken), limits_of)
