"""Where tokens end in a text, against the tokenizer's own decode, for tokenizers that are not byte-level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_tokenizers import MAKERS, TOKENIZERS, Counting, decoded, llama, of
from tokenizers import models

from rerec_engine.errors import UserError
from rerec_engine.model.text import decode
from rerec_engine.reward.pieces import Pieces, window_ends
from rerec_engine.reward.vocabulary import decode_with_ends


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


def test_pieces_that_do_not_join_to_the_text_are_not_trusted() -> None:
    tokenizer = TOKENIZERS["bert"]
    ids = of(tokenizer, "Heat", "##ok")
    assert Pieces().ends(tokenizer, ids, b"Heat ok") is None
    assert Pieces().ends(TOKENIZERS["byt5"], [10], b"\x07") is None  # nothing to learn them from
    assert Pieces().ends(tokenizer, ids, b"Heatok").tolist() == [4, 6]
    assert Pieces().ends(tokenizer, [], b"").tolist() == []


def test_pieces_are_learnt_once() -> None:
    counting = Counting(TOKENIZERS["llama"])
    ids, pieces = of(counting.inner, "▁Heat", "is", "is"), Pieces()
    ends = [pieces.ends(counting, ids, b"Heatisis").tolist()]
    learnt = counting.decoded
    ends.append(pieces.ends(counting, ids, b"Heatisis").tolist())
    assert ends == [[4, 6, 8]] * 2
    assert counting.decoded == learnt


def test_tokens_that_agree_only_together_share_their_bytes() -> None:
    tokenizer = TOKENIZERS["gemma"]
    ids = of(tokenizer, "it", "<0xE6>", "<s>", "<0x97>", "<0xA5>", "is")
    assert window_ends(tokenizer, ids, "it日is").tolist() == [2, 3, 3, 4, 5, 7]
    assert window_ends(tokenizer, of(tokenizer, "it", "is"), "it was").tolist() == [2, 6]  # the last takes the rest
    assert window_ends(tokenizer, of(tokenizer, "<s>"), "").tolist() == [0]
    assert window_ends(tokenizer, [], "").tolist() == []


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


@pytest.mark.parametrize("name", TOKENIZERS)
def test_marks_of_reasoning_are_text_though_they_are_special_tokens(name: str) -> None:
    tokenizer = MAKERS[name]()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<think>", "</think>"], "pad_token": "<|x|>"})
    word, other = ("i", "t") if name in ("byte-level", "byt5") else ("it", "is")
    ids = of(tokenizer, "<|x|>", "<think>", word, "</think>", other, "<|x|>")
    text, ends = decode_with_ends(tokenizer, ids)
    space = " " * (name in ("words", "bert"))
    parts = ["", "<think>", space + word, space + "</think>", space + other, ""]
    assert text.decode() == "".join(parts) == decode(tokenizer, ids)
    assert ends.tolist() == np.cumsum([len(part) for part in parts]).tolist()
    if name not in ("bert", "gpt1"):  # their windows begin with what the text does not have
        assert window_ends(tokenizer, ids, text.decode()).tolist() == ends.tolist()
