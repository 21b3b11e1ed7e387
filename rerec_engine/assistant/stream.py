"""The text of a response as its tokens come."""

from __future__ import annotations

import re
from typing import Any

from rerec_engine import _core
from rerec_engine.model.text import decode

_BOX = re.compile(r"\\boxed\s*\{", re.ASCII)
_BEGUN = re.compile(r"\\(?:b(?:o(?:x(?:e(?:d\s*)?)?)?)?)?\Z", re.ASCII)
"""What may become a box with the next token."""


def before_box(response: str) -> str:
    """The reasoning: what stands before the answer's box, the last one that is closed; boxes may stand in it too."""
    return response[: _end(response)].strip()


def _end(text: str, more: bool = False) -> int:
    """Where the reasoning of a text ends. more: text may follow, so that what may yet be the answer's is left out."""
    first = _BOX.search(text)
    if first is None:
        begun = _BEGUN.search(text) if more else None
        return begun.start() if begun else len(text)
    found = _core.reasoning_end(text)
    if found is None:
        return first.start()
    outer, open_too = found
    return len(text.encode("utf-8", "surrogatepass")[: open_too if more else outer].decode("utf-8", "surrogatepass"))


class TextStream:
    """Token ids in, text out in pieces: whole characters only, and nothing of the answer's box.

    A box in the reasoning comes with the answer's, since until then it might be the answer's itself. text: of all
    tokens so far. tokens: how many they are.
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
        whole = self.text.rstrip("\ufffd")
        return self._show(_end(whole, more=True))

    def close(self) -> str:
        """What is left of the reasoning."""
        return self._show(_end(self.text))

    def _show(self, end: int) -> str:
        piece = self.text[self._shown : end]
        self._shown = max(self._shown, end)
        return piece
