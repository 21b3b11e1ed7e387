"""The engine's program with a stand-in for vLLM in this process."""

from __future__ import annotations

import importlib.util
import sys
from types import SimpleNamespace

import pytest

from rerec_engine.rollout.child import engine_wire, guard
from rerec_engine.rollout.vllm import PROGRAM


class LLM:
    """Answers with `outputs`; what is asked of it is kept in `calls`."""

    def __init__(self, worker_extension_cls, **arguments):
        self.worker_extension_cls, self.arguments, self.calls = worker_extension_cls, arguments, []
        if "refuses" in arguments:
            raise ValueError(arguments["refuses"])
        self.missing, self.outputs, self.resets = [[]], [], True

    def collective_rpc(self, name, args):
        self.calls.append((name, args))
        return self.missing

    def reset_prefix_cache(self):
        self.calls.append("forget")
        return self.resets

    def generate(self, prompts, parameters, use_tqdm):
        self.calls.append(("generate", prompts, [vars(each) for each in parameters], use_tqdm))
        return [SimpleNamespace(outputs=[output]) for output in self.outputs]

    def sleep(self, level):
        self.calls.append(("sleep", level))

    def wake_up(self):
        self.calls.append("wake")


@pytest.fixture
def program(monkeypatch):
    """The module, loaded as its interpreter does: beside its own files, outside the package."""
    monkeypatch.setitem(sys.modules, "engine_wire", engine_wire)
    monkeypatch.setitem(sys.modules, "guard", guard)
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(LLM=LLM, SamplingParams=SimpleNamespace))
    spec = importlib.util.spec_from_file_location("engine_program", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
