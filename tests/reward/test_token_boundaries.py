"""Rewards where tokens end in the midst of characters, words and lines, against those of the decoded text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import reward_reference as reference
from hypothesis import given
from hypothesis import strategies as st
from made_tokenizers import TOKENIZERS, decoded, of
from reward_reference import TITLES
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from rerec_engine import _core
from rerec_engine.errors import UserError
from rerec_engine.reward import RewardEngine
from rerec_engine.reward.vocabulary import PADDING, byte_alphabet, decode_with_ends, token_bytes, vocabulary

PARTS = [
    "Heat", "heat", "Seven", "The Thing", "it", "It", "2010", " ", "\n", "\r\n", "\n\n", "\x00", "\u2028", "日本語",
    "映画", "é", "e\u0301", "👨‍👩‍👧", "🏳️‍🌈", "’s", "\ufeff", "\ufffd", "\\boxed{Seven}", "\\boxed{The Thing (1982)}",
    "\\boxed{Amélie}", "\\boxed{2010; Seven}", "\\boxed{", "}",
]  # fmt: skip
BROKEN = [b"\xe6", b"\x97\xa5", b"\xf0\x9f", b"\x80", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"]
raw_texts = st.lists(st.sampled_from([*(part.encode() for part in PARTS), *BROKEN]), max_size=25).map(b"".join)


@pytest.fixture(scope="module")
def pieces() -> PreTrainedTokenizerFast:
    """Byte-level; tokens that hold line breaks, ends of characters and parts of words, beside all single bytes."""
    symbols = {byte: char for char, byte in byte_alphabet().items()}
    texts = [b"Hea", b"t\n", b"\nSe", b"ven\n\n", b"\r\n", b"\xe6\x97", b"\xa5\xe6", b"\x9f\x91\xa8\xe2\x80",
             b"\x8d\xf0", b" The T", b"hing\n\\bo", b"xed{", b"}\n", b"\x00\n"]  # fmt: skip
    names = [*sorted(byte_alphabet()), *("".join(symbols[byte] for byte in text) for text in texts)]
    backend = Tokenizer(models.BPE(vocab={name: i for i, name in enumerate(names)}, merges=[]))
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend)


def split(table: Sequence[bytes], text: bytes, data: st.DataObject) -> list[int]:
    """Some way to write the bytes with the table's tokens."""
    by_bytes = {token: id for id, token in enumerate(table)}
    ids = []
    while text:
        fitting = [by_bytes[text[:size]] for size in range(1, 7) if text[:size] in by_bytes]
        ids.append(data.draw(st.sampled_from(fitting)))
        text = text[len(table[ids[-1]]) :]
    return ids


@pytest.mark.slow
@given(raw_texts, st.data())
def test_tokens_against_the_decoded_text(
    engine: RewardEngine, pieces: PreTrainedTokenizerFast, raw: bytes, data: st.DataObject
) -> None:
    """Scores are those of the decoded text; rewards those of the reference, whatever the split."""
    table = token_bytes(pieces)
    assert table is not None
    ids = split(table, raw, data)
    text = decoded(pieces, ids)
    assert text == raw.decode("utf-8", "replace")
    result = engine.score_tokens(ids, [0, len(ids)], [0], pieces)
    from_text = engine.score([text], [0])
    assert result.scores.items[0].tolist() == from_text.items[0].tolist()
    assert result.scores.total.tolist() == from_text.total.tolist()
    answer = reference.read_answer(raw.decode("utf-8", "surrogateescape"), reference.ReferenceCatalogue(TITLES))
    answer.begin = len(raw.decode("utf-8", "surrogateescape")[: answer.begin].encode("utf-8", "surrogateescape"))
    rewards = reference.token_rewards(
        [table[i] for i in ids], float(result.scores.total[0]), answer, [0], reference.ReferenceCatalogue(TITLES), 0.3
    )
    np.testing.assert_allclose(result.token_rewards, rewards, rtol=1e-6)


@given(st.lists(st.one_of(st.sampled_from(PARTS).map(str.encode), st.sampled_from(BROKEN), st.binary(max_size=4))))
def test_words_of_broken_text(parts: list[bytes]) -> None:
    """Bytes that are no UTF-8 part words as U+FFFD does."""
    raw = b"".join(parts)
    assert _core.words(raw) == _core.words(raw.decode("utf-8", "replace"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama", "gemma"])
@given(data=st.data())
def test_slow_tokens_against_the_decoded_text(engine: RewardEngine, name: str, data: st.DataObject) -> None:
    tokenizer = TOKENIZERS[name]
    box = of(tokenizer, "▁", "\\", "boxed", "{", "Seven", "}")
    parts = st.one_of(st.integers(0, len(tokenizer) - 1).map(lambda id: [id]), st.just(box))
    ids = [id for part in data.draw(st.lists(parts, max_size=25)) for id in part]
    raw, ends = decode_with_ends(tokenizer, ids)
    result = engine.score_tokens(ids, [0, len(ids)], [0], tokenizer)
    from_text = engine.score([decoded(tokenizer, ids)], [0])
    assert result.scores.items[0].tolist() == from_text.items[0].tolist()
    assert result.scores.total.tolist() == from_text.total.tolist()
    catalogue = reference.ReferenceCatalogue(TITLES)
    answer = reference.read_answer(raw.decode(), catalogue)
    answer.begin = len(raw.decode()[: answer.begin].encode())
    tokens = [raw[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
    expected = reference.token_rewards(tokens, float(result.scores.total[0]), answer, [0], catalogue, 0.3)
    np.testing.assert_allclose(result.token_rewards, expected, rtol=1e-6)


def test_ids_past_the_vocabulary(engine: RewardEngine) -> None:
    """Rows that pad a model's embedding are tokens without text, as in decode; further ids are a mistake."""
    tokenizer = TOKENIZERS["byte-level"]
    text = tokenizer("Seven\n\\boxed{Seven}", add_special_tokens=False)["input_ids"]
    padded = [len(tokenizer), *text[:3], len(tokenizer) + PADDING - 1, *text[3:]]
    assert decoded(tokenizer, padded) == decoded(tokenizer, text)
    plain = engine.token_rewards(text, [0, len(text)], [0], tokenizer)
    rewards = engine.token_rewards(padded, [0, len(padded)], [0], tokenizer)
    assert rewards[[*range(1, 4), *range(5, len(padded))]].tolist() == plain.tolist()
    assert rewards[0] == rewards[4] == plain[-1]  # of no line
    assert vocabulary(tokenizer) is not None
    for id in (len(tokenizer) + PADDING, -1):
        with pytest.raises(UserError, match=f"id {id} is outside"):
            engine.token_rewards([id], [0, 1], [0], tokenizer)
