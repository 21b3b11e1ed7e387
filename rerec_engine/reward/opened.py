"""Whether a prompt opens a block of reasoning that the response goes on with, of what another stack hands over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rerec_engine.model.thinking import OPEN

TAIL = 16
"""Tokens at a prompt's end that are looked at."""


def ends_opened(prompt: str) -> bool:
    """Whether the text of a prompt ends with `<think>`; blank lines may follow."""
    return prompt.rstrip().endswith(OPEN)


def ids_end_opened(prompt_ids: Sequence[int], tokenizer: Any) -> bool:
    """`ends_opened` of a prompt's token ids."""
    return ends_opened(tokenizer.decode(list(prompt_ids[-TAIL:]), skip_special_tokens=False))
