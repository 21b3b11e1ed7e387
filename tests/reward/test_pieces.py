"""Where tokens end in a text, against the tokenizer's own decode: byte-level, SentencePiece, WordPiece and others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import reward_reference as reference
from hypothesis import given
from hypothesis import strategies as st
from reward_reference import TITLES
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

from rerec_engine import _core
from rerec_engine.errors import UserError
from rerec_engine.reward import RewardEngine
from rerec_engine.reward.pieces import Pieces, window_ends
from rerec_engine.reward.vocabulary import PADDING, byte_alphabet, decode_with_ends, token_bytes, vocabulary

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
WORDS = ["Heat", "is", "it", "Seven", "The", "Thing", "boxed", "日", "映画", "é", "👨", "\u200d", "ok", "X"]
MARKS = ["\n", "\r", "\r\n", "\x00", "\\", "{", "}", ";", ".", "(", "1995", ")", "'", "\ufffd"]


def with_specials(backend: Tokenizer) -> PreTrainedTokenizerFast:
    backend.add_special_tokens(["<s>", "</s>"])
    backend.add_tokens([AddedToken("added one", normalized=False), AddedToken("\nnew", normalized=False)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")


def byte_fallback(decoder: Any) -> PreTrainedTokenizerFast:
    pieces = ["<unk>", *BYTES, "▁", "▁▁", *("▁" + word for word in WORDS), *WORDS, *MARKS]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    backend = Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token="<unk>", byte_fallback=True))
    backend.decoder = decoder
    return with_specials(backend)


def llama() -> PreTrainedTokenizerFast:
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    return byte_fallback(decoders.Sequence(steps))


def gemma() -> PreTrainedTokenizerFast:
    return byte_fallback(decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]))


def t5() -> PreTrainedTokenizerFast:
    pieces = ["<unk>", "▁", "▁The▁Thing", *("▁" + word for word in WORDS), *WORDS, *MARKS]
    backend = Tokenizer(models.Unigram([(piece, -1.0) for piece in pieces], unk_id=0, byte_fallback=False))
    backend.decoder = decoders.Metaspace()
    return with_specials(backend)


def bert() -> PreTrainedTokenizerFast:
    pieces = ["[UNK]", *WORDS, *MARKS, *("##" + word for word in WORDS)]
    backend = Tokenizer(models.WordPiece(vocab={p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    backend.decoder = decoders.WordPiece()
    return with_specials(backend)


def gpt1() -> PreTrainedTokenizerFast:
    """The end of a word is marked, and the last one's mark is dropped."""
    pieces = ["<unk>", *WORDS, *MARKS, *(word + "</w>" for word in WORDS)]
    backend = Tokenizer(models.BPE(vocab={p: i for i, p in enumerate(pieces)}, merges=[], unk_token="<unk>"))
    backend.decoder = decoders.BPEDecoder("</w>")
    return with_specials(backend)


def words_only() -> PreTrainedTokenizerFast:
    """No decoder: tokens are joined by spaces."""
    vocab = {word: i for i, word in enumerate(["<unk>", *WORDS, *MARKS])}
    return with_specials(Tokenizer(models.WordLevel(vocab=vocab, unk_token="<unk>")))


def byte_level() -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(sorted(byte_alphabet()))}, merges=[]))
    backend.decoder = decoders.ByteLevel()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return with_specials(backend)


MAKERS: dict[str, Callable[[], Any]] = {
    "llama": llama, "gemma": gemma, "t5": t5, "bert": bert, "gpt1": gpt1, "words": words_only,
    "byte-level": byte_level, "byt5": ByT5Tokenizer,
}  # fmt: skip
TOKENIZERS = {name: make() for name, make in MAKERS.items()}


def decoded(tokenizer: Any, ids: Sequence[int]) -> str:
    return tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)


def of(tokenizer: Any, *tokens: str) -> list[int]:
    ids = tokenizer.convert_tokens_to_ids(list(tokens))
    assert tokenizer.convert_ids_to_tokens(ids) == list(tokens)
    return ids


def prefix_ends(tokenizer: Any, ids: Sequence[int]) -> list[int | None]:
    """Where each prefix of the ids ends in the whole text; None where its text is not the beginning of the whole."""
    text = decoded(tokenizer, ids)
    prefixes = [decoded(tokenizer, ids[: i + 1]) for i in range(len(ids))]
    return [len(p.encode()) if text.startswith(p) and not p.endswith("\ufffd") else None for p in prefixes]


@pytest.mark.slow
@pytest.mark.parametrize("name", TOKENIZERS)
@given(data=st.data())
def test_the_text_is_the_decoded_one_and_the_ends_ascend(name: str, data: st.DataObject) -> None:
    tokenizer = TOKENIZERS[name]
    ids = data.draw(st.lists(st.integers(0, len(tokenizer) - 1 - 125 * (name == "byt5")), max_size=40))
    text, ends = decode_with_ends(tokenizer, ids)
    assert text.decode() == decoded(tokenizer, ids)
    assert ends.shape == (len(ids),)
    assert (np.diff(ends, prepend=0) >= 0).all()
    assert len(ids) == 0 or ends[-1] == len(text)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama", "gemma", "t5", "bert", "words", "gpt1"])
@given(data=st.data())
def test_a_token_ends_where_the_text_of_its_prefix_ends(name: str, data: st.DataObject) -> None:
    """Without byte tokens, whose prefixes are no text."""
    tokenizer = TOKENIZERS[name]
    first = 257 if name in ("llama", "gemma") else 0
    ids = data.draw(st.lists(st.integers(first, len(tokenizer) - 1), min_size=1, max_size=30))
    _, ends = decode_with_ends(tokenizer, ids)
    expected = prefix_ends(tokenizer, ids)
    assert [end for end, known in zip(ends.tolist(), expected, strict=True) if known is not None] == [
        known for known in expected if known is not None
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama", "gemma", "t5", "bert"])
@given(data=st.data())
def test_the_window_finds_the_ends_of_the_pieces(name: str, data: st.DataObject) -> None:
    tokenizer = TOKENIZERS[name]
    first = 257 if name in ("llama", "gemma") else 0
    start = of(tokenizer, "X")
    ids = start + data.draw(st.lists(st.integers(first, len(tokenizer) - 1), max_size=30))
    text = decoded(tokenizer, ids)
    ends = Pieces().ends(tokenizer, ids, text.encode())
    assert ends is not None
    np.testing.assert_array_equal(window_ends(tokenizer, ids, text), ends)


def test_bytes_have_their_byte_and_special_tokens_none() -> None:
    tokenizer = TOKENIZERS["llama"]
    smile = [f"<0x{byte:02X}>" for byte in "😀".encode()]
    ids = of(tokenizer, "▁Heat", smile[0], "<s>", *smile[1:], "it", "</s>", "▁is", "added one")
    text, ends = decode_with_ends(tokenizer, ids)
    assert text.decode() == "Heat😀it isadded one" == decoded(tokenizer, ids)
    assert ends.tolist() == [4, 5, 5, 6, 7, 8, 10, 10, 13, 22]


def test_bytes_that_are_no_text() -> None:
    """The whole run is replaced, a line break in it too, as decode does."""
    tokenizer = TOKENIZERS["gemma"]
    ids = of(tokenizer, "it", "<0x0A>", "<0xF0>", "<0x41>", "is", "<0x0A>", "<0x41>")
    text, ends = decode_with_ends(tokenizer, ids)
    assert text.decode() == "it\ufffd\ufffd\ufffdis\nA" == decoded(tokenizer, ids)
    assert ends.tolist() == [2, 5, 8, 11, 13, 14, 15]


def test_runs_of_bytes_are_pieces() -> None:
    """Special tokens do not end them, as in decode. No window is needed."""
    tokenizer = TOKENIZERS["gemma"]
    ids = of(tokenizer, "it", "<0x0A>", "<s>", "<0xF0>", "is", "<0xC3>", "<s>", "<0xA9>", "<0xFF>", "<s>")
    text = decoded(tokenizer, ids)
    assert text == "it\ufffd\ufffdis\ufffd\ufffd\ufffd"
    ends = Pieces().ends(tokenizer, ids, text.encode())
    assert ends is not None
    assert ends.tolist() == [2, 5, 5, 8, 10, 13, 13, 16, 19, 19]


def test_what_the_tokenizer_takes_from_the_beginning() -> None:
    llama, t5 = TOKENIZERS["llama"], TOKENIZERS["t5"]
    for tokenizer in (llama, t5):
        text, ends = decode_with_ends(tokenizer, of(tokenizer, "<s>", "▁", "▁Heat", "is"))
        assert (text.decode(), ends.tolist()) == (" Heatis", [0, 0, 5, 7])
    text, ends = decode_with_ends(t5, of(t5, "▁The▁Thing", "▁The▁Thing"))
    assert (text.decode(), ends.tolist()) == ("TheThing The Thing", [8, 18])
    text, ends = decode_with_ends(llama, of(llama, "<0x20>", "<0x20>", "it"))
    assert (text.decode(), ends.tolist()) == (" it", [0, 1, 3])


def test_word_pieces() -> None:
    tokenizer = TOKENIZERS["bert"]
    text, ends = decode_with_ends(tokenizer, of(tokenizer, "Heat", "##ok", "is", ".", "##it", "<s>"))
    assert (text.decode(), ends.tolist()) == ("Heatok is.it", [4, 6, 9, 10, 12, 12])
    text, ends = decode_with_ends(tokenizer, of(tokenizer, "##Heat", "is"))
    assert (text.decode(), ends.tolist()) == ("##Heat is", [6, 9])


def test_ends_of_words_are_marked() -> None:
    tokenizer = TOKENIZERS["gpt1"]
    text, ends = decode_with_ends(tokenizer, of(tokenizer, "Heat", "ok</w>", "is</w>", "it", "X</w>"))
    assert (text.decode(), ends.tolist()) == ("Heatok is itX", [4, 6, 9, 12, 13])


def test_a_tokenizer_written_in_python() -> None:
    tokenizer = TOKENIZERS["byt5"]
    ids = tokenizer("hé日\n😀 <extra_id_0>", add_special_tokens=False)["input_ids"]
    text, ends = decode_with_ends(tokenizer, [*ids, 1])
    assert text.decode() == decoded(tokenizer, ids)
    assert ends[[0, 2, 5, 6, 10]].tolist() == [1, 3, 6, 7, 11]
    with pytest.raises(UserError, match="the tokenizer cannot decode them"):
        decode_with_ends(tokenizer, [5000])


def test_a_model_changed_in_place() -> None:
    """Pieces learnt from the old one do not make the text of the new one."""
    tokenizer = llama()
    ids = of(tokenizer, "▁Heat", "is", "it")
    assert decode_with_ends(tokenizer, ids)[0] == b"Heatisit"
    vocab = tokenizer.backend_tokenizer.get_vocab(with_added_tokens=False)
    vocab["is"], vocab["Seven"] = vocab["Seven"], vocab["is"]
    tokenizer.backend_tokenizer.model = models.BPE(vocab=vocab, merges=[], unk_token="<unk>", byte_fallback=True)
    text, ends = decode_with_ends(tokenizer, ids)
    assert (text, ends.tolist()) == (b"HeatSevenit", [4, 9, 11])


class Counting:
    """Counts the tokens that are decoded."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.backend_tokenizer = getattr(inner, "backend_tokenizer", None)
        self.all_special_ids = inner.all_special_ids
        self.decoded = 0

    def __len__(self) -> int:
        return len(self.inner)

    def convert_ids_to_tokens(self, id: int) -> str:
        return self.inner.convert_ids_to_tokens(id)

    def decode(self, ids: list[int], **settings: Any) -> str:
        self.decoded += len(ids)
        return self.inner.decode(ids, **settings)


LONG = {
    "text": ["▁Heat", "▁is", "it", "\n", "日"],
    "one valid run": ["<0xE6>", "<0x97>", "<0xA5>"],
    "letters and a broken byte": ["<0x41>"],
    "broken bytes": ["<0xF0>"],
    "spaces": ["▁"],
    "special": ["<s>"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("backend", [True, False], ids=["pieces", "window"])
def test_work_grows_with_the_length(name: str, backend: bool) -> None:
    """Decoded tokens for each token of a response, in the first call, which learns the pieces, too."""
    tokenizer = TOKENIZERS["gemma"]
    unit = of(tokenizer, *LONG[name])
    tail = of(tokenizer, "<0xF0>") if "broken" in name else []
    for length in (1_000, 16_000):
        counting = Counting(tokenizer)
        if not backend:
            counting.backend_tokenizer = None
        ids = (unit * length)[:length] + tail
        text, ends = decode_with_ends(counting, ids)
        assert text.decode() == decoded(tokenizer, ids)
        assert ends[-1] == len(text)
        assert counting.decoded < 20 * length


# Through the engine.

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
