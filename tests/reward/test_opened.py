"""Prompts that end within a block of reasoning, by their text and by their ids."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from rerec_engine.reward.opened import ends_opened, ids_end_opened


@pytest.mark.parametrize(
    ("prompt", "opened"),
    [
        ("", False),
        ("A film?<think>", True),
        ("A film?\n<|assistant|>\n<think>\n\n", True),
        ("A film?<think>\n\n</think>\n\n", False),
        ("Think in <think> first.\n<|assistant|>", False),
        ("A film?</think>", False),
        ("think>", False),
    ],
)
def test_a_prompt_that_ends_opened(tokenizer: Any, prompt: str, opened: bool) -> None:
    assert ends_opened(prompt) is opened
    assert ids_end_opened(tokenizer(prompt, add_special_tokens=False)["input_ids"], tokenizer) is opened


def test_the_mark_may_be_a_special_token_behind_padding(tokenizer: Any) -> None:
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<think>", "</think>"]})
    pad = tokenizer.pad_token_id
    for text, opened in (("A film?\n<think>\n", True), ("<think></think>", False)):
        ids = [pad] * 9 + tokenizer(text, add_special_tokens=False)["input_ids"]
        assert ids_end_opened(ids, tokenizer) is opened
