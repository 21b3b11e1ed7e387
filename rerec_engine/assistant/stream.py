"""The text of a response as its tokens come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rerec_engine.model.text import decode

_BOX = "\\boxed"


def before_box(response: str) -> str:
    """The reasoning: what stands before the answer's box."""
    return response.partition(_BOX)[0].strip()


class TextStream:
    """Token ids in, text out in pieces: whole characters only, and nothing of the answer's box."""

    def __init__(self, tokenizer: Any, write: Callable[[str], None]) -> None:
        self._tokenizer, self._write = tokenizer, write
        self._ids: list[int] = []
        self._text = ""
        self._shown = 0

    def feed(self, token: int) -> None:
        """Take one token and write what has become certain."""
        self._ids.append(token)
        self._text = decode(self._tokenizer, self._ids)
        self._show(len(self._text.rstrip("\ufffd")))

    def close(self) -> str:
        """Write what is left of the reasoning; returns the whole response."""
        self._show(len(self._text), last=True)
        return self._text

    def _show(self, end: int, last: bool = False) -> None:
        box = self._text.find(_BOX)
        if box >= 0:
            end = min(end, box)
        elif not last:
            held = next((n for n in range(len(_BOX) - 1, 0, -1) if self._text[:end].endswith(_BOX[:n])), 0)
            end -= held
        if end > self._shown:
            self._write(self._text[self._shown : end])
            self._shown = end
