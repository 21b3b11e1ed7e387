"""Blocks of reasoning, `<think>...</think>`, kept apart from what a response answers.

The chat template may have opened the first block, so that the response begins in it. A block that is never closed runs
to the response's end. `csrc/reward/thinking.cpp` does the same.
"""

from __future__ import annotations

from collections.abc import Iterator

OPEN, CLOSE = "<think>", "</think>"


def blocks(text: str, opened: bool = False) -> Iterator[tuple[bool, str]]:
    """A response in parts, without the marks: (whether it is reasoning, text) each; blank ones too.

    opened: whether the prompt opened the first block. A mark that closes what was not opened tells that it was.

    >>> list(blocks("<think>a</think>b"))
    [(False, ''), (True, 'a'), (False, 'b')]
    >>> list(blocks("a</think>b"))
    [(True, 'a'), (False, 'b')]
    """
    return ((inside, text[begin:end]) for inside, begin, end in spans(text, opened))


def spans(text: str, opened: bool = False) -> Iterator[tuple[bool, int, int]]:
    """As `blocks`, by where the parts begin and end."""
    begin, inside = 0, opened
    while True:
        close, opening = text.find(CLOSE, begin), -1 if inside else text.find(OPEN, begin)
        if close >= 0 and not 0 <= opening < close:
            yield True, begin, close
            begin, inside = close + len(CLOSE), False
        elif opening >= 0:
            yield False, begin, opening
            begin, inside = opening + len(OPEN), True
        else:
            yield inside, begin, len(text)
            return


def thoughts(text: str, opened: bool = False) -> str:
    """The reasoning of the blocks."""
    return "\n\n".join(part.strip() for inside, part in blocks(text, opened) if inside and part.strip())


def answer(text: str, opened: bool = False) -> str:
    """What is said outside of them."""
    return "".join(part for inside, part in blocks(text, opened) if not inside)


class Splitter:
    """Text in as it comes, out in parts as `blocks` has them, as soon as they are certain.

    Without `opened`, a block whose opening mark is missing is not known to be one until it has been closed.
    """

    def __init__(self, opened: bool = False) -> None:
        self._inside, self._held = opened, ""

    def feed(self, piece: str, last: bool = False) -> Iterator[tuple[bool, str]]:
        """What has become certain with this piece. last: no more will come."""
        self._held += piece
        while True:
            mark = CLOSE if self._inside else OPEN
            end = self._held.find(mark)
            if end < 0:
                break
            if end:
                yield self._inside, self._held[:end]
            self._held, self._inside = self._held[end + len(mark) :], not self._inside
        kept = 0 if last else next((n for n in range(len(mark) - 1, 0, -1) if self._held.endswith(mark[:n])), 0)
        sure = len(self._held) - kept
        if sure:
            yield self._inside, self._held[:sure]
        self._held = self._held[sure:]
