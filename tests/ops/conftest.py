"""Which implementation of the ops a test runs on."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["reference", "default"])
def each_implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The reference, and what the device and dtype choose: on a CPU the C++ passes, but for float64."""
    monkeypatch.delenv("REREC_IMPL", raising=False)
    if request.param == "reference":
        monkeypatch.setenv("REREC_IMPL", "reference")
    return request.param
