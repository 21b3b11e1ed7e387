"""Prompts that are longer than a run takes: how many, how long, and the setting that keeps them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rerec_engine.errors import file_error
from rerec_engine.types import Query

_STEP = 64  # tokens: what is proposed is a multiple, since an order of the candidates may need a few more


def longer(lengths: Sequence[int], limit: int) -> str:
    """What is left out of prompts with so many tokens, in one line; "" where all are within the limit.

    >>> longer([500, 700, 900, 1200], 768)
    '2 (50 %) longer than 768 tokens (95 % of all have at most 1,155); --data.max-prompt-tokens 1216 keeps all'
    """
    over = sum(length > limit for length in lengths)
    if not over:
        return ""
    share = max(1, round(100 * over / len(lengths)))
    p95 = round(float(np.percentile(lengths, 95)))
    told = f"{over} ({share} %) longer than {limit} tokens (95 % of all have at most {p95:,})"
    return f"{told}; --data.max-prompt-tokens {room_for(lengths)} keeps all"


def fitting(queries: Sequence[Query], encode: Callable[[Any], Sequence[int]], limit: int | None) -> Iterator[Query]:
    """The queries whose prompt has at most so many tokens; None: all. encode: messages to token ids."""
    return (query for query in queries if limit is None or len(encode(query.messages)) <= limit)


def left_out(lengths: Sequence[int], limit: int, path: Path) -> str:
    """`longer` of the prompts of a split's file to train on. Raises UserError where none is left."""
    if not lengths:
        raise file_error(path, "holds no query to train on")
    if min(lengths) > limit:
        span = f"they have {min(lengths):,} to {max(lengths):,} tokens: set it to {room_for(lengths)}"
        raise file_error(
            path, f"no query is left to train on: no prompt is within data.max_prompt_tokens ({limit}), {span}"
        )
    return longer(lengths, limit)


def room_for(lengths: Sequence[int]) -> int:
    """A limit within which all are."""
    return -(-max(lengths) // _STEP) * _STEP
