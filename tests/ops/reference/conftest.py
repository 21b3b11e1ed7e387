"""The public functions take the reference here, whatever the dtype."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REREC_IMPL", "reference")
