"""The tables of a dataset directory: items, numbers, attributes and users (.parquet). Ids are row numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rerec_engine.data.store import read_table
from rerec_engine.errors import UserError, file_error
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.graph.numbers import ItemNumbers

SourceIds = tuple[str | None, ...]
"""By row, the ids that the source has; None where it has none."""


@dataclass(frozen=True)
class ItemTable:
    """items.parquet. N items."""

    titles: tuple[str, ...]  # [N], distinct
    years: tuple[int | None, ...]  # [N]
    source_ids: SourceIds  # [N]
    texts: tuple[str | None, ...] = ()  # [N], descriptions; empty: of no item


@dataclass(frozen=True)
class UserTable:
    """users.parquet. U users."""

    source_ids: SourceIds  # [U]
    profiles: tuple[str, ...] = ()  # [U], each in a few words, "" unknown; empty: of no user


def read_item_table(path: Path) -> ItemTable:
    """Validated; a table without the columns source_id and text knows neither."""
    table = read_table(path, ("item_id", "title", "year"))
    titles, years = table["title"].to_pylist(), table["year"].to_pylist()
    if not titles:
        raise file_error(path, "no item")
    _check_ids(path, table["item_id"].to_pylist(), "item_id")
    rows: dict[str, int] = {}
    for number, (title, year) in enumerate(zip(titles, years, strict=True), 1):
        if not isinstance(title, str) or not title.strip():
            raise file_error(path, "the title is empty", number)
        if title in rows:
            raise file_error(path, f"title {title!r} is that of row {rows[title]} too", number)
        if year is not None and (not isinstance(year, int) or not 0 < year < 10000):
            raise file_error(path, f"year must be in 1..9999 or null, got {year!r}", number)
        rows[title] = number
    return ItemTable(tuple(titles), tuple(years), _source_ids(path, table), _texts(path, table, "text"))


def read_numbers(path: Path, items: int) -> dict[str, ItemNumbers]:
    """By field; a directory without the file has none."""
    if not path.is_file():
        return {}
    table = read_table(path, ("item_id", "field", "low", "high"))
    rows = {name: table[name].to_pylist() for name in ("item_id", "field", "low", "high")}
    ends: dict[str, np.ndarray] = {}
    for number, (item, field, low, high) in enumerate(zip(*rows.values(), strict=True), 1):
        if not isinstance(item, int) or not 0 <= item < items:
            raise file_error(path, f"item_id must be in 0..{items - 1}, got {item}", number)
        if not isinstance(field, str) or not field.strip():
            raise file_error(path, f"field must be a string that is not blank, got {field!r}", number)
        if not all(isinstance(end, float) for end in (low, high)):
            raise file_error(path, f"low and high must be numbers, got {low!r} and {high!r}", number)
        ends.setdefault(field, np.full((2, items), np.nan))[:, item] = low, high
    try:
        return {field: ItemNumbers(low, high) for field, (low, high) in ends.items()}
    except ValueError as error:
        raise file_error(path, str(error)) from None


def read_attribute_table(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Relation and value of every attribute."""
    table = read_table(path, ("attribute_id", "relation", "value"))
    _check_ids(path, table["attribute_id"].to_pylist(), "attribute_id")
    relations, values = table["relation"].to_pylist(), table["value"].to_pylist()
    for number, pair in enumerate(zip(relations, values, strict=True), 1):
        if not all(isinstance(text, str) for text in pair):
            raise file_error(path, "relation and value must be strings", number)
    return tuple(relations), tuple(values)


def read_user_table(path: Path, users: int) -> UserTable:
    """The users' ids in the source, and their profiles; a directory without the file knows none."""
    if not path.is_file():
        return UserTable((None,) * users)
    table = read_table(path, ("user_id", "source_id"))
    if table.num_rows != users:
        raise file_error(path, f"expected the {users} users of interactions.npz, got {table.num_rows}")
    _check_ids(path, table["user_id"].to_pylist(), "user_id")
    return UserTable(_source_ids(path, table), tuple(text or "" for text in _texts(path, table, "profile")))


def write_tables(
    path: Path,
    items: ItemTable,
    graph: AttributeGraph,
    users: UserTable,
    numbers: Mapping[str, ItemNumbers] | None = None,
) -> None:
    """The tables of the directory `path`."""
    count = len(items.titles)
    texts = items.texts or (None,) * count
    lengths = {field: own.low for field, own in (numbers or {}).items()}
    for name, column in {"years": items.years, "source ids": items.source_ids, "texts": texts, **lengths}.items():
        if len(column) != count:
            raise UserError(f"{path}: {count} titles but {len(column)} {name}")
    if len(users.profiles) not in (0, len(users.source_ids)):
        raise UserError(f"{path}: {len(users.source_ids)} users but {len(users.profiles)} profiles")
    tables = {
        "items": {
            "item_id": pa.array(range(count), pa.int64()),
            "title": pa.array(items.titles, pa.string()),
            "year": pa.array(items.years, pa.int32()),
            "source_id": pa.array(items.source_ids, pa.string()),
            **({"text": pa.array(texts, pa.string())} if items.texts else {}),
        },
        "attributes": {
            "attribute_id": pa.array(range(len(graph)), pa.int64()),
            "relation": pa.array(graph.relations, pa.string()),
            "value": pa.array(graph.values, pa.string()),
        },
        "users": {
            "user_id": pa.array(range(len(users.source_ids)), pa.int64()),
            "source_id": pa.array(users.source_ids, pa.string()),
            **({"profile": pa.array(users.profiles, pa.string())} if any(users.profiles) else {}),
        },
    }
    if numbers:
        tables["numbers"] = _number_columns(numbers)
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), path / f"{name}.parquet")


def find_row(name: str | int, what: str, rows: Mapping[str, int], count: int) -> int:
    """The row that a person names: by the source's id, else by its number. `UserError` where it is neither.

    rows: source id -> row. what: "user" or "item".
    """
    text = str(name).strip()
    if text in rows:
        return rows[text]
    if text.isascii() and text.isdigit() and len(text) <= 18 and int(text) < count:
        return int(text)
    if not count:
        raise UserError(f"{what} {text!r}: the dataset has no {what}s")
    known = ", ".join(repr(own) for own in islice(rows, 3))
    ids = f"{known}{', ...' if len(rows) > 3 else ''} ({len(rows)} ids), or a row, " if rows else "a row, "
    raise UserError(f"{what} {text[:80]!r} is not known: give {ids}0 to {count - 1}")


def rows_of(source_ids: Sequence[str | None]) -> dict[str, int]:
    """Source id -> row."""
    return {own: row for row, own in enumerate(source_ids) if own is not None}


def _number_columns(numbers: Mapping[str, ItemNumbers]) -> dict[str, pa.Array]:
    rows = {field: np.flatnonzero(own.known) for field, own in numbers.items()}
    return {
        "item_id": pa.array(np.concatenate([*rows.values()]), pa.int64()),
        "field": pa.array(np.repeat([*rows], [len(known) for known in rows.values()]), pa.string()),
        "low": pa.array(np.concatenate([numbers[field].low[known] for field, known in rows.items()]), pa.float64()),
        "high": pa.array(np.concatenate([numbers[field].high[known] for field, known in rows.items()]), pa.float64()),
    }


def _texts(path: Path, table: pa.Table, name: str) -> tuple[str | None, ...]:
    if name not in table.column_names:
        return ()
    texts = table[name].to_pylist()
    for number, text in enumerate(texts, 1):
        if text is not None and not isinstance(text, str):
            raise file_error(path, f"{name} must be a string or null, got {text!r}"[:200], number)
    return tuple(texts)


def _source_ids(path: Path, table: pa.Table) -> SourceIds:
    if "source_id" not in table.column_names or table["source_id"].null_count == table.num_rows:
        return (None,) * table.num_rows
    ids, rows = table["source_id"].to_pylist(), dict[str, int]()
    for number, own in enumerate(ids, 1):
        if own is None:
            continue
        if not isinstance(own, str) or not own.strip():
            raise file_error(path, f"source_id must be a string that is not blank, or null, got {own!r}", number)
        if own in rows:
            raise file_error(path, f"source_id {own!r} is that of row {rows[own]} too", number)
        rows[own] = number
    return tuple(ids)


def _check_ids(path: Path, ids: list[object], name: str) -> None:
    for number, value in enumerate(ids, 1):
        if value != number - 1:
            raise file_error(path, f"{name} must be 0..{len(ids) - 1} in order, got {value}", number)
