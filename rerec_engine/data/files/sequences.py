"""What users took next: targets with the history before them, of a log, or of files whose rows tell both.

Rows with histories (as published splits have them) keep their split: train, valid and test by the files' names. What
users took before is training matter as far as no held-out row asks for it: where there is no train file, the history of
a user's first held-out row, whose transitions lie before all that is asked of this user. Of a plain log each user's
last item is test, the one before it val, and the earlier ones train.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from rerec_engine.data.counts import Counts
from rerec_engine.data.files.items import clean_ids
from rerec_engine.data.files.log import parsed_lists
from rerec_engine.data.files.reading import TableFile
from rerec_engine.data.files.roles import Roles, find_roles
from rerec_engine.data.files.table import Rows
from rerec_engine.errors import UserError, file_error

HELD_OUT = ("val", "test")
_SPLITS = {"train": r"train", "val": r"val", "test": r"test"}


@dataclass(frozen=True)
class Target:
    """What a user took after a history, oldest first."""

    split: str
    user: int
    history: tuple[int, ...]
    item: int


@dataclass
class Sequences:
    """Targets in order, and by user the items that may be learned from, oldest first, before all held-out targets."""

    targets: list[Target]
    past: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def log(self, users: int, items: int) -> sp.csr_matrix:
        """[U, N] float32 of ones: what may be learned from."""
        pairs = [(user, item) for user, own in self.past.items() for item in dict.fromkeys(own)]
        rows, columns = np.array(pairs, np.int64).reshape(-1, 2).T
        return sp.csr_matrix((np.ones(len(pairs), np.float32), (rows, columns)), (users, items))


def of_log(histories: Sequence[np.ndarray]) -> Sequences:
    """Leave one out, twice: of users with three items at least; the others' items are but past."""
    found = Sequences([])
    for user, own in enumerate(histories):
        items = tuple(int(item) for item in own)
        held_out = 2 if len(items) >= 3 else 0
        found.past[user] = items[: len(items) - held_out]
        for place in range(1, len(items)):
            split = {len(items) - 1: "test", len(items) - 2: "val"}.get(place, "train") if held_out else "train"
            found.targets.append(Target(split, user, items[:place], items[place]))
    return found


def has_histories(paths: Sequence[Path], given: Mapping[str, str]) -> bool:
    """Whether the files' rows tell histories."""
    return bool(paths) and "history" in _roles(TableFile(paths[0]), given).columns


def of_rows(
    paths: Sequence[Path],
    given: Mapping[str, str],
    items: Mapping[str, int],
    users: Mapping[str, int],
    counts: Counts,
    skip_bad: bool = False,
) -> Sequences:
    """The rows of files with histories. given: columns by role; items, users: numbers by the source's ids.

    Raises UserError for a file whose name tells no split, or two files of one, and for a broken row unless such are
    skipped: one without a history, a user, an item, or with one that is not in the catalogue.
    """
    rows: dict[str, list[Target]] = {}
    for path in paths:
        split = _split_of(path)
        if split in rows:
            raise file_error(path, f"a second file of the split {split}: give one of each, train, valid and test")
        rows[split] = _read(path, split, given, items, users, counts, skip_bad)
    held_out = [target for split in HELD_OUT for target in rows.get(split, [])]
    found = Sequences(rows.get("train", []))
    for target in found.targets:
        known = (*found.past.get(target.user, ()), *target.history, target.item)
        found.past[target.user] = tuple(dict.fromkeys(known))
    if not found.targets:
        first: dict[int, Target] = {}
        for target in held_out:
            first.setdefault(target.user, target)
        for user, target in first.items():
            own = found.past[user] = target.history
            found.targets += [Target("train", user, own[:place], own[place]) for place in range(1, len(own))]
        kind = "targets (train: histories of each user's first held-out row)"
        counts.read(kind, len(found.targets))
        counts.keep(kind, len(found.targets))
    found.targets += held_out
    return found


def _read(
    path: Path,
    split: str,
    given: Mapping[str, str],
    items: Mapping[str, int],
    users: Mapping[str, int],
    counts: Counts,
    skip_bad: bool,
) -> list[Target]:
    file = TableFile(path)
    names = _roles(file, given).columns
    rows = Rows(counts, f"targets ({path.name})", skip_bad)
    table = file.read(rows, list(dict.fromkeys(names.values())))
    own_users, own_items = (clean_ids(table.column(names[role])).to_pylist() for role in ("user", "item"))
    lists = _cleaned(parsed_lists(table.column(names["history"])))
    targets = []
    for row, (user, item, history) in enumerate(zip(own_users, own_items, lists, strict=True)):
        ids = [item, *history]
        unknown = next((name for name in ids if name not in items), None)
        if not history or user not in users or not set(ids) <= items.keys():
            what = "its history is no list of items" if not history else f"item {unknown} is not in the catalogue"
            rows.broken(*table.place(row), what if user in users else f"user {user} is unknown")
            continue
        numbers = [items[name] for name in ids]
        targets.append(Target(split, users[user], tuple(numbers[1:]), numbers[0]))
    counts.keep(rows.kind, len(targets))
    return targets


def _cleaned(lists: Sequence[list[str] | None]) -> list[list[str]]:
    """Ids as `clean_ids` has them; a cell that is no list as one without items."""
    ids = iter(clean_ids(pa.array([name for own in lists for name in own or ()], pa.string())).to_pylist())
    return [[next(ids) for _ in own or ()] for own in lists]


def _roles(file: TableFile, given: Mapping[str, str]) -> Roles:
    return find_roles(file.path, "interactions", file.columns, given)


def _split_of(path: Path) -> str:
    found = [split for split, word in _SPLITS.items() if re.search(rf"(?i){word}", path.name)]
    if len(found) != 1:
        raise UserError(f"{path}: which split is it? Its name must hold one of train, valid, test")
    return found[0]
