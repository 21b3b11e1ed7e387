"""Which implementation of the ops a test runs on, with which instructions and how many threads."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from rerec_engine import _core
from rerec_engine.ops.native import pool

sys.path.insert(0, str(Path(__file__).parent))  # test files import their inputs as plain modules


@pytest.fixture(params=["reference", "default"])
def each_implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The reference, and what the device and dtype choose: on a CPU the C++ passes, but for float64."""
    monkeypatch.delenv("REREC_IMPL", raising=False)
    if request.param == "reference":
        monkeypatch.setenv("REREC_IMPL", "reference")
    return request.param


@pytest.fixture(params=_core.vector_levels())
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    assert _core.set_vector_level(request.param)
    yield request.param
    _core.set_vector_level(_core.vector_levels()[0])


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two shares of the vocabulary, however small the job."""
    monkeypatch.setattr(pool, "SMALL", 0)
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)
