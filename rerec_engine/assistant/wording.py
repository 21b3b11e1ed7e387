"""A request's other words, and which titles say them: "label maker", where "Brother" is the condition.

Titles of products describe them; those of films, books and games are names, in which a request's words stand by chance.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from rerec_engine.assistant.lexicon import ASKING, COUNTS, FOLLOWING, ITEM_WORDS, NEGATIONS, STOP_WORDS
from rerec_engine.assistant.mentions import Reading, words_of

DESCRIBES = 6
"""Words of the median title from which on titles describe."""
_SAYS_NOTHING = STOP_WORDS | ASKING | ITEM_WORDS | FOLLOWING | set(COUNTS)
_MARK = re.compile(r"[,.;:!?]")


def other_words(reading: Reading, read: Iterable[int] = ()) -> tuple[str, ...]:
    """The words that say something of what is wanted and are in no title or value named; none of those after "not" or
    "without", up to a comma or "but". read: the places of further words that were understood."""
    taken = {i for mention in reading.mentions for i in range(mention.first, mention.stop)}.union(read)
    empty = _SAYS_NOTHING | reading.filler
    words, out = [], False
    for i, word in enumerate(reading.words):
        ended = word.text == "but" or (i > 0 and _MARK.search(reading.gap(i - 1, i)))
        out = word.text in NEGATIONS or (out and not ended)
        if not out and i not in taken and word.text not in empty:
            words.append(_stem(word.text))
    return tuple(dict.fromkeys(words))


class TitleWords:
    """An index of titles by their words, built when it is first asked."""

    def __init__(self, titles: Sequence[str]) -> None:
        self._titles = titles

    def __call__(self, words: Sequence[str]) -> np.ndarray:
        """Of every item, the sum of log(N / titles that say it) over the words that its title says, [N] float64.

        words: see `other_words`. Zeros where titles are names.
        """
        scores = np.zeros(len(self._titles))
        places, table = self._index
        for place in [places[word] for word in words if word in places]:
            own = table.indices[table.indptr[place] : table.indptr[place + 1]]
            scores[own] += np.log(len(self._titles) / len(own))
        return scores

    @cached_property
    def _index(self) -> tuple[dict[str, int], sp.csc_array]:
        """Words, and the titles that say each (CSC, [N, words])."""
        titles = [words_of(title) for title in self._titles]
        if not titles or np.median([len(words) for words in titles]) < DESCRIBES:
            return {}, sp.csc_array((len(titles), 0), dtype=np.int8)
        places: dict[str, int] = {}
        pairs = [(i, places.setdefault(w, len(places))) for i, ws in enumerate(titles) for w in set(map(_stem, ws))]
        rows, columns = np.array(pairs).T
        table = sp.csc_array((np.ones(len(pairs), np.int8), (rows, columns)), shape=(len(titles), len(places)))
        return places, table


def _stem(word: str) -> str:
    """Without a plural's ending: "binders" and "binder" are one word, as are "batteries" and "battery"."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word
