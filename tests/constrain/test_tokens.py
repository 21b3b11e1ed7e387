"""Bytes of tokens, against what tokenizers decode."""

from __future__ import annotations

import random

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from rerec_engine import _core
from rerec_engine.constrain.titles import AnswerTitles
from rerec_engine.constrain.tokens import token_table
from rerec_engine.errors import UserError
from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.model.small_model import corpus_tokenizer

TITLES = ["Amélie (2001)", "Heat (1995)", "東京物語 (1953)", "Se7en"]


def sentence_piece(fallback: bool) -> PreTrainedTokenizerFast:
    """As Llama 2 and Mistral have them: a mark for spaces, single bytes for what is no token."""
    pieces = ["<unk>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256) if fallback)]
    pieces += [
        "▁",
        "▁He",
        "at",
        "▁(",
        "199",
        "5",
        ")",
        "Am",
        "é",
        "lie",
        "\\",
        "boxed",
        "{",
        "}",
        "▁box",
        "\n",
        "2",
        "0",
    ]
    pieces += list("HAe1abcdefghijklmnopqrstuvwxyz(Sé79")
    vocabulary = [(piece, -float(i)) for i, piece in enumerate(dict.fromkeys(pieces))]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=0, byte_fallback=fallback))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    last = [decoders.ByteFallback(), decoders.Fuse()] if fallback else [decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), *last, decoders.Strip(" ", 1, 0)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", unk_token="<unk>")


@pytest.mark.parametrize("make", [lambda: corpus_tokenizer(TITLES, 300), lambda: sentence_piece(True)])
def test_an_answer_in_any_tokens_is_a_title_to_the_letter(make):
    """Drawn at random from what may follow: its decoded text holds titles alone."""
    tokenizer = make()
    titles = AnswerTitles(Catalogue(TITLES), tokenizer)
    assert titles.unsaid == 0
    rng = random.Random(0)
    for _ in range(30):
        rows = titles.rows()
        rows.join([()], 1)
        ids = tokenizer.encode("the \\boxed{", add_special_tokens=False)
        for token in ids:
            rows.core.advance(np.array([token]), np.array([0]))
        while rows.core.inside(0) and len(ids) < 200:
            some = rows.core.allowed()[3].tolist()
            ids.append(rng.choice(some))
            rows.core.advance(np.array([ids[-1]]), np.array([0]))
        text = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        content = text.partition("\\boxed{")[2].partition("}")[0]
        named = [line.strip(" ") for line in content.split("\n") if line.strip(" ")]
        assert [TITLES.index(title) for title in named] == rows.core.answer(0)


def test_without_single_bytes_titles_that_cannot_be_spelled_are_left_out():
    titles = AnswerTitles(Catalogue(TITLES), sentence_piece(False))
    assert titles.unsaid == 1, "the title in Japanese"


def test_tokens_without_bytes_of_their_own_are_refused():
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "heat": 1, "##s": 2, "[SEP]": 3}, unk_token="[UNK]"))
    tokenizer.decoder = decoders.WordPiece()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="[SEP]", unk_token="[UNK]")
    with pytest.raises(UserError, match="there: its tokens"):
        AnswerTitles(Catalogue(TITLES), wrapped, source="there")


def test_the_tree_holds_every_token_with_bytes():
    tokenizer = corpus_tokenizer(TITLES * 3, 320)
    tree = _core.TokenTree(*token_table(tokenizer))
    assert len(tree) == len(tokenizer)
    texts = {tokenizer.decode([i]).encode("utf-8", "replace") for i in range(len(tokenizer))}
    assert tree.nodes >= len(texts)
