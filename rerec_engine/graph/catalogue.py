"""Titles to item ids. The rules, strictest first; there is no fuzzy matching (Her is not Hero).

| rule | a title names an item when ... |
|---|---|
| exact | the bytes are equal |
| article | they are after "Usual Suspects, The" -> "The Usual Suspects", years equal |
| normalised | so are the normalised names (case, punctuation, accents, &, a leading English article), years equal |
| alternative | so are alternative names in the item's brackets, or a name without its brackets, years equal |
| numeral | so are they with II = 2 = two and "Part" before a number dropped, years equal |
| missing_year | one of the two has no year, names as in any rule above |
| adjacent_year | the years are one apart |
| trailing_text | words after the title's bracketed year are ignored, names and years as above |

The same name with another year is a remake: never a match. Candidates are tried first, with all rules but
adjacent_year and trailing_text; then the catalogue; then, by year, the rest. Where a rule finds several items, the
candidates decide, or the title is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, cast, get_args

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..errors import UserError

Rule = Literal[
    "exact",
    "article",
    "normalised",
    "alternative",
    "numeral",
    "missing_year",
    "adjacent_year",
    "trailing_text",
    "ambiguous",
    "none",
]
RULES: tuple[Rule, ...] = get_args(Rule)


class Match(NamedTuple):
    """item_id (-1: none), the rule that found it, and what else it might be: with "ambiguous" the items that tie, with
    "none" items of the same name whose year is far off."""

    item_id: int
    rule: Rule
    alternatives: tuple[int, ...] = ()


class Catalogue:
    """Titles of items 0..N-1.

    titles: as the source writes them, with or without a trailing "(1999)". years: 0 or None is unknown, then read from
    the title; years None: all read from the titles. Errors: `UserError` for years of another length.
    """

    def __init__(self, titles: Sequence[str], years: Sequence[int | None] | None = None) -> None:
        self.titles: list[str] = list(titles)
        if years is not None and len(years) != len(self.titles):
            raise UserError(f"a catalogue of {len(self.titles)} titles needs as many years, got {len(years)}")
        known = [int(year or 0) for year in years] if years is not None else [0] * len(self.titles)
        self.core = _core.Catalogue(self.titles, np.array(known, dtype=np.int32))
        self.years: NDArray[np.int32] = self.core.years()  # [N], 0: unknown

    def __len__(self) -> int:
        return len(self.titles)

    def match(self, title: str, candidates: Sequence[int] | None = None) -> int:
        """The item that `title` names; -1: none, or several. candidates: item ids to be tried first."""
        return int(self.match_many([title], candidates)[0])

    def match_many(self, titles: Sequence[str], candidates: Sequence[int] | None = None) -> NDArray[np.int32]:
        """`match` of each title, [len(titles)]."""
        return self.core.match_many(titles, self.candidate_ids(candidates))

    def explain(self, title: str, candidates: Sequence[int] | None = None) -> Match:
        """Which rule matched, or what stood in the way.

        >>> Catalogue(["Hamlet (1990)", "Hamlet (1996)"]).explain("Hamlet")
        Match(item_id=-1, rule='ambiguous', alternatives=(0, 1))
        """
        item, rule, alternatives = self.core.explain(title, self.candidate_ids(candidates))
        return Match(item, cast(Rule, rule), tuple(alternatives))

    def candidate_ids(self, candidates: Sequence[int] | None) -> NDArray[np.int32]:
        """Ascending distinct ids; empty for None. Errors: `UserError` for an id outside the catalogue."""
        if candidates is None or len(candidates) == 0:
            return np.zeros(0, dtype=np.int32)
        ids = np.unique(np.asarray(candidates, dtype=np.int64))
        if ids[0] < 0 or ids[-1] >= len(self):
            wrong = ids[0] if ids[0] < 0 else ids[-1]
            raise UserError(f"candidate {int(wrong)} is not an item of the catalogue (0..{len(self) - 1})")
        return ids.astype(np.int32)
