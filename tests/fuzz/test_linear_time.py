"""Hostile answers: 10 MB of boxes or of line breaks within a second, and whatever else in time linear in its length.

The only tests that look at a clock, and at a thread's own: time that grows with the square of the length takes 16 times
as long for 4 times the text, and what is linear 4 times.
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

LARGE = 10_000_000
SMALL = 40_000
TIMES = 4
MOST_TIMES = 8.0
FLOOR = 2e-3
"""Seconds below which the shorter text's time tells nothing."""

REPEATED = " ".join(["a"] * 63 + ["b"])  # the longest title that mentions are looked for of
TITLES = ["The Glass Harbour (1987)", "Owls; a Winter (2003)", "Quiet", "It (1990)", "p;q;r;s", REPEATED]
ATTRIBUTES = ["slow", "night owls", "the sea"]

UNITS = {
    "a title": "Quiet ", "a title's": "Quiet's ", "joined": "quieté ", "no blank": "quiet,", "brackets": "(",
    "closed brackets": "(w)", "square brackets": "[", "years": "(1999)", "semicolons": ";", "parts": "p;",
    "titles in parts": "owls; a winter;", "titles on lines": "owls; a winter\n", "articles": "Quiet, The; ",
    "apostrophes": "'", "curly apostrophes": "’", "commands": "\\text{", "braces": "{}", "numbers": "1. ",
    "no UTF-8": "\udcff", "NUL": "\0", "a a a": "a ", "letters to fold": "é", "ampersands": "&", "aka": "(a.k.a. w)",
    "boxes with blanks": "\\boxed  ", "line breaks of LaTeX": "\\\\ ", "silent arguments": "\\color{",
    "items": "\\item ", "wide brackets": "（", "wide years": "（1999年）", "told years": "(w 1999)",
    "bare years": "from 1999 film ", "circled numbers": "①", "wide semicolons": "；", "numerals": "twenty one ",
}  # fmt: skip
ENTRIES = {
    "words": "w{} ",
    "parts": "w{};",
    "lines": "w{}\n",
    "numbered lines": "{}. owls; a winter\n",
    "bracketed alternatives": "(q{}z)",
    "bracketed years": "(q{}z 1999)",
    "numbers that may be a title's": "#1 owls; a winter {}\n",
}


@pytest.fixture(scope="module")
def engine() -> RewardEngine:
    count = len(TITLES)
    embeddings = np.tile(np.array([[1, 0]], dtype=np.float32), (count, 1))
    attributes = sp.csr_matrix(np.tri(count, len(ATTRIBUTES)))
    return RewardEngine(Catalogue(TITLES), attributes, embeddings, threads=1, attribute_names=ATTRIBUTES)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """Of single bytes: id = byte."""
    backend = Tokenizer(models.BPE(vocab=byte_alphabet(), merges=[]))
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    vocabulary(tokenizer)
    return tokenizer


@pytest.fixture(scope="module")
def seconds(engine: RewardEngine, tokenizer: PreTrainedTokenizerFast) -> Callable[..., float]:
    """Of this thread, for a text's token rewards."""

    def measure(text: bytes, **settings: Any) -> float:
        ids = np.frombuffer(text, dtype=np.uint8).astype(np.int32)
        out = np.empty(len(ids), dtype=np.float32)
        start = time.thread_time()
        engine.score_tokens(ids, [0, len(ids)], [0], tokenizer, out=out, **settings)
        return time.thread_time() - start

    return measure


def check_linear(seconds: Callable[..., float], make: Callable[[int], bytes], **settings: Any) -> None:
    """The best of up to five tries, since a busy machine makes any of them longer."""
    short, long = make(SMALL), make(TIMES * SMALL)
    shortest = longest = float("inf")
    for _ in range(5):
        shortest = min(shortest, seconds(short, **settings))
        longest = min(longest, seconds(long, **settings))
        if longest < MOST_TIMES * max(shortest, FLOOR):
            return
    raise AssertionError(f"{TIMES} times the text takes {longest / shortest:.1f} times as long ({longest:.3f} s)")


@pytest.mark.slow
@pytest.mark.parametrize("path", ["texts", "tokens"])
@pytest.mark.parametrize("unit", ["\\boxed{", "\n"], ids=["boxes", "lines"])
def test_ten_megabytes(engine: RewardEngine, seconds: Callable[..., float], unit: str, path: str) -> None:
    """Before the box, in it, and closed or not. As tokens, each byte is one."""
    half = unit.encode() * (LARGE // 2 // len(unit))
    for text in (half + half, half + b"\n\\boxed{" + half + b"Quiet}"):
        best = float("inf")
        for _ in range(5):
            start = time.thread_time()
            if path == "texts":
                engine.score([text], [0])
                best = min(best, time.thread_time() - start)
            else:
                best = min(best, seconds(text))
            if best < 1:
                break
        assert best < 1


@pytest.mark.parametrize("name", UNITS)
def test_repeats(seconds: Callable[..., float], name: str) -> None:
    """Before a box of two entries, and in a box."""
    unit = UNITS[name].encode("utf-8", "surrogateescape")
    check_linear(seconds, lambda size: unit * (size // len(unit)) + b"\n\\boxed{Quiet; Fern}")
    check_linear(seconds, lambda size: b"\\boxed{" + unit * (size // len(unit)) + b"}")


@pytest.mark.parametrize("name", ENTRIES)
def test_much_that_differs(seconds: Callable[..., float], name: str) -> None:
    def make(size: int) -> bytes:
        parts = [ENTRIES[name].format(i) for i in range(size // 8)]
        return f"\\boxed{{x {''.join(parts)}(1999)}}".encode()

    check_linear(seconds, make)


@pytest.mark.parametrize("before", ["a ", "a's ", "(a) ", "ä "])
def test_mentions_of_a_title_of_one_word_repeated(seconds: Callable[..., float], before: str) -> None:
    check_linear(seconds, lambda size: f"{before * (size // len(before))}\n\\boxed{{{REPEATED}}}".encode())


def test_mentions_of_many_titles_of_one_name(seconds: Callable[..., float]) -> None:
    """Their name begins with a capital, the text's words do not."""
    entries = "\n".join(f"Zorn (z{i}z)" for i in range(1000))
    check_linear(seconds, lambda size: f"{'zorn ' * (size // 5)}\n\\boxed{{{entries}}}".encode())


@pytest.mark.parametrize(
    "unit",
    [
        "*Quiet* slow ",
        "*Quiet* and ",
        "slow ",
        "*Quiet*\n",
        "the sea ",
        "A ",
        "A's ",
        "é ",
        "'",
        "& ",
        "*Quiet* the ",
        "(",
    ],
)
def test_reasons(seconds: Callable[..., float], unit: str) -> None:
    def make(size: int) -> bytes:
        return f"*Quiet* {unit * (size // len(unit))} *Quiet*\n\\boxed{{It}}".encode()

    check_linear(seconds, make, w_false=0.1)


@pytest.mark.parametrize("unit", ["Quiet\n", "Quiet slow\n", "Quiet slow "])
def test_credit(seconds: Callable[..., float], unit: str) -> None:
    def make(size: int) -> bytes:
        return f"{unit * (size // len(unit))}\n\\boxed{{It}}".encode()

    check_linear(seconds, make, candidates=[list(range(len(TITLES)))], w_credit=0.1)
