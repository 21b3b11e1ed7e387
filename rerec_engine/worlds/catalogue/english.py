"""Pieces of English: lists, numbers, and a text out of pieces that are one token each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from rerec_engine.data.facts import figure

ONES = "zero one two three four five six seven eight nine ten eleven twelve".split()
DECADES = {
    1920 + 10 * i: word
    for i, word in enumerate("twenties thirties forties fifties sixties seventies eighties nineties".split())
}
_PIECE = re.compile(r"\{\w+\}|[^\s{}.,;:?!]+(?:[.,:][^\s{}.,;:?!]+)*|[.,;:?!]")
_GLUED = frozenset(".,;:?!")


class Atom(str):
    """A piece that is not the grammar's own: a title, a value, a number."""

    __slots__ = ()


@lru_cache(4096)
def pieces_of(text: str) -> tuple[str, ...]:
    """Words and marks of a text, and slots such as {np}."""
    return tuple(_PIECE.findall(text))


def filled(template: str, **slots: Sequence[str]) -> list[str]:
    """A template's pieces, with those of its slots in their places."""
    return [piece for own in pieces_of(template) for piece in (slots[own[1:-1]] if own[0] == "{" else (own,))]


def listed(parts: Sequence[Sequence[str]], word: str = "and") -> list[str]:
    """
    >>> " ".join(listed([["A"], ["B"], ["C"]], "or"))
    'A , B or C'
    """
    found: list[str] = []
    for place, part in enumerate(parts):
        found += [] if not place else [word] if place == len(parts) - 1 else [","]
        found += part
    return found


def sentences(pieces: Iterable[str]) -> list[str]:
    """The same with capitals where sentences begin."""
    found: list[str] = []
    for piece in pieces:
        start = not found or found[-1] in (".", "?", "!")
        name = isinstance(piece, Atom) and piece not in ONES
        found.append(piece if name or not start else piece[0].upper() + piece[1:])
    return found


def joined(pieces: Sequence[str], spaced: bool = False) -> str:
    """The text. spaced: marks stand alone, too, so that every piece is a token with a space before it."""
    if spaced:
        return " ".join(pieces)
    text = ""
    for piece in pieces:
        if piece != "." or not text.endswith((".", "!", "?")):  # a title may end in a mark of its own
            text += piece if not text or piece in _GLUED else f" {piece}"
    return text


def in_words(number: float) -> str:
    """
    >>> in_words(4), in_words(30), in_words(24.95)
    ('four', '30', '24.95')
    """
    return ONES[int(number)] if number in range(len(ONES)) else figure(float(number))
