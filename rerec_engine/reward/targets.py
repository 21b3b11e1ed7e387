"""Ground truths and candidates of a batch, given as titles or item ids, as the arrays that the C++ engine reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..errors import UserError
from ..graph.catalogue import Catalogue

Item: TypeAlias = "str | int | np.integer[Any]"
GroundTruth: TypeAlias = "Item | Sequence[Item]"
Candidates: TypeAlias = "Sequence[Item] | None"

_SEPARATOR = re.compile(r";|\[SEP\]|[\r\n]")
_NONE = np.zeros(0, dtype=np.int32)


class TargetReader:
    """Resolves titles once: a batch repeats each query's ground truth and candidates G times."""

    MOST_REMEMBERED = 100_000

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._titles: dict[str, int] = {}
        self._candidates: dict[tuple[Item, ...], NDArray[np.int32]] = {}

    def read(
        self, ground_truth: Sequence[GroundTruth], candidates: Sequence[Candidates] | None, count: int
    ) -> _core.Targets:
        """Targets of `count` responses. Errors: `UserError` that names the row."""
        _check_length("ground_truth", ground_truth, count)
        if candidates is not None:
            _check_length("candidates", candidates, count)
        truths, among = [], []
        for i in range(count):
            given = None if candidates is None else candidates[i]
            among.append(_NONE if given is None else self._candidate_ids(given, i))
            truths.append(self._truth_ids(ground_truth[i], among[-1], i))
        return _core.Targets(*_ragged(truths), *_ragged(among))

    def _truth_ids(self, given: GroundTruth, candidates: NDArray[np.int32], row: int) -> NDArray[np.int32]:
        place = f"ground_truth[{row}]"
        if isinstance(given, str):
            ids = self._split(given, candidates, place)
        elif isinstance(given, (int, np.integer)):
            ids = [self._item(given, candidates, place)]
        else:
            ids = [self._item(item, candidates, place) for item in _sequence(given, place)]
        if not ids:
            raise UserError(f"{place} is empty")
        return np.unique(np.array(ids, dtype=np.int32))

    def _split(self, text: str, candidates: NDArray[np.int32], place: str) -> list[int]:
        whole = self._match(text, candidates)
        if whole >= 0 or not _SEPARATOR.search(text):
            return [self._item(text, candidates, place)] if text.strip() else []
        return [self._item(part, candidates, place) for part in _SEPARATOR.split(text) if part.strip()]

    def _candidate_ids(self, given: Sequence[Item], row: int) -> NDArray[np.int32]:
        place = f"candidates[{row}]"
        key = tuple(_sequence(given, place))
        ids = self._candidates.get(key)
        if ids is None:
            items = [self._item(item, _NONE, place) for item in key]
            ids = np.unique(np.array(items, dtype=np.int32)) if items else _NONE
            if len(self._candidates) >= self.MOST_REMEMBERED:
                self._candidates.clear()
            self._candidates[key] = ids
        return ids

    def _item(self, item: Item, candidates: NDArray[np.int32], place: str) -> int:
        if isinstance(item, (int, np.integer)):
            if not 0 <= item < len(self.catalogue):
                raise UserError(f"{place}: item {int(item)} is outside the catalogue's 0..{len(self.catalogue) - 1}")
            return int(item)
        if not isinstance(item, str):
            raise UserError(f"{place}: expected a title or an item id, got {item!r}")
        found = self._match(item, candidates)
        if found < 0:
            match = self.catalogue.explain(item, _ids(candidates))
            named = "; ".join(self.catalogue.titles[i] for i in match.alternatives[:5])
            reason = "fits several items" if match.rule == "ambiguous" else "is not in the catalogue"
            raise UserError(f"{place}: {item!r} {reason}" + (f" (has: {named})" if named else ""))
        return found

    def _match(self, title: str, candidates: NDArray[np.int32]) -> int:
        found = self._titles.get(title)
        if found is None:
            if len(self._titles) >= self.MOST_REMEMBERED:
                self._titles.clear()
            found = self._titles[title] = self.catalogue.match(title)
        # Candidates can only change what they hold: an item that they lack, or a title without one.
        if len(candidates) and found not in candidates:
            return self.catalogue.match(title, _ids(candidates))
        return found


def _ids(candidates: NDArray[np.int32]) -> list[int]:
    ids: list[int] = candidates.tolist()
    return ids


def _sequence(given: object, place: str) -> Sequence[Item]:
    if isinstance(given, np.ndarray):
        ids: list[Item] = given.tolist()
        return ids
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise UserError(f"{place}: expected a sequence of titles or item ids, got {given!r}")
    return given


def _check_length(name: str, rows: Sequence[object], count: int) -> None:
    if isinstance(rows, str) or not hasattr(rows, "__len__"):
        raise UserError(f"{name} must hold one entry a response, got {rows!r}")
    if len(rows) != count:
        raise UserError(f"{name} must hold one entry a response ({count}), got {len(rows)}")


def _ragged(rows: Sequence[NDArray[np.int32]]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    ptr = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum([len(row) for row in rows], out=ptr[1:])
    return ptr, np.concatenate([_NONE, *rows])
