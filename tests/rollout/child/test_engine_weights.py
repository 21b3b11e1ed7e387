"""Weights out of shared memory into vLLM's model, with stand-ins for vLLM's modules."""

from __future__ import annotations

import importlib.util
import os
import sys
import types
from pathlib import Path

import pytest
import torch

from rerec_engine.rollout import child
from rerec_engine.rollout.shared_memory import WeightMemory

FILE = Path(child.__file__).parent / "engine_weights.py"


class Model:
    """Loads what it is given, but for what it does not know; `tells`: whether it says what it loaded."""

    def __init__(self, names, tells=True):
        self.names, self.tells, self.values = names, tells, {}

    def named_parameters(self):
        return [(name, None) for name in self.names]

    def load_weights(self, named):
        assert not torch.is_grad_enabled()
        self.values = {name: tensor.clone() for name, tensor in named}
        return set(self.values) if self.tells else None


@pytest.fixture
def weights(monkeypatch):
    """The module, loaded as vLLM's process does: by its file's name."""
    for name in ("vllm", "vllm._custom_ops", "vllm.model_executor", "vllm.model_executor.layers"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    utils = types.ModuleType("utils")
    utils.check_cpu_sgl_kernel = lambda *_: True
    monkeypatch.setitem(sys.modules, "vllm.model_executor.layers.utils", utils)
    sys.modules["vllm.model_executor.layers"].utils = utils
    sys.modules["vllm.model_executor"].layers = sys.modules["vllm.model_executor.layers"]
    sys.modules["vllm"].model_executor = sys.modules["vllm.model_executor"]
    sys.modules["vllm"]._custom_ops = sys.modules["vllm._custom_ops"]
    sys.modules["vllm._custom_ops"]._supports_onednn = True
    spec = importlib.util.spec_from_file_location("engine_weights", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def worker(weights):
    made = weights.SharedWeights()
    made.model_runner = types.SimpleNamespace(get_model=lambda: made.model)
    made.model = Model("ab")
    return made


@pytest.fixture
def memory():
    made = WeightMemory(torch.float32)
    yield made
    made.close()


def push(worker, memory, **tensors):
    layout = memory.write(tensors.items())
    return worker.load_shared(f"/proc/{os.getpid()}/fd/{memory.descriptor}", memory.size, layout)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_tensor_comes_with_its_shape_and_type(worker, dtype):
    memory = WeightMemory(dtype)
    torch.manual_seed(0)
    tensors = {"a": torch.randn(3, 5, 2), "b": torch.arange(7), "c": torch.tensor(0.5), "d": torch.zeros(0, 4)}
    assert push(worker, memory, **tensors) == []
    for name, tensor in tensors.items():
        expected = tensor.to(dtype) if tensor.is_floating_point() else tensor
        assert worker.model.values[name].dtype == expected.dtype
        assert torch.equal(worker.model.values[name], expected)
    memory.close()


def test_a_push_of_the_same_layout_is_read_from_the_memory_that_is_mapped(worker, memory):
    push(worker, memory, a=torch.ones(3), b=torch.zeros(2))
    mapped = worker.shared_memory
    assert memory.write({"a": torch.full((3,), 4.0), "b": torch.ones(2)}.items()) is None
    assert worker.load_shared("/no/such/path", memory.size, None) == []
    assert worker.model.values["a"].tolist() == [4.0] * 3
    assert worker.model.values["b"].tolist() == [1.0] * 2
    assert worker.shared_memory is mapped


@pytest.mark.parametrize("size", [1, 5000], ids=["smaller", "larger"])
def test_another_layout_is_mapped_anew_and_no_descriptor_is_left(worker, memory, size):
    push(worker, memory, a=torch.ones(300), b=torch.zeros(2))
    before = len(os.listdir("/proc/self/fd"))
    push(worker, memory, a=torch.full((size,), 2.0), b=torch.ones(3, 3))
    assert len(os.listdir("/proc/self/fd")) <= before
    assert torch.equal(worker.model.values["a"], torch.full((size,), 2.0))
    assert torch.equal(worker.model.values["b"], torch.ones(3, 3))


@pytest.mark.parametrize(
    ("names", "tells", "missing"),
    [("ab", True, []), ("dacb", True, ["c", "d"]), ("a", True, []), ("abc", False, [])],
    ids=["all", "two", "more than it has", "a model that does not tell"],
)
def test_parameters_that_nothing_was_loaded_into_are_named(worker, memory, names, tells, missing):
    worker.model = Model(names, tells)
    assert push(worker, memory, a=torch.ones(1), b=torch.ones(1)) == missing


def test_no_layout_at_first_is_a_mistake(worker):
    with pytest.raises(AssertionError):
        worker.load_shared("/no/such/path", 64, None)


def test_weights_are_not_repacked_on_a_cpu(weights):
    """A packed copy would keep the old ones."""
    assert sys.modules["vllm._custom_ops"]._supports_onednn is False
    assert weights.layer_utils.check_cpu_sgl_kernel(128, 128, torch.bfloat16) is False
