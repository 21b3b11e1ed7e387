"""The text of a response as its tokens come."""

from __future__ import annotations

from typing import Any

from rerec_engine.model.text import decode

_BOX = "\\boxed"


def before_box(response: str) -> str:
    """The reasoning: what stands before the answer's box."""
    return response.partition(_BOX)[0].strip()


class TextStream:
    """Token ids in, text out in pieces: whole characters only, and nothing of the answer's box.

    text: of all tokens so far. tokens: how many they are.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._shown = 0
        self.text = ""

    @property
    def tokens(self) -> int:
        return len(self._ids)

    def feed(self, token: int) -> str:
        """Take one token; returns what has become certain."""
        self._ids.append(token)
        self.text = decode(self._tokenizer, self._ids)
        return self._show(len(self.text.rstrip("\ufffd")))

    def close(self) -> str:
        """What is left of the reasoning."""
        return self._show(len(self.text), last=True)

    def _show(self, end: int, last: bool = False) -> str:
        box = self.text.find(_BOX)
        if box >= 0:
            end = min(end, box)
        elif not last:
            held = next((n for n in range(len(_BOX) - 1, 0, -1) if self.text[:end].endswith(_BOX[:n])), 0)
            end -= held
        piece = self.text[self._shown : end]
        self._shown = max(self._shown, end)
        return piece
