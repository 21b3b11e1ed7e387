"""Token ids to text: special tokens left out but for the marks of reasoning, spaces as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from chat_templates import tokenizer_with
from tokenizers import AddedToken, Tokenizer, decoders, models
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

from rerec_engine.model.text import decode, special_marks

MARKS = ["<think>", "</think>"]


def byte_level() -> Any:
    return tokenizer_with(None)


def spaces_at_words() -> Any:
    """As Llama 2's and T5's: the first word's space is taken off."""
    pieces = ["<unk>", *("▁" + word for word in ("so", "Heat")), "so", "Heat"]
    backend = Tokenizer(models.Unigram([(piece, -1.0) for piece in pieces], unk_id=0, byte_fallback=False))
    backend.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=backend)


def by_the_backend(tokenizer: Any) -> None:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:  # one written in Python
        tokenizer.add_tokens(MARKS, special_tokens=True)
    else:
        backend.add_special_tokens(MARKS)


def by_name(tokenizer: Any) -> None:
    tokenizer.add_special_tokens({"additional_special_tokens": MARKS})


def as_the_end(tokenizer: Any) -> None:
    tokenizer.add_special_tokens({"eos_token": "</think>", "bos_token": "<think>"})


def as_plain(tokenizer: Any) -> None:
    tokenizer.add_tokens([AddedToken(mark, special=False) for mark in MARKS])


def ids_of(tokenizer: Any, *tokens: str) -> list[int]:
    ids: list[int] = tokenizer.convert_tokens_to_ids(list(tokens))
    assert tokenizer.convert_ids_to_tokens(ids) == list(tokens)
    return ids


def test_special_tokens_are_left_out_and_spaces_stay() -> None:
    tokenizer = ByT5Tokenizer()
    ids = tokenizer("so : \\boxed{ Amélie } .")["input_ids"]
    assert ids[-1] == tokenizer.eos_token_id
    assert decode(tokenizer, ids) == "so : \\boxed{ Amélie } ."
    assert decode(tokenizer, []) == ""


@pytest.mark.parametrize(
    ("make", "words", "text", "alone"),
    [
        (byte_level, ["s", "o", "Ġ", "i"], "<think>s</think>o i", "so i"),
        (spaces_at_words, ["▁so", "▁Heat", "▁so", "Heat"], "<think> so</think> Heat soHeat", "so Heat soHeat"),
        (ByT5Tokenizer, ["s", "o", " ", "i"], "<think>s</think>o i", "so i"),
    ],
)
@pytest.mark.parametrize("add", [by_the_backend, by_name, as_the_end, as_plain])
def test_the_marks_of_reasoning_stay_and_other_special_tokens_do_not(
    make: Callable[[], Any], add: Callable[[Any], None], words: list[str], text: str, alone: str
) -> None:
    tokenizer = make()
    add(tokenizer)
    tokenizer.add_special_tokens({"pad_token": "<|x|>"})
    first, *rest = words
    ids = ids_of(tokenizer, "<|x|>", "<think>", first, "</think>", *rest, "<|x|>")
    assert decode(tokenizer, ids) == text
    assert decode(tokenizer, ids_of(tokenizer, "<|x|>", *words)) == alone
    assert special_marks(tokenizer) == (set() if add is as_plain else set(ids_of(tokenizer, *MARKS)))


def test_a_tokenizer_without_the_marks_has_none() -> None:
    assert special_marks(byte_level()) == special_marks(ByT5Tokenizer()) == set()
