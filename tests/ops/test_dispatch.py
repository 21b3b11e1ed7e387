"""Device, dtype and `REREC_IMPL` choose the implementation of every op; what one does not take is refused."""

from __future__ import annotations

import importlib
from importlib.util import find_spec

import pytest
import torch

from rerec_engine import ops
from rerec_engine.ops import native, reference
from rerec_engine.ops.dispatch import MODULES, implementation

needs_triton = pytest.mark.skipif(
    find_spec("triton") is None, reason="Triton is not installed: pip install -e .[triton]"
)


@pytest.fixture(autouse=True)
def nothing_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REREC_IMPL", raising=False)


@pytest.mark.parametrize("name", reference.__all__)
@pytest.mark.parametrize(
    "dtype, module",
    [(torch.float32, native), (torch.bfloat16, native), (torch.float16, native), (torch.float64, reference)],
    ids=str,
)
def test_dtype_decides_on_a_cpu(name: str, dtype: torch.dtype, module: object) -> None:
    assert implementation(name, torch.zeros(1, dtype=dtype)) is getattr(module, name)


@pytest.mark.parametrize(
    "value, module", [("", native), ("reference", reference), ("native", native), ("torch", reference), ("cpp", native)]
)
def test_asked_for(value: str, module: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REREC_IMPL", value)
    assert implementation("grpo_loss", torch.zeros(1)) is module.grpo_loss


@pytest.mark.parametrize("module", [m for name, m in MODULES.items() if name != "gpu"])
def test_every_public_op_is_in_every_implementation(module: str) -> None:
    assert set(importlib.import_module(module).__all__) == {name for name in ops.__all__ if name[0].islower()}


@needs_triton
def test_every_public_op_has_a_kernel() -> None:
    assert set(importlib.import_module(MODULES["gpu"]).__all__) == set(reference.__all__)


@needs_triton
@pytest.mark.parametrize("name", ["gpu", "triton"])
def test_kernels_have_two_names(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REREC_IMPL", name)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert implementation("grpo_loss", torch.zeros(1)) is importlib.import_module(MODULES["gpu"]).grpo_loss


@pytest.mark.parametrize("name", ["fortran", "NATIVE"])
def test_unknown_implementation(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REREC_IMPL", name)
    with pytest.raises(ValueError, match=f"REREC_IMPL must be one of reference, native, gpu, got '{name}'"):
        ops.expand_segments(torch.zeros(1), torch.ones(1, dtype=torch.int64))


@pytest.mark.parametrize(
    "asked, tensors, message",
    [
        ("native", [torch.zeros(1, dtype=torch.float64)], "takes float32, bfloat16 and float16, got torch.float64"),
        ("native", [torch.zeros(1, device="meta")], "takes CPU tensors, got meta"),
        pytest.param("gpu", [torch.zeros(1)], "takes CUDA tensors .*got cpu", marks=needs_triton),
        pytest.param(
            "gpu",
            [torch.zeros(1, device="meta"), torch.zeros(1, dtype=torch.bfloat16, device="meta")],
            "takes CUDA tensors",
            marks=needs_triton,
        ),
    ],
)
def test_unsupported_tensors(
    asked: str, tensors: list[torch.Tensor], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REREC_IMPL", asked)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ValueError, match=message):
        implementation("grpo_loss", *tensors)


@needs_triton
def test_kernels_take_one_dtype(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REREC_IMPL", "gpu")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    with pytest.raises(ValueError, match="of one dtype, got torch.bfloat16 and torch.float32"):
        implementation("token_logprob", torch.zeros(1), torch.zeros(1, dtype=torch.bfloat16))


def test_without_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rerec_engine.ops.dispatch._has_triton", lambda: False)
    monkeypatch.setenv("REREC_IMPL", "gpu")
    with pytest.raises(ValueError, match="needs Triton: pip install"):
        implementation("grpo_loss", torch.zeros(1))
