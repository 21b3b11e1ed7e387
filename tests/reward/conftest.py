"""A small world for the reward tests, and the path to its slow reference."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from rerec_engine.config import RewardWeights
from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.reward import RewardEngine

sys.path.insert(0, str(Path(__file__).parent))  # test files import the reference as a plain module
from reward_reference import TITLES


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return Catalogue(TITLES)


@pytest.fixture(scope="session")
def attributes() -> sp.csr_matrix:
    rng = np.random.default_rng(0)
    dense = rng.random((len(TITLES), 9)) < 0.4
    dense[3] = False  # an item without attributes
    return sp.csr_matrix(dense.astype(np.float32))


@pytest.fixture(scope="session")
def embeddings() -> np.ndarray:
    rows = np.random.default_rng(1).normal(size=(len(TITLES), 8)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="session")
def engine(catalogue: Catalogue, attributes: sp.csr_matrix, embeddings: np.ndarray) -> RewardEngine:
    return RewardEngine(catalogue, attributes, embeddings, RewardWeights(), threads=1)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level without merges, with added tokens that are raw text, in the alphabet, multi-byte and special."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={char: i for i, char in enumerate(alphabet)}, merges=[]))
    backend.decoder = decoders.ByteLevel()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words = [" Heat (1995)", "\n\n", "Ġseven", "日本", "\nx", "é😀"]
    backend.add_tokens([AddedToken(word, normalized=False) for word in words])
    backend.add_special_tokens(["<eos>", "<pad>"])
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>", pad_token="<pad>")
