"""A dataset directory of six films, written out so that every number can be checked by hand, and its engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from rerec_engine.data.dataset import write_dataset
from rerec_engine.integrations import shared
from rerec_engine.reward import RewardEngine
from rerec_engine.types import Message, Query

TITLES = ["Heat (1995)", "Hamlet (1990)", "Hamlet (1996)", "The Silent River (1987)", "Alien (1979)", "Solaris (1972)"]
YEARS = [1995, 1990, 1996, 1987, 1979, 1972]


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("integrations") / "data"
    attributes = np.array([[1, 0, 1], [0, 1, 1], [0, 1, 0], [0, 1, 1], [1, 0, 0], [1, 1, 0]], dtype=np.int8)
    ask: tuple[Message, ...] = ({"role": "user", "content": "A film?"},)
    queries = [Query(f"q{i}", ask, (i,), (i, (i + 1) % 6, (i + 2) % 6)) for i in range(6)]
    write_dataset(
        path,
        titles=TITLES,
        years=YEARS,
        relations=["genre"] * 3,
        values=["thriller", "drama", "classic"],
        item_attributes=sp.csr_matrix(attributes),
        interactions=sp.csr_matrix(np.eye(6, dtype=np.float32)),
        item_embeddings=np.eye(6, dtype=np.float32),
        splits={"train": queries},
        data_source="films",
    )
    return path


@pytest.fixture(scope="session")
def engine(data_dir: Path) -> RewardEngine:
    return RewardEngine.load(data_dir, threads=1)


@pytest.fixture(scope="session")
def rows(data_dir: Path) -> list[dict[str, Any]]:
    """The split's rows as other stacks read them: verl's columns."""
    import pyarrow.parquet as pq

    return pq.read_table(data_dir / "train.parquet").to_pylist()


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine loaded, nothing configured, no variable set: as in a new process."""
    for name in ("REREC_DATA", "REREC_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(shared, "_engines", {})
    monkeypatch.setattr(shared, "_configured", {})
