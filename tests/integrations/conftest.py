"""A dataset directory of six films, written out so that every number can be checked by hand, and its engine."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from rerec_engine.data.dataset import write_dataset
from rerec_engine.integrations import shared
from rerec_engine.reward import RewardEngine
from rerec_engine.types import Message, Query

sys.path.insert(0, str(Path(__file__).parent))  # test files use the stand-in as a plain module
import verl_stand_in

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


@pytest.fixture
def verl(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The adapters on a stand-in for verl: see `verl_stand_in.install`."""
    return verl_stand_in.install(monkeypatch)


@pytest.fixture(scope="session")
def byte_tokenizer() -> Any:
    """A token a byte, and an end token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={char: i for i, char in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<eos>", pad_token="<pad>", chat_template=template
    )
