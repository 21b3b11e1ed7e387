"""Titles to item ids. The rules, strictest first; there is no fuzzy matching (Her is not Hero).

| rule | a title names an item when ... |
|---|---|
| exact | the bytes are equal |
| article | they are after "Usual Suspects, The" -> "The Usual Suspects", years equal |
| normalised | so are the normalised names (case, punctuation, accents, &, a leading English article), years equal |
| alternative | so are alternative names in the item's brackets, or a name without its brackets, years equal |
| numeral | so are they with II = 2 = two, up to XX and ninety-nine, and "Part" before a number dropped, years equal |
| missing_year | one of the two has no year, names as in any rule above, English articles too |
| adjacent_year | the years are one apart |
| trailing_text | words after the title's bracketed year are ignored, names and years as above |

The same name with another year is a remake: never a match. The year of "Fargo (TV Series, 2014)" is 2014, and so is
that of "(Hawley, 2014)", "(Hawley 2014)", "(by Noah Hawley in 2014)" and "(2014年)", in brackets of any width. A year
that may be another work's ("a remake of the 1996 film"), one of several, or a decade: no item. A year at the end
without brackets ("Fargo 1996", "Fargo, from 1996") is the title's own; where no item has that title, the item named
before it must have that very year.

Where both years are known, the item may have another English article or none ("Usual Suspects (1995)"); one with the
same article comes first. Without them "The Heat" is not "Heat (1995)", also where neither has a year, since nothing
else tells the two apart: only a candidate may then have another article, and only if no item has the same.

Candidates are tried first, with all rules but adjacent_year and trailing_text; then the catalogue; then, by year, the
rest. Where several items agree equally well, the candidates decide, or the title is refused.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, cast, get_args, overload

import numpy as np
from numpy.typing import NDArray

from rerec_engine import _core
from rerec_engine.errors import UserError

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
    "none" items of the same name whose year is far off or whose article differs."""

    item_id: int
    rule: Rule
    alternatives: tuple[int, ...] = ()


class Titles(Sequence[str]):
    """The titles of a catalogue, decoded when they are asked for."""

    def __init__(self, ptr: NDArray[np.int64], text: NDArray[np.uint8]) -> None:
        self._ptr, self._text = ptr, text

    def __len__(self) -> int:
        return len(self._ptr) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        i = operator.index(index)
        if not -len(self) <= i < len(self):
            raise IndexError(f"item {i} of a catalogue of {len(self)}")
        i %= len(self)
        return self._text[self._ptr[i] : self._ptr[i + 1]].tobytes().decode("utf-8", "surrogatepass")


class Catalogue:
    """Titles of items 0..N-1.

    titles: as the source writes them, with or without a trailing "(1999)". years: 0 or None is unknown, then read from
    the title; years None: all read from the titles. Errors: `UserError` for years of another length.
    """

    def __init__(self, titles: Sequence[str], years: Sequence[int | None] | None = None) -> None:
        encoded = [title.encode("utf-8", "surrogatepass") for title in titles]
        if years is not None and len(years) != len(encoded):
            raise UserError(f"a catalogue of {len(encoded)} titles needs as many years, got {len(years)}")
        known = [int(year or 0) for year in years] if years is not None else [0] * len(encoded)
        ptr = np.zeros(len(encoded) + 1, dtype=np.int64)
        np.cumsum([len(title) for title in encoded], out=ptr[1:])
        self._open(_core.build_catalogue(ptr, b"".join(encoded), np.array(known, dtype=np.int32), 1))

    @classmethod
    def from_bytes(
        cls, title_ptr: NDArray[np.int64], title_bytes: Any, years: NDArray[np.int32], threads: int = 1
    ) -> Catalogue:
        """Item i has the UTF-8 title title_bytes[title_ptr[i]:title_ptr[i + 1]]; title_bytes is any buffer."""
        return cls.from_arrays(_core.build_catalogue(title_ptr, title_bytes, years, threads))

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Catalogue:
        """A catalogue over the `arrays` of another, which may be memory-mapped.

        Errors: `ValueError` for arrays whose types or sizes do not fit together.
        """
        catalogue = cls.__new__(cls)
        catalogue._open(_check_arrays(arrays))
        return catalogue

    def _open(self, arrays: dict[str, NDArray[Any]]) -> None:
        self.arrays = arrays
        """All that the catalogue reads, by name."""
        self.core = _core.Catalogue(arrays)
        self.titles: Sequence[str] = Titles(arrays["title_ptr"], arrays["title_bytes"])
        self.years: NDArray[np.int32] = arrays["years"]  # [N], 0: unknown

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


_TYPES = {
    "title_ptr": np.int64,
    "title_bytes": np.uint8,
    "years": np.int32,
    "exact_slots": np.uint64,
    "exact_group_ptr": np.int64,
    "exact_group_items": np.int32,
    "key_slots": np.uint64,
    "key_group_ptr": np.int64,
    "key_group_items": np.int32,
    "most_semicolons": np.int32,
}


def _check_arrays(arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    for name, dtype in _TYPES.items():
        array = arrays.get(name)
        if array is None or array.dtype != dtype or array.ndim != 1 or not array.flags.c_contiguous:
            found = "none" if array is None else f"{array.dtype} {list(array.shape)}"
            raise ValueError(f"catalogue array {name} must be {np.dtype(dtype)} [n], got {found}")
    sizes_fit = (
        len(arrays["title_ptr"]) == len(arrays["years"]) + 1
        and arrays["title_ptr"][-1] == len(arrays["title_bytes"])
        and len(arrays["most_semicolons"]) == 1
        and all(
            len(arrays[f"{index}_slots"]).bit_count() == 1
            and len(arrays[f"{index}_group_ptr"]) > 0
            and arrays[f"{index}_group_ptr"][-1] == len(arrays[f"{index}_group_items"])
            for index in ("exact", "key")
        )
    )
    if not sizes_fit:
        raise ValueError("the catalogue's arrays do not fit together")
    return arrays
