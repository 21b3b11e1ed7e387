"""Every layout of token ids gives the same rewards, without copies where none are needed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from rerec_engine.errors import UserError
from rerec_engine.reward import RewardEngine
from rerec_engine.reward.tokens import read_tokens
from rerec_engine.reward.vocabulary import id_limit

TEXTS = [
    "I think Seven is it.\nYes: seven.\n\\boxed{Seven}",
    "\\boxed{Heat}",
    "",
    "Not Emma\n\nbut The Usual Suspects\r\n\\boxed{Emma; The Usual Suspects}",
    "é日本😀\n Heat (1995)",
]
TRUTH = [0, 0, 0, 4, 1]


@pytest.fixture(scope="module")
def rows(tokenizer: PreTrainedTokenizerFast) -> list[list[int]]:
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
    end = tokenizer.convert_tokens_to_ids("<eos>")
    return [[*row, end] if row else row for row in ids]


def padded(rows: list[list[int]], left: bool = False, width: int = 0) -> tuple[np.ndarray, np.ndarray]:
    width = max(width, *map(len, rows))
    ids, mask = np.full((len(rows), width), 7, np.int64), np.zeros((len(rows), width), np.int64)
    for i, row in enumerate(rows):
        place = slice(width - len(row), width) if left else slice(0, len(row))
        ids[i, place], mask[i, place] = row, 1
    return ids, mask


@pytest.fixture(scope="module")
def expected(engine: RewardEngine, tokenizer: PreTrainedTokenizerFast, rows: list[list[int]]) -> list[list[float]]:
    """Rewards of each response, from packed ids."""
    cu = np.cumsum([0, *map(len, rows)])
    packed = np.array([i for row in rows for i in row], np.int64)
    rewards = engine.score_tokens(packed, cu, TRUTH, tokenizer).token_rewards
    return [rewards[a:b].tolist() for a, b in pairwise(cu)]


DTYPES = [np.int32, np.int64, torch.int32, torch.int64, np.int16]


def as_type(array: np.ndarray, dtype: Any) -> Any:
    return torch.from_numpy(array).to(dtype) if isinstance(dtype, torch.dtype) else array.astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("kind", ["mask", "bool", "float"])
def test_masks(engine, tokenizer, rows, expected, dtype: Any, left: bool, kind: str) -> None:
    ids, mask = padded(rows, left, width=70 if left else 0)
    given = {"mask": mask, "bool": mask.astype(bool), "float": mask.astype(np.float32)}[kind]
    given = torch.from_numpy(given) if isinstance(dtype, torch.dtype) else given
    result = engine.score_tokens(as_type(ids, dtype), given, TRUTH, tokenizer)
    assert result.token_rewards.shape == ids.shape and result.token_rewards.dtype == np.float32
    assert [r[m > 0].tolist() for r, m in zip(result.token_rewards, mask, strict=True)] == expected
    assert (result.token_rewards[mask == 0] == 0).all()
    assert result.segment_lengths.sum() == mask.sum()


@pytest.mark.parametrize("dtype", DTYPES[:4], ids=str)
def test_lengths_and_slices(engine, tokenizer, rows, expected, dtype: Any) -> None:
    """As an RL stack hands them: the response part of [prompt | response]."""
    ids, mask = padded(rows)
    whole = np.concatenate([np.full((len(ids), 9), 3, np.int64), ids, ids], axis=1)
    part = as_type(whole, dtype)[:, 9 : 9 + ids.shape[1]]
    lengths = as_type(mask.sum(axis=1), dtype)
    result = engine.score_tokens(part, lengths, TRUTH, tokenizer)
    assert [r[: len(e)].tolist() for r, e in zip(result.token_rewards, expected, strict=True)] == expected
    assert (result.token_rewards[mask == 0] == 0).all()


def test_gaps_in_a_mask(engine, tokenizer, rows, expected) -> None:
    """What tools said in between is no response."""
    ids, mask = padded(rows)
    ids, mask = np.repeat(ids, 2, axis=1), np.repeat(mask, 2, axis=1)
    mask[:, 1::2] = 0
    out = np.full(ids.shape, 5, np.float32)
    result = engine.score_tokens(ids, mask, TRUTH, tokenizer, out=out)
    assert [r[m > 0].tolist() for r, m in zip(result.token_rewards, mask, strict=True)] == expected
    np.testing.assert_array_equal(out, result.token_rewards)


@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
def test_rewards_into_a_given_array(engine, tokenizer, rows, expected, make: Callable[[np.ndarray], Any]) -> None:
    ids, mask = padded(rows)
    out = make(np.full(ids.shape, np.nan, np.float32))
    engine.score_tokens(ids, mask, TRUTH, tokenizer, out=out)
    assert [np.asarray(r)[: len(e)].tolist() for r, e in zip(out, expected, strict=True)] == expected
    for wrong in (out[:, :-1], out[:, ::2], np.zeros(ids.shape)):
        with pytest.raises(UserError, match="out must be contiguous float32"):
            engine.score_tokens(ids, mask, TRUTH, tokenizer, out=wrong)


@pytest.mark.parametrize("dtype", DTYPES[:4], ids=str)
def test_nothing_is_copied(dtype: Any) -> None:
    ids = as_type(np.arange(60).reshape(6, 10), dtype)
    mask = torch.ones(6, 10) if isinstance(dtype, torch.dtype) else np.ones((6, 10))
    address = ids.data_ptr() if isinstance(ids, torch.Tensor) else ids.ctypes.data
    for given, bounds in ((ids, mask), (ids[:, 2:7], mask[:, 2:7]), (ids, [10] * 6), (ids.reshape(-1), [0, 60])):
        batch = read_tokens(given, bounds)
        assert 0 <= batch.ids.ctypes.data - address < 60 * 8


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_do_not_matter(catalogue, attributes, embeddings, tokenizer, rows, expected, threads: int) -> None:
    engine = RewardEngine(catalogue, attributes, embeddings, threads=threads)
    ids, mask = padded(rows * 40)
    result = engine.score_tokens(ids, mask, TRUTH * 40, tokenizer)
    assert [r[m > 0].tolist() for r, m in zip(result.token_rewards, mask, strict=True)] == expected * 40
    assert (np.diff(result.cu_segments).reshape(40, -1) == np.diff(result.cu_segments[: len(rows) + 1])).all()


def test_long_tokens(engine: RewardEngine) -> None:
    """Tokens that do not fit a slot of the table, the buffer's growth included."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    words = ["x" * n for n in (14, 15, 16, 17, 300, 5000)] + ["\n", "\\boxed{Heat}"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={char: i for i, char in enumerate(alphabet)}, merges=[]))
    backend.decoder = decoders.ByteLevel()
    backend.add_tokens([AddedToken(word, normalized=False) for word in words])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    first = len(alphabet)
    ids = np.array([*range(first, first + 6)] * 20 + [first + 6, first + 7], np.int64)
    result = engine.score_tokens(ids, [0, len(ids)], [0], tokenizer)
    assert result.scores.hit.tolist() == [1]
    assert result.segment_lengths.tolist() == [121, 1]


def test_the_first_bad_id_is_named(catalogue, attributes, embeddings, tokenizer) -> None:
    for threads in (1, 2):
        engine = RewardEngine(catalogue, attributes, embeddings, threads=threads)
        ids = np.zeros((100, 4), np.int64)
        ids[40, 2] = id_limit(tokenizer)
        with pytest.raises(
            UserError, match=f"response 40, token 2: id {id_limit(tokenizer)} is outside the tokenizer's 0"
        ):
            engine.score_tokens(ids, [4] * 100, [0] * 100, tokenizer)
        ids[40, 2], ids[7, 1] = 0, -5
        with pytest.raises(UserError, match="response 7, token 1: id -5 is outside"):
            engine.score_tokens(ids, [4] * 100, [0] * 100, tokenizer)


@pytest.mark.parametrize(
    ("ids", "bounds", "message"),
    [
        (np.zeros((2, 3)), [1, 2], "token_ids must be int32 or int64, got float64"),
        (np.zeros((2, 3), int), [4, 1], r"lengths must be in 0..3, got 1..4"),
        (np.zeros((2, 3), int), [-1, 1], r"lengths must be in 0..3, got -1..1"),
        (np.zeros((2, 3), int), [1, 1, 1], r"needs lengths \[B\] or a mask"),
        (np.zeros((2, 3), int), np.ones((2, 4)), r"needs lengths \[B\] or a mask"),
        (np.zeros(3, int), [0, 2], "cu_seqlens must be"),
        (np.zeros(3, int), [0, 2, 1, 3], "cu_seqlens must be"),
        (np.zeros((2, 2, 2), int), [0, 2], "token_ids must be"),
        ([[1], [1, 2]], [1, 2], "rows of different lengths"),
    ],
)
def test_bad_layouts(ids: Any, bounds: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_tokens(ids, bounds)


def test_empty_batches(engine: RewardEngine, tokenizer: PreTrainedTokenizerFast) -> None:
    for ids, bounds in ((np.zeros((0, 5), int), np.zeros(0, int)), (np.zeros(0, int), [0])):
        result = engine.score_tokens(ids, bounds, [], tokenizer)
        assert result.token_rewards.shape == ids.shape and len(result.scores.total) == 0
    assert engine.score_tokens(np.zeros((2, 0), int), [0, 0], [0, 0], tokenizer).scores.ndcg.tolist() == [-0.5, -0.5]
