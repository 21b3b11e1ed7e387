from __future__ import annotations

import json

import pytest

from rerec_engine.data.description import VOCABULARY
from rerec_engine.prepare.long_prompts import told_long
from rerec_engine.types import Message, Query


def asked(*texts: str) -> list[Query]:
    return [Query(str(i), (Message(role="user", content=text),), (0,)) for i, text in enumerate(texts)]


def test_characters_stand_for_tokens_where_there_is_no_vocabulary() -> None:
    assert told_long(asked("x" * 4 * 768), {}) == told_long([], {}) == ""
    told = told_long(asked("x" * 4 * 768, "x" * 4001), {})
    lead = "\ntrain prompts, a token taken as 4 characters: of 2 counted, 1 (50 %) longer than 768 tokens"
    assert told == f"{lead} (95 % of all have at most 989); --data.max-prompt-tokens 1024 keeps all"


@pytest.mark.parametrize(("count", "told"), [(700, False), (900, True)])
def test_phrases_are_tokens_where_there_is_one(count: int, told: bool) -> None:
    files = {VOCABULARY: json.dumps([" Painted Voyage", " by"])}
    line = told_long(asked(" Painted Voyage" * count), files)
    assert bool(line) is told
    assert not told or "each phrase a token: of 1 counted, 1 (100 %) longer than 768 tokens" in line
