"""A catalogue out of files: items, their attributes and numbers, and who took what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import scipy.sparse as sp

from rerec_engine.data.counts import Counts
from rerec_engine.data.description import DatasetDescription, Number
from rerec_engine.data.files.columns import Attribute, Choices
from rerec_engine.data.files.hub import hub_address
from rerec_engine.data.files.items import FileItems, items_of_log, read_items
from rerec_engine.data.files.log import Log, read_log
from rerec_engine.data.files.presets import Preset, with_preset
from rerec_engine.data.files.reading import TableFile
from rerec_engine.data.files.roles import FLAGS, Roles, find_roles, known_name, parse_pairs
from rerec_engine.data.files.table import Rows, Table, joined
from rerec_engine.data.files.triples import read_triples
from rerec_engine.data.files.users import check_parts, read_profiles
from rerec_engine.data.knowledge import Knowledge
from rerec_engine.data.options import FilesOptions
from rerec_engine.data.sources import SourceItems, no_interactions
from rerec_engine.errors import UserError
from rerec_engine.graph.attributes import AttributeGraph


@dataclass(frozen=True)
class FileSources:
    """The files of a catalogue."""

    items: Path | None
    interactions: tuple[Path, ...] = ()
    attributes: Path | None = None
    users: Path | None = None
    preset: Preset | None = None
    folder: Path | None = None
    """Where the preset's files are."""

    def __str__(self) -> str:
        paths = [path for path in (self.items, self.attributes, *self.interactions, self.users) if path]
        return ", ".join(str(hub_address(path) or path) for path in paths)


@dataclass(eq=False)
class FileCatalogue:
    """What was read. told: by file, what every column was taken as."""

    knowledge: Knowledge
    items: SourceItems
    interactions: sp.csr_matrix  # [U, N]
    user_ids: list[str]
    counts: Counts
    told: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def told_text(self) -> str:
        """The same for a screen."""
        width = max(len(column) for lines in self.told.values() for column, _ in lines)
        return "\n\n".join(
            "\n".join([name, *(f"  {column.ljust(min(width, 24))}  {what}" for column, what in lines)])
            for name, lines in self.told.items()
        )


def read_catalogue(sources: FileSources, options: FilesOptions) -> FileCatalogue:
    """Read everything. Raises UserError naming file and line for what is broken, unless such rows are skipped."""
    counts, told = Counts(), dict[str, list[tuple[str, str]]]()
    if sources.preset:
        options = with_preset(options, sources.preset)
    given = {kind: _given(options, kind) for kind in FLAGS}
    logs = [_open(path, "interactions", given["interactions"]) for path in sources.interactions]
    item_columns: Sequence[str] = ()
    items = None
    if sources.items is not None:
        file = _open(sources.items, "items", given["items"])
        item_columns = file.columns
        fields = sources.preset.fields if sources.preset else ()
        items = _read_items(file, given["items"], logs[0].columns if logs else [], options, counts, told, fields)
    table, roles = _read_logs(logs, given["interactions"], item_columns, options, counts) if logs else (None, None)
    if items is None:
        if table is None or roles is None:
            raise UserError("give --items FILE")
        items = items_of_log(table.column(roles.columns["item"]), options.noun)
        told["items"] = [("", "none given: made of the interactions' ids, with titles of noun and id")]
    attributes = [*items.attributes, *_read_attributes(sources, given["attributes"], items, options, counts, told)]
    log = None
    if table is not None and roles is not None:
        rows = _log_rows(logs, options, counts)
        log = read_log(table, roles, items.ids, rows)
        log.told.extend(
            (name, "left out: a row is one choice, whatever else it says")
            for name in logs[0].columns
            if name not in roles.columns.values()
        )
        told[f"interactions {', '.join(file.path.name for file in logs)}: {table.told}"] = log.told
    profiles = _read_users(sources, given["users"], logs, log, options, counts, told)
    return _assembled(items, attributes, log, profiles, options, counts, told)


def _log_rows(logs: Sequence[TableFile], options: FilesOptions, counts: Counts) -> Rows:
    return Rows(counts, f"interactions ({', '.join(file.path.name for file in logs)})", options.skip_bad)


def _read_logs(
    logs: Sequence[TableFile],
    given: Mapping[str, str],
    item_columns: Sequence[str],
    options: FilesOptions,
    counts: Counts,
) -> tuple[Table, Roles]:
    first = logs[0]
    roles = find_roles(first.path, "interactions", first.columns, given, item_columns)
    wanted = list(dict.fromkeys(roles.columns.values()))
    rows = _log_rows(logs, options, counts)
    return joined([file.read(rows, wanted) for file in logs]), roles


def _read_attributes(
    sources: FileSources,
    given: Mapping[str, str],
    items: FileItems,
    options: FilesOptions,
    counts: Counts,
    told: dict[str, list[tuple[str, str]]],
) -> list[Attribute]:
    """Of the file of triples, and of what the preset joins."""
    found: list[Attribute] = []
    if sources.attributes is not None:
        file = _open(sources.attributes, "attributes", given)
        roles = find_roles(file.path, "attributes", file.columns, given)
        rows = Rows(counts, f"attributes ({file.path.name})", options.skip_bad)
        table = file.read(rows, list(dict.fromkeys(roles.columns.values())))
        found += read_triples(table, roles, items.ids, rows)
        told[f"attributes {file.path.name}: {table.told}"] = roles.all_told()
    if sources.preset and sources.preset.attributes and sources.folder:
        rows = Rows(counts, "attributes (joined)", options.skip_bad)
        made = sources.preset.attributes(sources.folder, rows, items)
        if made is not None:
            rows.counts.read(rows.kind, made.count)
            own = made.column("item")
            known = pc.is_in(own, value_set=items.ids.cast(own.type)).to_numpy(zero_copy_only=False)
            made.tell_dropped(~known, "of an item that was left out", rows)
            made = made.where(known)
            found += read_triples(made, Roles({name: name for name in made.columns}), items.ids, rows)
            told[f"attributes {made.path.name}: {made.told}"] = [(name, name) for name in made.columns]
    return found


def _read_users(
    sources: FileSources,
    given: Mapping[str, str],
    logs: Sequence[TableFile],
    log: Log | None,
    options: FilesOptions,
    counts: Counts,
    told: dict[str, list[tuple[str, str]]],
) -> list[str]:
    """Profiles of the log's users; empty where there is no file of users."""
    if sources.users is None:
        return []
    if log is None:
        raise UserError("--users needs --interactions: a profile is of somebody who took something")
    file = _open(sources.users, "users", given)
    roles = find_roles(file.path, "users", file.columns, given, logs[0].columns)
    check_parts(file.path, roles)
    rows = Rows(counts, f"users ({file.path.name})", options.skip_bad)
    table = file.read(rows, list(dict.fromkeys(roles.columns.values())))
    unused = [(name, "left out: no part of a profile") for name in file.columns if name not in roles.columns.values()]
    told[f"users {file.path.name}: {table.told}"] = roles.all_told() + unused
    return read_profiles(table, roles, log.user_ids, rows, sources.preset.occupations if sources.preset else ())


def _assembled(
    items: FileItems,
    attributes: Sequence[Attribute],
    log: Log | None,
    profiles: Sequence[str],
    options: FilesOptions,
    counts: Counts,
    told: dict[str, list[tuple[str, str]]],
) -> FileCatalogue:
    ids = items.ids.to_pylist()
    description = DatasetDescription(
        noun=options.noun.strip(),
        plural=options.plural.strip(),
        form=options.form,
        numbers={number.field: Number(number.unit, number.field) for number in items.numbers},
        facts=options.facts,
        order=options.order,
    )
    knowledge = Knowledge(
        titles=items.titles,
        years=items.years,
        attributes=graph_of(attributes, items.count),
        description=description,
        numbers={number.field: number.numbers for number in items.numbers},
        texts=items.texts if any(items.texts) else (),
        histories=log.histories() if log else (),
        profiles=profiles,
    )
    return FileCatalogue(
        knowledge,
        SourceItems(items.titles, items.years, {own: item for item, own in enumerate(ids)}),
        _matrix(log, items.count) if log else no_interactions(items.count),
        log.user_ids if log else [],
        counts,
        told,
    )


def graph_of(attributes: Sequence[Attribute], item_count: int) -> AttributeGraph:
    """The attributes as one graph, numbered column by column."""
    index: dict[tuple[str, str], int] = {}
    rows, columns = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for attribute in attributes:
        own = [index.setdefault((attribute.relation, value), len(index)) for value in attribute.values]
        rows.append(attribute.rows)
        columns.append(np.array(own, np.int64)[attribute.codes])
    row, column = np.concatenate(rows), np.concatenate(columns)
    matrix = sp.csr_matrix((np.ones(len(row), np.int32), (row, column)), (item_count, len(index)))
    matrix.sum_duplicates()
    matrix = sp.csr_matrix((np.ones(matrix.nnz, np.int8), matrix.indices, matrix.indptr), matrix.shape)
    return AttributeGraph(tuple(r for r, _ in index), tuple(v for _, v in index), matrix)


def _matrix(log: Log, item_count: int) -> sp.csr_matrix:
    starts = np.searchsorted(log.user, np.arange(len(log.user_ids) + 1))
    matrix = sp.csr_matrix((np.ones(len(log.item), np.float32), log.item, starts), (len(log.user_ids), item_count))
    matrix.sort_indices()
    return matrix


def _read_items(
    file: TableFile,
    given: Mapping[str, str],
    log_columns: Sequence[str],
    options: FilesOptions,
    counts: Counts,
    told: dict[str, list[tuple[str, str]]],
    fields: Sequence[str] = (),
) -> FileItems:
    rows = Rows(counts, f"items ({file.path.name})", options.skip_bad)
    table = file.read(rows, fields or None)
    roles = find_roles(file.path, "items", table.columns, given, log_columns)
    named = parse_pairs(options.split, "--split")
    for name in (*named, *options.whole, *options.ignore):
        if name not in table.columns:
            raise UserError(f"{file.path}: there is no column {name!r} (it has {', '.join(table.columns[:12])})")
    choices = Choices(named, frozenset(options.whole), roles.renamed)
    items = read_items(table, roles, rows, choices, options.ignore)
    told[f"items {file.path.name}: {table.told}"] = items.told
    for how, number in items.renamed.items():
        counts.note(f"titles that several items have, made distinct by {how}", number)
    return items


def given_columns(sources: FileSources, options: FilesOptions) -> dict[str, str]:
    """Columns of the interactions by role, the caller's and the preset's."""
    return _given(with_preset(options, sources.preset) if sources.preset else options, "interactions")


def _given(options: FilesOptions, kind: str) -> dict[str, str]:
    words = {
        "items": options.item_columns,
        "interactions": options.interaction_columns,
        "attributes": options.attribute_columns,
        "users": options.user_columns,
    }
    return parse_pairs(words[kind], FLAGS[kind])


def _open(path: Path, kind: str, given: Mapping[str, str]) -> TableFile:
    """The file; one whose columns are named by their places alone has no header, unless that names a role."""
    file = TableFile(path)
    by_place = bool(given) and all(column.isdigit() for column in given.values())
    if by_place and file.header and not any(known_name(name, kind) for name in file.columns):
        return TableFile(path, header=False)
    return file
