"""What a dataset is made from: the items of a catalogue file, their attributes, and who interacted with what.

Source ids stay strings until they are joined, so that MovieLens numbers and ASINs go the same way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from rerec_engine.data import atomic
from rerec_engine.data.counts import Counts
from rerec_engine.data.files.cells import is_missing
from rerec_engine.data.tables import (
    ItemRow,
    attribute_label,
    integer,
    lines_of,
    parse_id_pair,
    parse_item_list,
    parse_lines,
    parse_movie,
    parse_rating,
    parse_triple,
    title_year,
)
from rerec_engine.errors import file_error

Triple = tuple[int, str, str]


@dataclass
class SourceItems:
    """Items 0..N-1 and the source ids that stand for them; entries of one title are one item (18 pairs in ML-100K)."""

    titles: list[str] = field(default_factory=list)
    years: list[int | None] = field(default_factory=list)
    index: dict[str, int] = field(default_factory=dict)
    triples: list[Triple] = field(default_factory=list)
    """Attributes that the catalogue file itself names: genres."""
    _by_title: dict[str, int] = field(default_factory=dict)

    @property
    def source_ids(self) -> list[str | None]:
        """The source's id of every item; of merged entries, the first's."""
        ids: list[str | None] = [None] * len(self.titles)
        for own, item in reversed(self.index.items()):
            ids[item] = own
        return ids

    def add(self, source_id: str, title: str, year: int | None, genres: Iterable[str] = ()) -> bool:
        """Add an entry; False where its title is that of an earlier one, with which it is merged."""
        if source_id in self.index:
            raise ValueError(f"id {source_id} occurs twice")
        item = self._by_title.setdefault(title, len(self.titles))
        new = item == len(self.titles)
        if new:
            self.titles.append(title)
            self.years.append(year)
        self.index[source_id] = item
        self.triples += [(item, "genre", genre) for genre in genres]
        return new


@dataclass
class Interactions:
    """Who interacted with what, in the source's order; edge e is (user[e], item[e])."""

    users: dict[str, int]  # source id -> row
    user: np.ndarray  # [E] int64
    item: np.ndarray  # [E] int64
    time: np.ndarray | None = None  # [E] int64, seconds; None where the source has no timestamps

    @property
    def user_ids(self) -> list[str]:
        """The source's id of every user."""
        return sorted(self.users, key=self.users.__getitem__)

    def matrix(self, item_count: int, keep: np.ndarray | None = None) -> sp.csr_matrix:
        """[U, N] float32 of ones; keep is a mask of edges."""
        user, item = (self.user, self.item) if keep is None else (self.user[keep], self.item[keep])
        matrix = sp.csr_matrix((np.ones(len(user), np.float32), (user, item)), (len(self.users), item_count))
        matrix.sum_duplicates()
        matrix.data[:] = 1
        return matrix

    def sequences(self) -> list[np.ndarray]:
        """Edge numbers of every user, by time where there is one (ties and no times: in the source's order)."""
        keys = (self.user,) if self.time is None else (self.time, self.user)
        order = np.lexsort(keys)
        bounds = np.searchsorted(self.user[order], np.arange(len(self.users) + 1))
        return [order[bounds[u] : bounds[u + 1]] for u in range(len(self.users))]


def no_interactions(item_count: int) -> sp.csr_matrix:
    """The matrix of a source without users: [0, N]."""
    return sp.csr_matrix(np.zeros((0, item_count), np.float32))


def read_items(path: Path, counts: Counts, *, skip_bad: bool = False) -> SourceItems:
    """A catalogue: `ID::Title::Genres` (.dat), RecBole (.item), or tab-separated id, title[, year] (anything else)."""
    items, kind = SourceItems(), f"items ({path.name})"
    for line, (source_id, title, year, genres) in _item_rows(path, counts, kind, skip_bad):
        try:
            new = items.add(source_id, title, year, genres)
        except ValueError as error:
            if not skip_bad:
                raise file_error(path, str(error), line) from None
            counts.drop(kind, "broken row", f"{path.name}:{line}: {error}")
            continue
        if new:
            counts.keep(kind)
        else:
            counts.drop(kind, "merged with an item of the same title", f"{path.name}:{line}: {title}")
    if not items.titles:
        raise file_error(path, "holds no item")
    return items


def _item_rows(path: Path, counts: Counts, kind: str, skip_bad: bool) -> Iterator[tuple[int, ItemRow]]:
    if path.suffix == ".dat":
        for line, (source_id, title, genres) in parse_lines(path, parse_movie, counts, kind, skip_bad=skip_bad):
            yield line, (source_id, title, title_year(title), genres)
    elif path.suffix == ".item":
        yield from parse_lines(path, atomic.item_parser(path), counts, kind, skip_bad=skip_bad, header=True)
    else:
        header = next(lines_of(path), (1, ""))[1].split("\t")[0].strip().lower() in ("id", "item_id", "movielens_id")
        yield from parse_lines(path, parse_tab_item, counts, kind, skip_bad=skip_bad, header=header)


def parse_tab_item(line: str) -> ItemRow:
    """`id<TAB>title[<TAB>year]` -> (id, title, year, no genres)."""
    parts = [part.strip() for part in line.split("\t")]
    if len(parts) not in (2, 3) or not all(parts[:2]):
        raise ValueError(f"expected id, title and perhaps year separated by tabs, got {len(parts)} fields")
    year = integer(parts[2], "year") if len(parts) == 3 and parts[2] else title_year(parts[1])
    return parts[0], parts[1], year, []


def read_attributes(path: Path, items: SourceItems, counts: Counts, *, skip_bad: bool = False) -> list[Triple]:
    """`source item id<TAB>relation<TAB>value` lines, a header allowed; an unknown item is a broken row.

    A value that says that there is none ("N/A", "(no genres listed)") is dropped and counted.
    """
    kind, triples = f"attributes ({path.name})", []
    first = next(lines_of(path), (1, ""))[1].lower().split("\t")
    header = len(first) == 3 and first[1].strip() == "relation"
    for line, (source_id, relation, value) in parse_lines(
        path, parse_triple, counts, kind, skip_bad=skip_bad, header=header
    ):
        item = items.index.get(source_id, -1)
        if item < 0:
            _unknown(path, line, f"item {source_id} is not in the catalogue", counts, kind, skip_bad)
            continue
        if is_missing(value):
            counts.drop(kind, "no value", f"{path.name}:{line}")
            continue
        triples.append((item, relation, attribute_label(value)))
        counts.keep(kind)
    return triples


def read_ratings(path: Path, items: SourceItems, counts: Counts, *, skip_bad: bool = False) -> Interactions:
    """MovieLens `ratings.dat` or RecBole `.inter`: every rating, whatever its value, is an interaction."""
    kind = f"ratings ({path.name})"
    is_atomic = path.suffix == ".inter"
    if is_atomic:
        atomic.check_header(path, ("user_id", "item_id", "rating", "timestamp"))
    parse = atomic.parse_rating if is_atomic else parse_rating
    users: dict[str, int] = {}
    edges: list[tuple[int, int, int]] = []
    seen: set[tuple[int, int]] = set()
    for line, (user, source_id, _, time) in parse_lines(path, parse, counts, kind, skip_bad=skip_bad, header=is_atomic):
        item = items.index.get(source_id, -1)
        if item < 0:
            _unknown(path, line, f"item {source_id} is not in the catalogue", counts, kind, skip_bad)
            continue
        edge = (users.setdefault(user, len(users)), item)
        if edge in seen:
            counts.drop(kind, "repeated (user, item)", f"{path.name}:{line}")
            continue
        seen.add(edge)
        edges.append((*edge, time))
        counts.keep(kind)
    array = np.array(edges, np.int64).reshape(-1, 3)
    return Interactions(users, array[:, 0], array[:, 1], array[:, 2])


@dataclass(frozen=True)
class IdMaps:
    """item_map.txt and user_map.txt of the KGRec form of ML-1M."""

    item_of: dict[str, str]  # internal -> source id
    users: dict[str, int]  # source id -> row


def read_id_maps(folder: Path, counts: Counts, *, skip_bad: bool = False) -> IdMaps:
    """The two maps of a folder; internal user ids must be 0..U-1."""
    items = _id_map(folder / "item_map.txt", counts, skip_bad)
    users = {original: int(internal) for original, internal in _id_map(folder / "user_map.txt", counts, skip_bad)}
    if sorted(users.values()) != list(range(len(users))):
        raise file_error(folder / "user_map.txt", f"internal ids must be 0..{len(users) - 1}")
    return IdMaps({internal: original for original, internal in items}, users)


def read_item_lists(
    path: Path, maps: IdMaps, items: SourceItems, counts: Counts, *, skip_bad: bool = False
) -> Interactions:
    """`uid iid iid ...` lines of internal ids, joined through the id maps."""
    kind, edges = f"user rows ({path.name})", list[tuple[int, int]]()
    item_of = {internal: items.index.get(source, -1) for internal, source in maps.item_of.items()}
    for line, (user, *internals) in parse_lines(path, parse_item_list, counts, kind, skip_bad=skip_bad):
        joined = [item_of.get(internal, -1) for internal in internals]
        if -1 in joined or not 0 <= int(user) < len(maps.users):
            what = f"item {internals[joined.index(-1)]}" if -1 in joined else f"user {user}"
            _unknown(path, line, f"{what} is in no id map or not in the catalogue", counts, kind, skip_bad)
            continue
        edges += [(int(user), item) for item in joined]
        counts.keep(kind)
    counts.note(f"interactions ({path.name})", len(edges))
    array = np.array(edges, np.int64).reshape(-1, 2)
    return Interactions(maps.users, array[:, 0], array[:, 1])


_FREEBASE = re.compile(r"[mg]\.[0-9a-z_]+")
_TITANIC, _SWAN_PRINCESS = "313", "m.0b8l01"


def read_kg(
    path: Path, link: Path, items: SourceItems, counts: Counts, *, skip_bad: bool = False, named: bool = False
) -> list[Triple]:
    """RecBole `.kg` triples whose head is an item's entity in `.link`. named: a tail that is an item's entity becomes
    its title, one that is another id of Freebase is dropped.

    Freebase states most relations in both directions (film.film.actor, film.actor.film): an edge that only ends at an
    item is the inverse of one that starts there, and is dropped as such. RecBole's ml-100k.link has the film ids of
    ML-1M, so that nearly every film of ML-100K has another's entity: it is dropped as a whole.
    """
    atomic.check_header(link, ("item_id", "entity_id"))
    atomic.check_header(path, ("head_id", "relation_id", "tail_id"))
    kind, items_of = f"links ({link.name})", dict[str, list[int]]()
    foreign = 0
    for line, (source_id, entity) in parse_lines(link, parse_id_pair, counts, kind, skip_bad=skip_bad, header=True):
        if source_id not in items.index:
            _unknown(link, line, f"item {source_id} is not in the catalogue", counts, kind, skip_bad)
            continue
        items_of.setdefault(entity, []).append(items.index[source_id])
        counts.keep(kind)
        if source_id == _TITANIC and entity == _SWAN_PRINCESS:
            foreign += "Titanic" in items.titles[items.index[source_id]]
    if foreign:
        counts.drop(kind, "an id of ML-1M, where the catalogue has ML-100K's", number=counts.kept_by_kind.pop(kind))
        return []
    kind, triples = f"attributes ({path.name})", []
    for _, (head, relation, tail) in parse_lines(path, parse_triple, counts, kind, skip_bad=skip_bad, header=True):
        if head in items_of and named and _FREEBASE.fullmatch(tail):
            if tail not in items_of:
                counts.drop(kind, "an entity without a name")
                continue
            tail = items.titles[items_of[tail][0]]
        if head in items_of:
            triples += [(item, relation, tail) for item in items_of[head]]
            counts.keep(kind)
        else:
            counts.drop(kind, "inverse of an item's edge" if tail in items_of else "of no item")
    return triples


def _id_map(path: Path, counts: Counts, skip_bad: bool) -> list[tuple[str, str]]:
    kind, pairs = f"ids ({path.name})", []
    for line, pair in parse_lines(path, parse_id_pair, counts, kind, skip_bad=skip_bad):
        try:
            integer(pair[1], "internal id")
        except ValueError as error:
            _unknown(path, line, str(error), counts, kind, skip_bad)
            continue
        pairs.append(pair)
        counts.keep(kind)
    for side in (0, 1):
        if len({pair[side] for pair in pairs}) != len(pairs):
            raise file_error(path, "an id occurs twice")
    return pairs


def _unknown(path: Path, line: int, message: str, counts: Counts, kind: str, skip_bad: bool) -> None:
    if not skip_bad:
        raise file_error(path, message, line)
    counts.drop(kind, "broken row", f"{path.name}:{line}: {message}")
