"""Ground truths of RecBench+ rows joined with a catalogue, every drop with its reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from rerec_engine.data.counts import Counts
from rerec_engine.data.options import TextKind
from rerec_engine.data.recbench_rows import (
    RawQuery,
    parse_condition_row,
    parse_decoded_row,
    parse_group,
    read_json_lines,
    read_json_list,
)
from rerec_engine.data.sources import SourceItems
from rerec_engine.errors import file_error

GROUPED = ("interest", "demographics")


@dataclass(frozen=True)
class Joined:
    """A query and the items of its whole ground truth, distinct and in the row's order."""

    raw: RawQuery
    items: tuple[int, ...]
    missing: int = 0
    """Entries of the ground truth that are not in the catalogue."""
    repeated: int = 0


class Drop(Exception):
    """Why a row is left out."""


class Mismatch(ValueError):
    """The row's id and title are those of different items: joining it would be wrong either way."""


class Joiner:
    """Joins ids and titles with the catalogue. `matches(title)`: the items that the title may stand for."""

    def __init__(self, items: SourceItems, matches: Callable[[str], Iterable[int]]) -> None:
        self.items = items
        self._matches = matches
        self._cache: dict[str, frozenset[int]] = {}

    def candidates(self, title: str) -> frozenset[int]:
        if title not in self._cache:
            self._cache[title] = frozenset(self._matches(title))
        return self._cache[title]

    def join(self, raw: RawQuery) -> Joined:
        """The row's items. Raises `Drop` where it must be left out, `Mismatch` where it contradicts the catalogue."""
        if not raw.complete:
            raise Drop("incomplete label")
        if not raw.text:
            raise Drop("no query text")
        if raw.undecided:
            raise Drop("ambiguous title")
        titles = (*raw.titles, *raw.others)
        sources = (*(raw.source_ids or [""] * len(raw.titles)), *[""] * len(raw.others))
        if raw.source_ids and not raw.titles:
            titles = ("",) * len(raw.source_ids) + raw.others
        found = [self._item(source, title) for source, title in zip(sources, titles, strict=True)]
        known = tuple(dict.fromkeys(item for item in found if item >= 0))
        if not titles:
            raise Drop("empty ground truth")
        if not known:
            raise Drop("ground truth not in catalogue")
        joined = sum(item >= 0 for item in found)
        return Joined(raw, known, missing=len(found) - joined, repeated=joined - len(known))

    def _item(self, source: str, title: str) -> int:
        item = self.items.index.get(source, -1)
        options = self.candidates(title) if title else frozenset()
        if item >= 0:
            if options and item not in options:
                other = self.items.titles[min(options)]
                raise Mismatch(
                    f"item {source} is {self.items.titles[item]!r}, but the title {title!r} is that of {other!r}"
                )
            return item
        if len(options) > 1:
            raise Drop("ambiguous title")
        return next(iter(options), -1)


def read_queries(
    path: Path,
    category: str,
    joiner: Joiner,
    counts: Counts,
    *,
    text: TextKind = "situational",
    skip_bad: bool = False,
) -> list[Joined]:
    """The rows of one query file that can be used, counted under the category."""
    joined: list[Joined] = []
    seen: set[tuple[str, frozenset[int]]] = set()
    ids: set[str] = set()
    for line, raw in _rows(path, category, text):
        counts.read(category)
        try:
            if isinstance(raw, ValueError):
                raise raw
            if raw.others or raw.undecided:
                counts.note(f"{category} rows with titles outside the catalogue, or undecided (gt_other)")
            query = joiner.join(raw)
            key = (" ".join(raw.text.casefold().split()), frozenset(query.items))
            if key in seen:
                raise Drop("duplicate")
            if raw.id in ids:
                raise ValueError(f"id {raw.id} occurs twice, with different content")
        except Drop as drop:
            counts.drop(category, str(drop), f"{path.name}:{line}")
            continue
        except ValueError as error:
            if not skip_bad:
                raise file_error(path, str(error), line) from None
            counts.drop(category, "broken row", f"{path.name}:{line}: {error}")
            continue
        seen.add(key)
        ids.add(raw.id)
        joined.append(query)
        counts.keep(category)
        counts.note("ground-truth entries of kept rows", len(query.items) + query.missing + query.repeated)
        counts.note("of these not in the catalogue", query.missing)
        counts.note("of these repeated", query.repeated)
    return joined


def _rows(path: Path, category: str, text: TextKind) -> Iterable[tuple[int, RawQuery | ValueError]]:
    lines = read_json_lines(path) if path.suffix == ".jsonl" else read_json_list(path)
    for index, (line, value) in enumerate(lines):
        try:
            if path.suffix == ".jsonl":
                yield line, parse_decoded_row(value, category)
            elif category in GROUPED:
                yield from ((line, raw) for raw in parse_group(value, index, category))
            else:
                yield line, parse_condition_row(value, category, text)
        except ValueError as error:
            yield line, error
