"""Token ids to text: special tokens left out, spaces as they are."""

from __future__ import annotations

from transformers import ByT5Tokenizer

from rerec_engine.model.text import decode


def test_special_tokens_are_left_out_and_spaces_stay():
    tokenizer = ByT5Tokenizer()
    ids = tokenizer("so : \\boxed{ Amélie } .")["input_ids"]
    assert ids[-1] == tokenizer.eos_token_id
    assert decode(tokenizer, ids) == "so : \\boxed{ Amélie } ."
    assert decode(tokenizer, []) == ""
