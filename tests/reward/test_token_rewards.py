"""Segments and token rewards against the slow reference, on generated responses and on real ones."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import reward_reference as reference
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from reward_reference import TITLES
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from rerec_engine.config import RewardWeights
from rerec_engine.errors import UserError
from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.model.text import decode
from rerec_engine.reward import RewardEngine, TokenScores
from rerec_engine.reward.vocabulary import token_bytes

REFERENCE = reference.ReferenceCatalogue(TITLES)

PIECES = [
    "Heat", "heat", "HEAT", "The Thing", "the thing", "thing", "Usual Suspects", "usual", "suspects", "It", "it",
    "It's", "Hamlet", "Godfather: Part II", "The Godfather Part II,", "Godfather 2", "Amelie", "Seven", "Se7en", "2010",
    "(2010)", "nobody", "Nobody Knows", "'s", "’s", " ", " ", " ", "\n", "\n", "\n\n", "\r\n", "\n \n", ".",
    "é", "日本", "😀",
    "\\boxed{Heat}", "\\boxed{The Thing (1982)}", "\\boxed{It; Hamlet (1996)}", "\\boxed{Nobody Knows}",
    "\\boxed{2010}",
    "\\boxed{Usual Suspects (a crime film) (1995)}", "\\boxed{Godfather 2}", "\\boxed{seven}", "\\boxed{}", "\\boxed{",
    " Heat (1995)", "\nx", "é😀",
]  # fmt: skip
responses = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


def ids_of(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    rows = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    return np.array([i for row in rows for i in row], dtype=np.int64), np.cumsum([0, *map(len, rows)])


def expected_rewards(
    pieces: Sequence[bytes],
    reward: float,
    truth: Sequence[int],
    catalogue: reference.ReferenceCatalogue,
    candidates: Sequence[int] = (),
    w_penalty: float = 0.3,
) -> list[float]:
    text = b"".join(pieces).decode("utf-8", "surrogateescape")
    answer = reference.read_answer(text, catalogue, candidates)
    answer.begin = len(text[: answer.begin].encode("utf-8", "surrogateescape"))
    return reference.token_rewards(pieces, reward, answer, truth, catalogue, w_penalty)


def run(
    engine: RewardEngine, tokenizer: PreTrainedTokenizerFast, text: str, truth: Sequence[int] = (0,)
) -> TokenScores:
    ids, cu = ids_of(tokenizer, [text])
    return engine.score_tokens(ids, cu, [truth], tokenizer)


def penalised_text(engine: RewardEngine, tokenizer: PreTrainedTokenizerFast, text: str, truth: int = 0) -> str:
    """What of the text the penalised tokens hold."""
    result = run(engine, tokenizer, text, [truth])
    ids, _ = ids_of(tokenizer, [text])
    table = token_bytes(tokenizer)
    assert table is not None
    marked = np.repeat(result.segment_penalised, result.segment_lengths)
    return b"".join(table[i] for i, mark in zip(ids, marked, strict=True) if mark).decode()


@pytest.mark.parametrize(
    ("text", "penalised"),
    [
        ("I like Heat.\n\nThe Usual Suspects, yes\nSo \\boxed{Usual Suspects (1995)}", "The Usual Suspects, yes\n"),
        ("The Usual Suspects' end\n\\boxed{The Usual Suspects}", "The Usual Suspects' end\n"),
        ("usual suspects's end\n\\boxed{The Usual Suspects}", "usual suspects's end\n"),
        ("unusual suspects\n\\boxed{The Usual Suspects}", ""),
        ("Heat is right\n\\boxed{Heat}", ""),
        ("It is long\n\\boxed{It (1990)}", "It is long\n"),
        ("but it is long\n\\boxed{It (1990)}", ""),
        ("see the thing\nsee the Thing's cast\nsee Thing\n\\boxed{The Thing}", "see the Thing's cast\n"),
        ("made in (2010)\nor 2010\n\\boxed{2010 (1984)}", "or 2010\n"),
        ("Se7en\nseven\nSeven\n\\boxed{Seven}", "Se7en\nSeven\n"),
        ("godfather part ii\nGodfather 2\n\\boxed{Godfather 2 (1974)}", "godfather part ii\nGodfather 2\n"),
        ("a nobody knows it\n\\boxed{Nobody Knows}", "a nobody knows it\n"),
        ("a crime film\n\\boxed{Usual Suspects (a crime film)}", ""),
        ("Seven \\boxed{Heat}\nSeven\n\\boxed{Seven} and\nSeven", "Seven \\boxed{Heat}\nSeven\n"),
        ("Seven here and \\boxed{Seven}", ""),
        ("Seven\nHeat\n\\boxed{Heat; Seven}", "Seven\n"),
        ("Seven\nno answer", ""),
        ("<think>\nSeven?\n\\boxed{Heat}\n</think>\nyes\n\\boxed{Seven}", "Seven?\n"),
        ("Seven?\n\\boxed{Seven}\n</think>\n\\boxed{Heat}", ""),
        ("<think>\nSeven\n\\boxed{Seven}", ""),
        ("...\n\\boxed{...}", ""),
    ],
)
def test_what_is_penalised(engine: RewardEngine, tokenizer: PreTrainedTokenizerFast, text: str, penalised: str) -> None:
    assert penalised_text(engine, tokenizer, text) == penalised


@pytest.mark.parametrize(
    ("text", "opened", "items"),
    [
        ("<pad><think>\\boxed{Seven}</think><eos>\\boxed{Heat}<eos>", False, [0]),
        ("\\boxed{Seven}</think>\\boxed{Heat}<eos>", True, [0]),
        ("<think>\\boxed{Heat}<eos>", False, []),
        ("\\boxed{Heat}<eos>", True, []),
    ],
)
def test_marks_of_reasoning_count_though_they_are_special_tokens(
    engine: RewardEngine, tokenizer: PreTrainedTokenizerFast, text: str, opened: bool, items: list[int]
) -> None:
    marked = copy.deepcopy(tokenizer)
    marked.add_special_tokens({"additional_special_tokens": ["<think>", "</think>"]})
    ids, cu = ids_of(marked, [text])
    result = engine.score_tokens(ids, cu, ["Heat"], marked, opened=opened)
    assert result.scores.items[0].tolist() == items
    assert engine.score([decode(marked, ids)], ["Heat"], opened=opened).items[0].tolist() == items


def test_rewards_of_tokens(engine: RewardEngine, tokenizer: PreTrainedTokenizerFast) -> None:
    text = "Seven\n\nok\n\\boxed{Seven}<eos>"
    result = run(engine, tokenizer, text)
    r = float(result.scores.total[0])
    assert r > 0
    assert result.segment_lengths.tolist() == [6, 3, 13, 1]  # "\n\n" is one token, and ends the first line
    assert result.token_rewards[:6].tolist() == pytest.approx([0.7 * r] * 6)
    assert result.token_rewards[6:].tolist() == pytest.approx([r] * (len(result.token_rewards) - 6))


def test_a_negative_reward_is_penalised_too(
    catalogue: Catalogue, attributes: sp.csr_matrix, embeddings: np.ndarray, tokenizer: PreTrainedTokenizerFast
) -> None:
    engine = RewardEngine(catalogue, attributes, embeddings, RewardWeights(format=-1.0), threads=1)
    result = run(engine, tokenizer, "Seven\n\\boxed{Seven}")
    r = float(result.scores.total[0])
    assert r < 0
    assert result.token_rewards.min() == pytest.approx(1.3 * r)


def test_tokens_across_lines(catalogue: Catalogue, attributes: sp.csr_matrix, embeddings: np.ndarray) -> None:
    """A token of text after a line break belongs to the next line, one of line breaks to the line that it ends."""
    vocab = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    backend = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    backend.decoder = decoders.ByteLevel()
    backend.add_tokens(["Seven", "\n", "\n\n", "\nok", "\n\nSeven\n", "\\boxed{Seven}", "n\no"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    engine = RewardEngine(catalogue, attributes, embeddings, threads=1)
    pieces = ["\n", "Seven", "\n\n", "\n", "\nok", "\n\nSeven\n", "n\no", "\\boxed{Seven}"]
    ids = tokenizer.convert_tokens_to_ids(pieces)
    result = engine.score_tokens(ids, [0, len(ids)], [0], tokenizer)
    marks = np.repeat(result.segment_penalised, result.segment_lengths).tolist()
    assert marks == [False, True, True, False, False, True, False, False]
    assert result.segment_lengths.tolist() == [1, 2, 1, 1, 1, 1, 1]


@pytest.mark.slow
@given(st.lists(responses, min_size=1, max_size=4), st.sampled_from([0.0, 0.3, 2.0]))
def test_generated_responses_equal_the_reference(
    engine: RewardEngine, tokenizer: PreTrainedTokenizerFast, texts: list[str], w_penalty: float
) -> None:
    ids, cu = ids_of(tokenizer, texts)
    truth = [[0, 4] if i % 2 else [0] for i in range(len(texts))]
    result = engine.score_tokens(ids, cu, truth, tokenizer, w_penalty=w_penalty)
    check_segments(result, cu)
    table = token_bytes(tokenizer)
    assert table is not None
    for i in range(len(texts)):
        pieces = [table[j] for j in ids[cu[i] : cu[i + 1]]]
        reward = float(result.scores.total[i])
        expected = expected_rewards(pieces, reward, truth[i], REFERENCE, w_penalty=w_penalty)
        np.testing.assert_allclose(result.token_rewards[cu[i] : cu[i + 1]], expected, rtol=1e-6)


def check_segments(result: TokenScores, cu: np.ndarray) -> None:
    for i in range(len(cu) - 1):
        part = slice(result.cu_segments[i], result.cu_segments[i + 1])
        assert result.segment_lengths[part].sum() == cu[i + 1] - cu[i]
        assert (result.segment_lengths[part] > 0).all()
    total = np.repeat(result.scores.total, np.diff(cu))
    marked = np.repeat(result.segment_penalised, result.segment_lengths)
    assert (result.token_rewards[~marked] == total[~marked]).all()


@given(st.lists(responses, min_size=1, max_size=5), st.data())
def test_input_forms(
    engine: RewardEngine, tokenizer: PreTrainedTokenizerFast, texts: list[str], data: st.DataObject
) -> None:
    ids, cu = ids_of(tokenizer, texts)
    truth = [0] * len(texts)
    packed = engine.token_rewards(ids, cu, truth, tokenizer)
    assert packed.dtype == np.float32
    narrow = torch.tensor(ids, dtype=torch.int32)
    np.testing.assert_array_equal(engine.token_rewards(narrow, torch.tensor(cu), truth, tokenizer), packed)
    lengths = np.diff(cu)
    width = int(lengths.max()) + 2
    left = data.draw(st.booleans())
    mask = np.arange(width)[None, :] < lengths[:, None]
    mask = mask[:, ::-1] if left else mask
    padded = np.full(mask.shape, 10**9)
    padded[mask] = ids
    out = engine.token_rewards(torch.tensor(padded), torch.tensor(mask.copy()), truth, tokenizer)
    assert out.shape == padded.shape
    np.testing.assert_array_equal(out[mask], packed)
    assert (out[~mask] == 0).all()
    if not left:
        np.testing.assert_array_equal(engine.token_rewards(padded, lengths, truth, tokenizer), out)


@pytest.mark.parametrize(
    ("ids", "cu", "message"),
    [
        ([0, 1, 5000], [0, 1, 3], "response 1, token 1: id 5000 is outside the tokenizer"),
        ([0, -1], [0, 2, 2], "response 0, token 1: id -1 is outside"),
        ([0, 1], [0, 1, 1], "cu_seqlens must be"),
        ([0, 1], [0, 3, 2], "cu_seqlens must be"),
        ([0, 1], [1, 1, 2], "cu_seqlens must be"),
        ([0.5, 1], [0, 1, 2], "token_ids must be int32 or int64"),
        ([[0, 1], [1]], [2, 1], "rows of different lengths"),
        ([[0, 1], [1, 1]], [2, 3], r"lengths must be in 0..2"),
        ([[0, 1], [1, 1]], [2, 2, 2], r"needs lengths \[B\] or a mask"),
        ([[[0]], [[0]]], [0, 1], r"token_ids must be \[T\] or \[B, L\]"),
    ],
)
def test_bad_tokens(
    engine: RewardEngine, tokenizer: PreTrainedTokenizerFast, ids: object, cu: object, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        engine.token_rewards(ids, cu, [0, 0], tokenizer)


def test_a_tokenizer_without_a_byte_table(engine: RewardEngine, tokenizer: PreTrainedTokenizerFast) -> None:
    """The slow path gives what the table gives."""

    class Slow:
        def __init__(self) -> None:
            self.decode = tokenizer.decode

        def __len__(self) -> int:
            return len(tokenizer)

    texts = ["Seven is 日本 😀\n\nit\nThe Thing\n\\boxed{Seven}<eos>", "", "x\n\\boxed{}"]
    ids, cu = ids_of(tokenizer, texts)
    slow = engine.score_tokens(ids, cu, [0, 0, 0], Slow())
    fast = engine.score_tokens(ids, cu, [0, 0, 0], tokenizer)
    np.testing.assert_array_equal(slow.token_rewards, fast.token_rewards)
    np.testing.assert_array_equal(slow.scores.total, fast.scores.total)
    with pytest.raises(UserError, match="token 1: id 9999 is outside"):
        engine.token_rewards([0, 9999], [0, 2], [0], Slow())


def test_a_megabyte_of_lines(engine: RewardEngine, tokenizer: PreTrainedTokenizerFast) -> None:
    newline, seven = tokenizer.convert_tokens_to_ids(["Ċ", "Ġseven"])
    tail = tokenizer("\n\\boxed{Seven; the usual suspects}", add_special_tokens=False)["input_ids"]
    ids = np.array([newline, seven] * 200_000 + tail)
    result = engine.score_tokens(ids, [0, len(ids)], [0], tokenizer)
    assert result.segment_lengths.sum() == len(ids)
    assert not result.segment_penalised.any()


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 3])
def test_real_responses_equal_the_reference(shared_data: Path, threads: int) -> None:
    """300 real responses: items, scores and token rewards, from padded int64 tensors."""
    lines = (shared_data / "ml-1m" / "movies.dat").read_text(encoding="latin-1").splitlines()
    titles = [line.split("::")[1] for line in lines]
    catalogue, slow = Catalogue(titles), reference.ReferenceCatalogue(titles)
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(len(titles), 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    attributes = sp.random(len(titles), 200, 0.05, format="csr", random_state=0)
    engine = RewardEngine(catalogue, attributes, rows, threads=threads)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(shared_data / "reward-workload")
    work = json.loads(gzip.decompress((shared_data / "reward-workload" / "work.json.gz").read_bytes()))[::8][:300]
    encoded = tokenizer([row["response"] for row in work], padding=True, return_tensors="pt", add_special_tokens=False)
    ids, mask = encoded["input_ids"], encoded["attention_mask"]
    result = engine.score_tokens(ids, mask, [r["gt"] for r in work], tokenizer, [r["cand"] for r in work])
    table = token_bytes(tokenizer)
    assert table is not None
    penalised = 0
    for i, row in enumerate(work):
        candidates = sorted(slow.match(title) for title in row["cand"])
        truth = slow.match(row["gt"])
        answer = reference.read_answer(row["response"], slow, candidates)
        items = [item for item, _ in answer.entries]
        assert result.scores.items[i].tolist() == items
        assert result.scores.hit[i] == (items[:1] == [truth])
        pieces = [table[int(j)] for j in ids[i][mask[i].bool()]]
        expected = expected_rewards(pieces, float(result.scores.total[i]), [truth], slow, candidates)
        np.testing.assert_allclose(result.token_rewards[i][mask[i].bool().numpy()], expected, rtol=1e-6)
        penalised += len(set(expected)) > 1
    assert penalised > 50
