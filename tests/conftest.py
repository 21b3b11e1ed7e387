"""What every test shares: threads, hypothesis profiles and where the real data lies."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a model name never reaches out from a test
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """The tests run in parallel, a worker a core."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets: `$REREC_SHARED_DATA`, else `../shared/data` beside the repository."""
    root = Path(__file__).resolve().parents[1]
    path = Path(os.environ.get("REREC_SHARED_DATA") or root.parent / "shared" / "data")
    if not path.is_dir():
        pytest.skip(f"no real data at {path}: set REREC_SHARED_DATA")
    return path
