"""Token ends in a text that the tokenizer has decoded as a whole, for tokenizers that are not byte-level."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rerec_engine.model.text import decode, special_marks

REPLACEMENT = "\ufffd".encode()


class Pieces:
    """What each token of one tokenizer adds to a text, learnt by decoding it after an ordinary token, the anchor.

    Pieces are trusted only where they join to the whole text, but for what the tokenizer takes from its beginning (a
    space). Tokens such as "<0xF0>" of a tokenizer with byte fallback are bytes: a run of them is their text, or, if it
    is no UTF-8, one U+FFFD each.
    """

    def __init__(self) -> None:
        self._anchor: list[int] | None = None  # one id; none: no token will do
        self._before = ""
        self._byte_fallback = False
        self._of: dict[int, bytes] = {}
        self._byte: dict[int, int] = {}

    def ends(self, tokenizer: Any, ids: list[int], text: bytes) -> NDArray[np.int64] | None:
        """Byte at which each token ends, [len(ids)]; None: the pieces do not join to `text`."""
        missing = set(ids).difference(self._of)
        if missing and not self._learn(tokenizer, missing):
            return None
        parts = [self._of[id] for id in ids]
        if not self._byte.keys().isdisjoint(ids):
            self._mark_runs(ids, parts)
        joined = b"".join(parts)
        if not joined.endswith(text):
            return None
        ends = np.cumsum(np.fromiter(map(len, parts), dtype=np.int64, count=len(parts)))
        return np.maximum(ends - (len(joined) - len(text)), 0)

    def table(self, tokenizer: Any) -> list[bytes] | None:
        """What every id adds to a text, [len(tokenizer)]; None: its tokens cannot be told apart so."""
        ids = range(len(tokenizer))
        if not self._learn(tokenizer, set(ids).difference(self._of)):
            return None
        return [self._of[id] for id in ids]

    def _learn(self, tokenizer: Any, ids: set[int]) -> bool:
        """False: the tokenizer's tokens cannot be told apart so."""
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            return False
        if self._anchor is None:
            self._byte_fallback = b'"ByteFallback"' in backend.decoder.__getstate__() if backend.decoder else False
            self._anchor = next(([id] for id in range(len(tokenizer)) if self._is_anchor(tokenizer, id)), [])
            self._before = decode(tokenizer, self._anchor)
        if not self._anchor:
            return False
        for id in ids:
            text = decode(tokenizer, [*self._anchor, id])
            self._of[id] = text[len(self._before) :].encode("utf-8", "surrogatepass")
            byte = self._byte_value(backend.id_to_token(id)) if self._of[id] else None
            if byte is not None:
                self._byte[id] = byte
                self._of[id] = bytes([byte])
        return True

    def _is_anchor(self, tokenizer: Any, id: int) -> bool:
        """A token of letters that neither it nor what follows changes."""
        text = decode(tokenizer, [id])
        if not (text.isascii() and text.isalpha()) or self._byte_value(tokenizer.convert_ids_to_tokens(id)) is not None:
            return False
        added = decode(tokenizer, [id, id])[len(text) :]
        return added.lstrip() == text and decode(tokenizer, [id, id, id]) == text + added + added

    def _byte_value(self, token: str | None) -> int | None:
        if not self._byte_fallback or token is None or len(token) != 6 or token[:3] != "<0x" or token[5] != ">":
            return None
        try:
            return int(token[3:5], 16)
        except ValueError:
            return None

    def _mark_runs(self, ids: list[int], parts: list[bytes]) -> None:
        """Makes the byte tokens of each run that is no UTF-8 one U+FFFD each. Tokens without text do not end a run."""
        run: list[int] = []
        for i, id in [*enumerate(ids), (len(ids), -1)]:
            if id in self._byte:
                run.append(i)
            elif run and (i == len(ids) or parts[i]):
                try:
                    b"".join(parts[j] for j in run).decode("utf-8")
                except UnicodeDecodeError:
                    for j in run:
                        parts[j] = REPLACEMENT
                run.clear()


def window_ends(tokenizer: Any, ids: list[int], text: str) -> NDArray[np.int64]:
    """Byte at which each token ends, [len(ids)], for any tokenizer, by decoding a window that moves along.

    The window holds the tokens since the last place at which its text agreed with `text`, and those that led there.
    Tokens that agree only together share their bytes evenly. A long wait is looked at ever more seldom.
    """
    special = set(getattr(tokenizer, "all_special_ids", ())) - special_marks(tokenizer)
    kept = [i for i, id in enumerate(ids) if id not in special]
    ends = np.zeros(len(ids), dtype=np.int64)
    waiting: list[int] = []
    window: list[int] = []
    known, place, size = "", 0, 0  # text of the window without those that wait; characters and bytes that agree
    for i in kept:
        window.append(ids[i])
        waiting.append(i)
        if len(waiting) > 16 and len(waiting) & (len(waiting) - 1):
            continue
        grown = decode(tokenizer, window)
        added = grown[len(known) :]
        if added and grown.startswith(known) and text.startswith(added, place):
            place += len(added)
            size = _share(ends, waiting, size, size + _size(added))
            window = window[-len(waiting) :]
            known = decode(tokenizer, window)
            waiting.clear()
    _share(ends, waiting or kept[-1:], size, _size(text))
    return np.maximum.accumulate(ends)


def _share(ends: NDArray[np.int64], waiting: list[int], begin: int, end: int) -> int:
    for place, i in enumerate(waiting, 1):
        ends[i] = begin + (end - begin) * place // len(waiting)
    return end


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
