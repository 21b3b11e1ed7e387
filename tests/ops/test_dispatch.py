"""`REREC_IMPL` chooses the implementation of every op, and refuses one that does not exist."""

from __future__ import annotations

import pytest
import torch

from rerec_engine import ops
from rerec_engine.ops import reference
from rerec_engine.ops.dispatch import implementation


@pytest.mark.parametrize("name", reference.__all__)
@pytest.mark.parametrize("value", [None, "", "torch"])
def test_torch_is_the_default(name: str, value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REREC_IMPL", raising=False)
    if value is not None:
        monkeypatch.setenv("REREC_IMPL", value)
    assert implementation(name) is getattr(reference, name)


def test_every_public_op_has_a_reference() -> None:
    assert set(reference.__all__) == {name for name in ops.__all__ if name[0].islower()}


def test_unknown_implementation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REREC_IMPL", "fortran")
    with pytest.raises(ValueError, match="REREC_IMPL must be one of torch.*'fortran'"):
        ops.expand_segments(torch.zeros(1), torch.ones(1, dtype=torch.int64))
