"""The text of a response as its tokens come."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from rerec_engine import _core
from rerec_engine.model.text import decode
from rerec_engine.model.thinking import Splitter

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


@dataclass(frozen=True)
class Thought:
    """A piece of a block of reasoning, `<think>`."""

    text: str


class TextStream:
    """Token ids in, text out in pieces: whole characters only, and nothing of the answer's box.

    A box in the reasoning comes with the answer's, since until then it might be the answer's itself. What stands in a
    block of reasoning comes as thoughts. opened: whether the prompt opened one. text: of all tokens so far. tokens: how
    many they are.
    """

    def __init__(self, tokenizer: Any, opened: bool = False) -> None:
        self._tokenizer, self._splitter = tokenizer, Splitter(opened)
        self._ids: list[int] = []
        self._read = self._shown = 0
        self._said, self._thought = "", opened
        self.text = ""

    @property
    def tokens(self) -> int:
        return len(self._ids)

    def feed(self, token: int) -> list[str | Thought]:
        """Take one token; returns what has become certain: the thoughts, then a text, which may be empty."""
        self._ids.append(token)
        self.text = decode(self._tokenizer, self._ids)
        return self._show(self.text.rstrip("\ufffd"), more=True)

    def close(self) -> list[str | Thought]:
        """What is left."""
        return self._show(self.text, more=False)

    def _show(self, text: str, more: bool) -> list[str | Thought]:
        thoughts = []
        for inside, part in self._splitter.feed(text[self._read :], last=not more):
            if inside:
                thoughts.append(Thought(part))
                self._thought = True
            elif self._thought and not self._said:
                self._said = part.lstrip()  # blank lines behind a block
            else:
                self._said += part
        self._read = max(self._read, len(text))
        end = _end(self._said, more)
        piece = self._said[self._shown : end]
        self._shown = max(self._shown, end)
        return [*thoughts, piece]
