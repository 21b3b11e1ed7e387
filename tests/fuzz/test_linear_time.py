"""Hostile answers of 10 MB are scored in under a second of one thread's time.

The only tests that look at a clock: what they rule out, time that grows with the square of the length, takes minutes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.reward import RewardEngine
from rerec_engine.reward.vocabulary import byte_alphabet, vocabulary

SIZE = 10_000_000
SECONDS = 1.0
REPEATED = " ".join(["a"] * 63 + ["b"])  # the longest title that mentions are looked for of
TITLES = ["The Glass Harbour (1987)", "Owls; a Winter (2003)", "Quiet", "It (1990)", "p;q;r;s", REPEATED]

UNITS = {
    "boxes": "\\boxed{", "lines": "\n", "a title": "Quiet ", "brackets": "(", "years": "(1999)", "semicolons": ";",
    "parts": "p;", "apostrophes": "'", "curly apostrophes": "’", "no UTF-8": "\udcff", "NUL": "\0", "a a a": "a ",
}  # fmt: skip
SLOW_TODAY = {"semicolons", "parts"}


@pytest.fixture(scope="module")
def engine() -> RewardEngine:
    count = len(TITLES)
    embeddings = np.tile(np.array([[1, 0]], dtype=np.float32), (count, 1))
    return RewardEngine(Catalogue(TITLES), sp.csr_matrix(np.ones((count, 3))), embeddings, threads=1)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """Of single bytes: id = byte."""
    backend = Tokenizer(models.BPE(vocab=byte_alphabet(), merges=[]))
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    vocabulary(tokenizer)
    return tokenizer


def seconds(run: Callable[[], Any]) -> float:
    start = time.thread_time()
    run()
    return time.thread_time() - start


def check(engine: RewardEngine, tokenizer: PreTrainedTokenizerFast, text: bytes) -> None:
    ids = np.frombuffer(text, dtype=np.uint8).astype(np.int32)
    assert seconds(lambda: engine.score([text], [0])) < SECONDS
    assert seconds(lambda: engine.score_tokens(ids, [0, len(ids)], [0], tokenizer)) < SECONDS


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.xfail(reason="joined parts are looked up one by one"))
        if n in SLOW_TODAY
        else n
        for n in UNITS
    ],
)
def test_repeats(engine: RewardEngine, tokenizer: PreTrainedTokenizerFast, name: str) -> None:
    """Before the box and in it."""
    unit = UNITS[name].encode("utf-8", "surrogateescape")
    half = unit * (SIZE // 2 // len(unit))
    check(engine, tokenizer, half + b"\n\\boxed{" + half + b"}\\boxed{" + half[:1000])


def test_mentions_of_a_title_of_one_word_repeated(engine: RewardEngine, tokenizer: PreTrainedTokenizerFast) -> None:
    check(engine, tokenizer, ("a's " * (SIZE // 4) + f"\n\\boxed{{{REPEATED}}}").encode())


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param("(q{}z)", marks=pytest.mark.xfail(run=False, reason="alternatives are compared each with each")),
        "w{} ",
        "w{};",
    ],
)
def test_much_that_differs(engine: RewardEngine, tokenizer: PreTrainedTokenizerFast, entry: str) -> None:
    parts = "".join(entry.format(i) for i in range(SIZE // 9))
    check(engine, tokenizer, f"\\boxed{{x {parts}(1999)}}".encode())
