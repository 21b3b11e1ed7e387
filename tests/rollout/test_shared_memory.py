"""Weights in nameless memory: what another mapping of it reads, and when it is told of a new layout."""

from __future__ import annotations

import errno
import math
import mmap
import os

import pytest
import torch

from rerec_engine.errors import RunError, UserError
from rerec_engine.rollout.shared_memory import ALIGNMENT, WeightMemory


@pytest.fixture
def memory():
    made = WeightMemory(torch.float32)
    yield made
    made.close()


def read(memory, layout):
    """Copies of the tensors, by name, as another holder of the descriptor sees them."""
    with mmap.mmap(memory.descriptor, memory.size) as mapped:
        raw = bytes(mapped)
    found = {}
    for name, dtype, shape, offset in layout:
        kind = getattr(torch, dtype)
        whole = torch.empty(shape, dtype=kind)
        if count := math.prod(shape):
            whole = torch.frombuffer(bytearray(raw), dtype=kind, count=count, offset=offset).view(shape).clone()
        found[name] = whole
    return found


def named(**tensors):
    return tensors.items()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_floating_tensors_come_in_the_memorys_type_and_others_in_their_own(dtype):
    memory = WeightMemory(dtype)
    torch.manual_seed(0)
    tensors = {
        "ragged": torch.randn(3, 7),
        "double": torch.randn(5, dtype=torch.float64),
        "half": torch.randn(11).bfloat16(),
        "whole": torch.arange(13, dtype=torch.int64) - 6,
        "flags": torch.tensor([True, False, True]),
        "scalar": torch.tensor(1.5),
        "none": torch.zeros(4, 0),
        "trained": torch.randn(2, 2, requires_grad=True),
        "turned": torch.randn(6, 4).T,  # not contiguous
        "last": torch.zeros(0),
    }
    layout = memory.write(tensors.items())
    found = read(memory, layout)
    assert list(found) == list(tensors)
    for name, tensor in tensors.items():
        expected = tensor.detach().to(dtype) if tensor.is_floating_point() else tensor
        assert found[name].dtype == expected.dtype
        assert torch.equal(found[name], expected), name
    starts = [offset for *_, offset in layout]
    assert starts == sorted(starts)
    assert all(start % ALIGNMENT == 0 for start in starts)
    memory.close()


def test_the_layout_is_told_once_and_the_values_follow(memory):
    first = memory.write(named(a=torch.ones(3), b=torch.zeros(2, 2)))
    assert memory.write(named(a=torch.full((3,), 7.0), b=torch.ones(2, 2))) is None
    found = read(memory, first)
    assert (found["a"].tolist(), found["b"].tolist()) == ([7.0] * 3, [[1.0] * 2] * 2)


@pytest.mark.parametrize(
    "other",
    [
        {"a": torch.ones(3), "c": torch.ones(2, 2)},
        {"a": torch.ones(3), "b": torch.ones(4)},
        {"b": torch.ones(2, 2), "a": torch.ones(3)},
        {"a": torch.ones(3, dtype=torch.int32), "b": torch.ones(2, 2)},
        {"a": torch.ones(3)},
        {"a": torch.ones(100), "b": torch.ones(200, 2)},
    ],
    ids=["name", "shape", "order", "type", "fewer", "more"],
)
def test_another_layout_is_told_and_the_first_one_again_too(memory, other):
    usual = {"a": torch.ones(3), "b": torch.arange(4.0).view(2, 2)}
    first = memory.write(usual.items())
    changed = memory.write(other.items())
    assert changed != first
    assert all(torch.equal(found, other[name]) for name, found in read(memory, changed).items())
    assert memory.write(usual.items()) == first
    assert torch.equal(read(memory, first)["b"], usual["b"])


def test_a_write_that_is_cut_short_goes_on(memory, monkeypatch):
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, data, offset: write(descriptor, data[:7], offset))
    values = torch.randn(5, 3)
    layout = memory.write(named(a=torch.ones(1), b=values))
    assert torch.equal(read(memory, layout)["b"], values)


def test_no_memory_is_one_line_with_its_size(memory, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    memory.write(named(a=torch.zeros(1 << 20)))
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(RunError) as caught:
        memory.write(named(a=torch.zeros(3 << 18)))
    assert str(caught.value) == (
        "no memory for the 3 MB or more of weights that are shared with the rollout engine: No space left on device"
    )


def test_no_file_has_its_name_and_closing_twice_is_fine(memory):
    memory.write(named(a=torch.ones(3)))
    assert "memfd:rerec-weights" in os.readlink(f"/proc/self/fd/{memory.descriptor}")
    assert os.get_inheritable(memory.descriptor) is False  # but where it is passed on
    descriptor = memory.descriptor
    memory.close()
    memory.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_a_system_without_such_memory_is_told(monkeypatch):
    monkeypatch.delattr(os, "memfd_create")
    with pytest.raises(UserError, match=r"^rollout\.engine vllm: needs Linux, .*; use sampler$"):
        WeightMemory(torch.float32)
