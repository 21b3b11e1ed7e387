"""The path to the rows that several test files take, and a policy on disk."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def saved(tiny_policy, tmp_path_factory) -> Path:
    """Of `tiny_policy(tie_word_embeddings=True)`."""
    path = tmp_path_factory.mktemp("model") / "tiny"
    tiny_policy(tie_word_embeddings=True).save(path)
    return path
