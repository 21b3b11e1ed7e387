"""The reward path in pure Python, tuned: what a careful engineer gets without a compiled extension.

The tokenizer's id -> bytes table gives the text (no decode), `bytes.find` finds box, lines and mentions, attributes are
frozensets, titles lie in dictionaries, and the tokens of a line are found by bisection. Numpy does the dot product.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from rerec_engine.graph.titles import forms, full_name, move_article, split_title
from rerec_engine.reward.vocabulary import token_bytes

_BOXED = b"\\boxed{"
_WORD = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") | frozenset(range(0x80, 0x100))
_NAME_AND_YEAR = re.compile(rb"^(.*?)(?:\s*\((\d{4})\))?$", re.DOTALL)
_LEADING = re.compile(r"^(?:the|an|a) ", re.IGNORECASE)
_ARTICLE = re.compile(rb"^(.*), (the|a|an|la|le|les|el|das|der|die|il)$")


class Result(NamedTuple):
    """Scores of a response."""

    item: int | None
    """-1: in no catalogue, or ambiguous; None: no answer."""
    total: float
    ndcg: float
    qas: float
    pas: float
    format: float


class TunedPython:
    """Scores responses one by one. embeddings: [N, d] float32."""

    def __init__(
        self, titles: Sequence[str], attributes: sp.csr_matrix, embeddings: np.ndarray, tokenizer: Any
    ) -> None:
        table = token_bytes(tokenizer)
        if table is None:
            raise ValueError("the tokenizer is not byte-level")
        self.pieces = table
        self.attributes = [frozenset(attributes.indices[a:b].tolist()) for a, b in pairwise(attributes.indptr)]
        self.embeddings = list(embeddings)
        self.exact = {title.encode(): item for item, title in enumerate(titles)}
        self.by_name: dict[bytes, list[tuple[bytes | None, int]]] = defaultdict(list)
        self.patterns: list[list[tuple[bytes, bool]]] = []
        for item, title in enumerate(titles):
            name, year = _key(title.encode())
            self.by_name[name].append((year, item))
            self.patterns.append(_patterns(title))

    def score(
        self,
        ids: np.ndarray,
        truth: int,
        candidates: frozenset[int],
        rewards: np.ndarray,
        w_penalty: float = 0.3,
    ) -> Result:
        """ids: [n] of one response; truth: an item; rewards: [n] float32, written."""
        parts = [self.pieces[i] for i in ids.tolist()]
        text = b"".join(parts)
        box = text.rfind(_BOXED)
        end = text.find(b"}", box) if box >= 0 else -1
        entry = text[box + len(_BOXED) : end].strip() if end >= 0 else b""
        if not entry:
            rewards.fill(-0.55)
            return Result(None, -0.55, -0.5, 0.0, 0.0, -0.5)
        item = self.exact.get(entry, -1)
        if item < 0:
            item = self._named(entry, candidates)
        ndcg, qas, pas = (1.0 if item == truth else 0.0), 0.0, 0.0
        if item >= 0:
            wanted = self.attributes[truth]
            qas = len(wanted & self.attributes[item]) / len(wanted) if wanted else 0.0
            pas = float(self.embeddings[item].dot(self.embeddings[truth]))
        total = ndcg + 0.1 * 0.5 + 0.01 * qas + 0.01 * pas
        rewards.fill(total)
        if item != truth:
            self._penalise(rewards, parts, text, box, item, entry, total - w_penalty * abs(total))
        return Result(item, total, ndcg, qas, pas, 0.5)

    def _named(self, entry: bytes, candidates: frozenset[int]) -> int:
        """The one item of this name and, if both have one, year: among the candidates, else in the catalogue."""
        name, year = _key(entry)
        found = [item for other, item in self.by_name.get(name, ()) if year is None or other is None or other == year]
        among = [item for item in found if item in candidates] or found
        return among[0] if len(among) == 1 else -1

    def _penalise(
        self, rewards: np.ndarray, parts: list[bytes], text: bytes, box: int, item: int, entry: bytes, reduced: float
    ) -> None:
        """Write `reduced` to the tokens of every line before the box's that mentions the item."""
        lower = text.lower()
        starts: list[int] = []
        for pattern, capital in self.patterns[item] if item >= 0 else _patterns(entry.decode("utf-8", "replace")):
            at = lower.find(pattern, 0, box)
            while at >= 0:
                after = at + len(pattern)
                apart = (at == 0 or text[at - 1] not in _WORD) and text[after] not in _WORD
                if not apart or (capital and not text[at : at + 1].isupper()):
                    at = lower.find(pattern, at + 1, box)
                    continue
                begin, end = text.rfind(b"\n", 0, at) + 1, text.find(b"\n", after, box) + 1
                if not end:
                    break
                starts = starts or [0, *accumulate(map(len, parts))]
                rewards[bisect_left(starts, begin) : bisect_left(starts, end)] = reduced
                at = lower.find(pattern, end, box)


def _key(title: bytes) -> tuple[bytes, bytes | None]:
    """Lower-case name with its article in front, and the year."""
    found = _NAME_AND_YEAR.match(title.strip())
    assert found is not None
    name = found[1].lower()
    article = _ARTICLE.match(name)
    return (article[2] + b" " + article[1] if article else name), found[2]


def _patterns(title: str) -> list[tuple[bytes, bool]]:
    """Lower-case names to look for, each with whether it must begin with a capital: one word alone must.

    An article in front is left out where two words remain.
    """
    names = []
    for form in forms(full_name(split_title(title))):
        moved = move_article(form)
        bare = _LEADING.sub("", moved)
        names += [bare] if bare != moved and " " in bare else [moved, form]
    found = [(name.lower().encode(), " " not in name and name[:1].isupper()) for name in dict.fromkeys(names)]
    return [(pattern, capital) for pattern, capital in found if pattern]
