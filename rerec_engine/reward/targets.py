"""Ground truths and candidates of a batch, given as titles or item ids, as the arrays that the C++ engine reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rerec_engine import _core
from rerec_engine.errors import UserError
from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.reward.tokens import to_numpy

Item: TypeAlias = "str | int | np.integer[Any]"
GroundTruth: TypeAlias = "Item | Sequence[Item]"
Candidates: TypeAlias = "Sequence[Item] | None"

_SEPARATOR = re.compile(r";|\[SEP\]|[\r\n]")
_NONE = np.zeros(0, dtype=np.int32)


class TargetReader:
    """Reads ground truths and candidates. Titles are resolved in C++; rows that this cannot settle come here."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue

    def read(self, ground_truth: Any, candidates: Any, count: int) -> _core.Targets:
        """Targets of `count` responses. ground_truth: a list of rows, or ids [B] or [B, M]; candidates: None, a list of
        rows, or ids [B, C]; -1 in an array is padding. Errors: `UserError` that names the row.
        """
        truth_ids = _id_array(ground_truth, "ground_truth")
        candidate_ids = None if candidates is None else _id_array(candidates, "candidates")
        _check_length("ground_truth", ground_truth if truth_ids is None else truth_ids, count)
        if candidates is not None:
            _check_length("candidates", candidates if candidate_ids is None else candidate_ids, count)
        if truth_ids is not None and (candidates is None or candidate_ids is not None):
            truths = self._from_array(truth_ids, "ground_truth")
            empty = np.diff(truths[0]) == 0
            if empty.any():
                raise UserError(f"ground_truth[{int(np.argmax(empty))}] is empty")
            none = np.zeros((count, 0), np.int32)
            return _core.Targets(
                *truths, *self._from_array(none if candidate_ids is None else candidate_ids, "candidates")
            )
        truth_rows = ground_truth if truth_ids is None else _rows(truth_ids)
        candidate_rows = candidates if candidate_ids is None else _rows(candidate_ids)
        return _core.read_targets(self.catalogue.core, truth_rows, candidate_rows, self._read_row)

    def _from_array(self, ids: NDArray[Any], name: str) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Bounds and items of a padded array; ascending and distinct in each row."""
        rows = ids.reshape(len(ids), -1) if ids.ndim != 2 else ids
        outside = rows >= len(self.catalogue) if ids.ndim == 2 else (rows >= len(self.catalogue)) | (rows < 0)
        if outside.any():
            row = int(np.argmax(outside.any(axis=1)))
            item = int(rows[row][outside[row]][0])
            raise UserError(f"{name}[{row}]: item {item} is outside the catalogue's 0..{len(self.catalogue) - 1}")
        width = rows.shape[1]
        if width > 1:
            rows = np.sort(rows, axis=1)
        kept = rows >= 0
        if width > 1:
            kept[:, 1:] &= rows[:, 1:] != rows[:, :-1]
        if kept.all():
            return np.arange(len(rows) + 1, dtype=np.int64) * width, np.ascontiguousarray(rows, np.int32).reshape(-1)
        ptr = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(kept.sum(axis=1), out=ptr[1:])
        return ptr, rows[kept].astype(np.int32)

    def _read_row(self, truth: Any, candidates: Any, row: int) -> tuple[list[int], list[int]]:
        among = _NONE if candidates is None else self._candidate_ids(candidates, row)
        return _ids(self._truth_ids(truth, among, row)), _ids(among)

    def _truth_ids(self, given: GroundTruth, candidates: NDArray[np.int32], row: int) -> NDArray[np.int32]:
        place = f"ground_truth[{row}]"
        if isinstance(given, str):
            ids = self._split(given, candidates, place)
        elif isinstance(given, (int, np.integer)):  # a bool is refused there
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
        items = [self._item(item, _NONE, place) for item in _sequence(given, place)]
        return np.unique(np.array(items, dtype=np.int32)) if items else _NONE

    def _item(self, item: Item, candidates: NDArray[np.int32], place: str) -> int:
        if isinstance(item, (int, np.integer)) and not isinstance(item, bool):
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
        found = self.catalogue.match(title)
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


def _check_length(name: str, rows: Any, count: int) -> None:
    if isinstance(rows, str) or not hasattr(rows, "__len__"):
        raise UserError(f"{name} must hold one entry a response, got {rows!r}")
    if len(rows) != count:
        raise UserError(f"{name} must hold one entry a response ({count}), got {len(rows)}")


def id_arrays(left: Any, right: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Two arrays of item ids, torch or numpy, contiguous and both int32 or both int64."""
    arrays = []
    for name, values in (("items", left), ("ground_truth", right)):
        array = np.asarray(to_numpy(values))
        if array.dtype.kind not in "iu" and array.size:
            raise UserError(f"{name} must hold item ids, got {array.dtype}")
        arrays.append(array)
    narrow = all(array.dtype == np.int32 for array in arrays)
    kind = np.int32 if narrow else np.int64
    return np.ascontiguousarray(arrays[0], dtype=kind), np.ascontiguousarray(arrays[1], dtype=kind)


def _id_array(values: Any, name: str) -> NDArray[Any] | None:
    """Item ids as an array, where they are given as a numpy or torch one."""
    values = to_numpy(values)
    if not isinstance(values, np.ndarray) or values.dtype == object:
        return None
    if values.dtype.kind not in "iu" or values.ndim not in (1, 2):
        raise UserError(f"{name} must hold item ids [B] or [B, M], got {values.dtype} {list(values.shape)}")
    return values


def _rows(ids: NDArray[Any]) -> list[Any]:
    return ids.tolist() if ids.ndim == 1 else [row[row >= 0].tolist() for row in ids]
