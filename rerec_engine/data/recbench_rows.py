"""Parsers of RecBench+ rows (arXiv 2503.09382): one row in, one `RawQuery` or ValueError out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rerec_engine.data.files.encoding import STRANGE, whole_text
from rerec_engine.data.options import TextKind
from rerec_engine.data.tables import NO_TEXT, lines_of
from rerec_engine.errors import file_error


@dataclass(frozen=True)
class RawQuery:
    """A query as its file has it: titles and source ids not yet joined with a catalogue."""

    id: str
    category: str
    text: str
    titles: tuple[str, ...] = ()
    source_ids: tuple[str, ...] = ()  # of the titles, or none; ids without titles where titles is empty
    others: tuple[str, ...] = ()  # further titles, without ids
    undecided: int = 0
    """Entries that may be either of several items."""
    complete: bool = True
    condition_num: int = 0
    user: str = ""
    conditions: tuple[tuple[str, str], ...] = ()  # (relation, value)
    item: str = "movie"


def read_json_list(path: Path) -> Iterator[tuple[int, object]]:
    """(line where it starts, element) of a JSON file that holds one list; one that holds bytes which are no text is a
    ValueError."""
    text, decoder = whole_text(path), json.JSONDecoder()
    position = _skip(text, 0)
    if text[position : position + 1] != "[":
        raise file_error(path, "expected a JSON list", 1)
    position, line, counted = _skip(text, position + 1), 1, 0
    while text[position : position + 1] != "]":
        line, counted = line + text.count("\n", counted, position), position
        try:
            element, end = decoder.raw_decode(text, position)
        except (json.JSONDecodeError, RecursionError) as error:
            raise file_error(path, f"broken JSON (truncated?): {error}", line) from None
        yield line, ValueError(NO_TEXT) if STRANGE in text[position:end] else element
        position = _skip(text, end)
        if text[position : position + 1] == ",":
            position = _skip(text, position + 1)
        elif text[position : position + 1] != "]":
            raise file_error(path, "broken JSON (truncated?): expected , or ] after an element", line)


def read_json_lines(path: Path) -> Iterator[tuple[int, object]]:
    """(line number, value) of a JSON-lines file; a line that is no JSON is yielded as the ValueError it raised."""
    for number, line in lines_of(path):
        try:
            yield number, ValueError(NO_TEXT) if STRANGE in line else json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            yield number, ValueError(f"broken JSON: {error}")


def parse_condition_row(row: object, category: str, text: TextKind = "situational") -> RawQuery:
    """A row of ExplicitQuery, ImplicitQuery or MisinformedQuery.json; films ("movieSubset") or books ("bookSubset")."""
    row = _object(row, "row")
    texts = _strings(row.get("movieSubset", row.get("bookSubset")), "movieSubset or bookSubset")
    ids = row.get("movieSubsetId", row.get("bookSubsetId", []))
    sources = tuple(_source(source) for source in _list(ids, "movieSubsetId or bookSubsetId"))
    if sources and len(sources) != len(texts):
        raise ValueError(f"{len(texts)} titles but {len(sources)} ids")
    conditions = _list(row.get("sharedRelationships", []), "sharedRelationships")
    return RawQuery(
        id=f"{category}-{_identity(row, 'data_idx')}",
        category=category,
        text=_text(row.get(f"{text}_description_query", row.get("query")), f"{text}_description_query"),
        titles=texts,
        source_ids=sources,
        condition_num=_count(row.get("condition_num", len(conditions)), "condition_num"),
        user=_source(row.get("source_user")),
        conditions=tuple(_pair(pair) for pair in conditions),
        item="book" if "bookSubset" in row else "movie",
    )


def parse_decoded_row(row: object, category: str) -> RawQuery:
    """A row of decoded_<Type>.jsonl: a ground truth recovered from published metrics, as MovieLens ids.

    An entry of gt_other is a title outside MovieLens, or a list of the ids between which the metrics do not decide.
    """
    row = _object(row, "row")
    complete = row.get("complete")
    if not isinstance(complete, bool):
        raise ValueError("complete must be true or false")
    sources = tuple(_source(source) for source in _list(row.get("gt_item_ids"), "gt_item_ids"))
    entries = _list(row.get("gt_other", []), "gt_other")
    others = _strings([entry for entry in entries if not isinstance(entry, list)], "gt_other")
    size = _count(row.get("gt_size"), "gt_size")
    if complete and size != len(sources) + len(entries):
        raise ValueError(f"gt_size is {size}, but there are {len(sources)} ids and {len(entries)} other titles")
    return RawQuery(
        id=f"{category}-{_identity(row, 'id')}",
        category=category,
        text=_text(row.get("query"), "query"),
        source_ids=sources,
        others=others,
        undecided=len(entries) - len(others),
        complete=complete,
    )


def parse_group(row: object, index: int, category: str) -> list[RawQuery | ValueError]:
    """A group of InterestBasedQuery or DemographicsBasedQuery.json: its queries, a broken one as the fault it has.

    Ids are "<group>-<query>", empty entries not counted. Raises ValueError where the group itself is broken.
    """
    group = _object(row, "group")
    entries = [entry for entry in _list(group.get("query & ground true"), "query & ground true") if entry != {}]
    queries: list[RawQuery | ValueError] = []
    for number, entry in enumerate(entries):
        try:
            queries.append(_parse_entry(entry, f"{category}-{index}-{number}", category))
        except ValueError as error:
            queries.append(ValueError(f"query {number} of group {index}: {error}"))
    return queries


def _parse_entry(entry: object, name: str, category: str) -> RawQuery:
    entry = _object(entry, "entry")
    return RawQuery(
        id=name,
        category=category,
        text=_text(entry.get("query"), "query"),
        titles=_strings(entry.get("movie subset", entry.get("book subset")), "movie subset or book subset"),
        item="book" if "book subset" in entry else "movie",
    )


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position


def _object(value: object, name: str) -> Mapping[str, Any]:
    if isinstance(value, ValueError):
        raise value
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be a JSON object, got {type(value).__name__}")
    return value


def _list(value: object, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{name} must be a list, got {type(value).__name__}")
    return value


def _strings(value: object, name: str) -> tuple[str, ...]:
    values = _list(value, name)
    if not all(isinstance(text, str) and text.strip() for text in values):
        raise ValueError(f"{name} must hold non-empty strings")
    return tuple(text.strip() for text in values)


def _text(value: object, name: str) -> str:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} must be a string, got {type(value).__name__}")
    return (value or "").strip()


def _whole(value: object) -> object:
    """A whole number as such: pandas writes 3.0 where a column has gaps, and NaN for a gap."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else None if value != value else value
    return value


def _source(value: object) -> str:
    """An id of the source as text; "" where there is none."""
    value = _whole(value)
    return "" if value is None else str(value).strip()


def _count(value: object, name: str) -> int:
    value = _whole(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{name} must be a count, got {value!r}"[:200])
    return value


def _identity(row: Mapping[str, Any], name: str) -> str:
    value = _whole(row.get(name))
    if not isinstance(value, (int, str)) or isinstance(value, bool) or not str(value).strip():
        raise ValueError(f"{name} must be a number or a string, got {value!r}"[:200])
    return str(value)


def _pair(value: object) -> tuple[str, str]:
    if not isinstance(value, list) or len(value) != 2 or not all(isinstance(text, str) for text in value):
        raise ValueError(f"a shared relationship must be [relation, value], got {value!r}"[:200])
    return value[0], value[1]
