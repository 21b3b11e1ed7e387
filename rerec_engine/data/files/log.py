"""Who took what, and when: a log as arrays, however long it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rerec_engine.data.files.cells import parse_list
from rerec_engine.data.files.items import clean_ids
from rerec_engine.data.files.roles import Roles
from rerec_engine.data.files.table import Rows, Table, is_list, whole
from rerec_engine.data.files.times import times_of
from rerec_engine.errors import file_error

_MARKS = re.compile(r"[\[\](){}'\",;|]")
REPEATED = "repeated (user, item)"


@dataclass(eq=False)
class Log:
    """Edge e is (user[e], item[e]), oldest first for every user; each pair once."""

    user_ids: list[str]  # [U]
    user: np.ndarray  # [E] int64, ascending
    item: np.ndarray  # [E] int64
    told: list[tuple[str, str]]
    """By column, what it is."""

    def histories(self) -> list[np.ndarray]:
        """[U], each user's items, oldest first."""
        return np.split(self.item, np.searchsorted(self.user, np.arange(1, len(self.user_ids))))


def read_log(table: Table, roles: Roles, item_ids: pa.Array, rows: Rows) -> Log:
    """The log over the items with these ids. Raises UserError for a broken row unless such are skipped.

    A row is broken that has no user or no item, names an item that is not in the catalogue, or a time that is none. A
    pair that occurs again is counted, and its first time is kept.
    """
    names = roles.columns
    told = roles.all_told()
    if "history" in names:
        table, names = unrolled(table, names, rows), {role: role for role in ("user", "item", "time")}
    users = clean_ids(table.column(names["user"]))
    items = clean_ids(table.column(names["item"]))
    item = whole(pc.index_in(items, value_set=item_ids.cast(items.type))).fill_null(-1).to_numpy(zero_copy_only=False)
    seconds = np.zeros(table.count)
    broken = users.is_null().to_numpy(zero_copy_only=False) | (item < 0)
    wrong = np.zeros(table.count, bool)
    if "time" in names:
        column = table.column(names["time"])
        times = times_of(column)
        empty = column.is_null().to_numpy(zero_copy_only=False)
        if times.known.sum() >= 0.5 * (~empty).sum() > 0:
            seconds, wrong = times.seconds, ~times.known & ~empty
            _retell(told, (names["time"], f"{roles.told('time')}: {times.form}"))
        elif "time" in roles.given:
            raise file_error(table.path, f"column {names['time']!r} holds no times: {_first(column)!r}")
        else:
            _retell(told, (names["time"], f"left out: holds no times such as 2024-05-31: {_first(column)!r}"))

    def reason(row: int) -> str:
        if not items[row].is_valid or not users[row].is_valid:
            return f"the {'user' if items[row].is_valid else 'item'} is empty"
        if item[row] < 0:
            return f"item {items[row]} is not in the catalogue"
        return f"{column[row].as_py()!r} is no time"

    good = ~(broken | wrong)
    table.without_broken(~good, reason, rows)
    codes = users.filter(pa.array(good)).dictionary_encode()
    user = codes.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    kept = _first_of_each(user, item[good].astype(np.int64), seconds[good], len(item_ids))
    if len(user) > len(kept):
        rows.counts.drop(rows.kind, REPEATED, number=len(user) - len(kept))
    rows.counts.keep(rows.kind, len(kept))
    return Log(codes.dictionary.to_pylist(), user[kept], item[good][kept].astype(np.int64), told)


def unrolled(table: Table, names: Mapping[str, str], rows: Rows) -> Table:
    """Rows that tell what a user took before as a row for each: the history's, then the item. The file is in time.

    Every such row counts as read.
    """
    column = table.column(names["history"])
    cells = column.to_pylist()
    parsed = parsed_lists(column)
    broken = np.array([own is None for own in parsed])
    good = table.without_broken(broken, lambda row: f"{cells[row][:40]!r} is no list of items", rows)
    lists: list[list[str]] = [own for own in parsed if own is not None]
    items = [*zip(lists, good.column(names["item"]).to_pylist(), strict=True)]
    sizes = np.array([len(own) + 1 for own in lists], np.int64)
    parents = np.repeat(np.arange(len(lists)), sizes)
    data = pa.table(
        {
            "user": good.column(names["user"]).take(pa.array(parents)),
            "item": pa.array([item for own, last in items for item in (*own, last)], pa.string()),
            "time": pa.array(np.arange(len(parents)).astype(str), pa.string()),
        }
    )
    rows.counts.read(rows.kind, len(parents) - len(lists))
    numbers = np.arange(good.count) if good.rows is None else good.rows
    return replace(good, data=data, rows=numbers[parents])


def parsed_lists(column: pa.Array) -> list[list[str] | None]:
    """The lists in a column's cells, empty for an empty one; None for a cell that is none."""
    return [cell or [] if is_list(column) else _listed(cell) if cell else [] for cell in column.to_pylist()]


def _listed(cell: str) -> list[str] | None:
    """A list as JSON or Python write it, or ids with blanks between them; None where it is neither."""
    return parse_list(cell) if _MARKS.search(cell) else cell.split()


def _first_of_each(user: np.ndarray, item: np.ndarray, seconds: np.ndarray, item_count: int) -> np.ndarray:
    """Edges, by user and time, of which each (user, item) is the first."""
    order = np.lexsort((seconds, user))  # stable: rows of one time stay in the file's order
    pairs = user[order] * item_count + item[order]
    first = np.unique(pairs, return_index=True)[1]
    first.sort()
    return np.asarray(order[first])


def _retell(told: list[tuple[str, str]], line: tuple[str, str]) -> None:
    told[:] = [line if column == line[0] else (column, what) for column, what in told]


def _first(column: pa.Array) -> str:
    """The first cell that is not empty."""
    known = column.drop_null()
    return str(known[0])[:40] if len(known) else ""
