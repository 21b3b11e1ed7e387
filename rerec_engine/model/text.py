"""Token ids to text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rerec_engine.model.thinking import CLOSE, OPEN


def decode(tokenizer: Any, token_ids: Sequence[int]) -> str:
    """The text of a response: special tokens left out, but for the marks of reasoning; spaces as they are."""
    ids = list(token_ids)
    marks = special_marks(tokenizer)
    marked = not marks.isdisjoint(ids)
    if marked:
        skipped = _special(tokenizer, set(ids)) - marks
        ids = [id for id in ids if id not in skipped]
    text: str = tokenizer.decode(ids, skip_special_tokens=not marked, clean_up_tokenization_spaces=False)
    return text


def special_marks(tokenizer: Any) -> set[int]:
    """Ids of `<think>` and `</think>` where they are special tokens, which the tokenizer's own decode may leave out."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        found = {backend.token_to_id(mark) for mark in (OPEN, CLOSE)}
        return _special(tokenizer, found - {None})
    special = getattr(tokenizer, "all_special_ids", ())
    return {id for id in special if tokenizer.convert_ids_to_tokens(id) in (OPEN, CLOSE)}


def _special(tokenizer: Any, ids: Iterable[int]) -> set[int]:
    """Those of the ids that `skip_special_tokens` skips."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return set(tokenizer.all_special_ids).intersection(ids)
    return {
        id
        for id in ids
        if not backend.decode([id], skip_special_tokens=True) and backend.decode([id], skip_special_tokens=False)
    }
