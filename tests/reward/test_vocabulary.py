"""Token bytes against the tokenizer's own decode."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from rerec_engine.reward.vocabulary import byte_alphabet, decode_with_ends, token_bytes, vocabulary


def decoded(tokenizer: PreTrainedTokenizerFast, ids: list[int]) -> str:
    return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def from_table(tokenizer: PreTrainedTokenizerFast, ids: list[int]) -> str:
    table = token_bytes(tokenizer)
    assert table is not None
    return b"".join(table[i] for i in ids).decode("utf-8", "replace")


@pytest.fixture(scope="module")
def fallback() -> PreTrainedTokenizerFast:
    """SentencePiece style: words with a leading mark, and bytes."""
    pieces = ["<unk>", "<s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁Heat", "▁is", "▁", "it", "\n", "日"]
    backend = Tokenizer(
        models.BPE(vocab={p: i for i, p in enumerate(pieces)}, merges=[], unk_token="<unk>", byte_fallback=True)
    )
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    backend.add_special_tokens(["<s>", "<unk>"])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", unk_token="<unk>")


def test_the_alphabet_is_a_bijection() -> None:
    assert sorted(byte_alphabet().values()) == list(range(256))


def test_single_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    table = token_bytes(tokenizer)
    assert table is not None
    assert len(table) == len(tokenizer)
    expected = {" Heat (1995)": " Heat (1995)", "Ġseven": " seven", "<eos>": "", "日本": "日本"}
    assert {token: table[tokenizer.convert_tokens_to_ids(token)].decode() for token in expected} == expected


@given(st.lists(st.integers(0, 263), max_size=20))
def test_any_ids_decode_as_the_tokenizer_decodes_them(tokenizer: PreTrainedTokenizerFast, ids: list[int]) -> None:
    assert from_table(tokenizer, ids) == decoded(tokenizer, ids)


@given(st.text(max_size=40))
def test_any_text_comes_back(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert from_table(tokenizer, ids) == decoded(tokenizer, ids)


def test_the_table_is_kept_and_renewed() -> None:
    backend = Tokenizer(models.BPE(vocab={char: i for i, char in enumerate(byte_alphabet())}, merges=[]))
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    first = vocabulary(tokenizer)
    assert first is vocabulary(tokenizer)
    tokenizer.add_tokens([AddedToken(" new", normalized=False)])
    renewed = vocabulary(tokenizer)
    assert renewed is not None
    assert len(renewed) == 257


def test_other_tokenizers_have_no_table(fallback: PreTrainedTokenizerFast) -> None:
    assert token_bytes(fallback) is None
    assert token_bytes(object()) is None


@given(st.lists(st.integers(0, 263), max_size=12))
def test_prefix_decoding(fallback: PreTrainedTokenizerFast, ids: list[int]) -> None:
    text, ends = decode_with_ends(fallback, ids)
    assert text.decode() == decoded(fallback, ids)
    assert (ends[1:] >= ends[:-1]).all()
    assert len(ids) == 0 or ends[-1] == len(text)
    for count in range(len(ids)):
        # Where a prefix is whole text, its last token ends there.
        prefix = decoded(fallback, ids[: count + 1])
        if text.decode().startswith(prefix) and "\ufffd" not in prefix:
            assert ends[count] == len(prefix.encode())


def test_bytes_of_one_character_are_shared(fallback: PreTrainedTokenizerFast) -> None:
    ids = [fallback.convert_tokens_to_ids(t) for t in ("▁Heat", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>", "it", "<s>")]
    text, ends = decode_with_ends(fallback, ids)
    assert text.decode() == "Heat😀it"
    assert ends.tolist() == [4, 5, 6, 7, 8, 10, 10]


def test_a_real_tokenizer(shared_data: Path) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(shared_data / "reward-workload")
    for text in ("Los olvidados – 日本語 😀\n\n\\boxed{Amélie (2001)}", "\u200b\ufeff é\r\n\t\x00", " " * 9):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert from_table(tokenizer, ids) == decoded(tokenizer, ids) == text
    some = list(range(0, len(tokenizer), 7))
    assert from_table(tokenizer, some) == decoded(tokenizer, some)
