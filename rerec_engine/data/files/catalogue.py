"""A catalogue out of files: items, their attributes and numbers, and who took what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from rerec_engine.data.counts import Counts
from rerec_engine.data.description import DatasetDescription, Number
from rerec_engine.data.files.columns import Attribute, Choices
from rerec_engine.data.files.items import FileItems, read_items
from rerec_engine.data.files.log import Log, read_log
from rerec_engine.data.files.reading import TableFile
from rerec_engine.data.files.roles import FLAGS, find_roles, known_name, parse_pairs
from rerec_engine.data.files.table import Rows
from rerec_engine.data.files.triples import read_triples
from rerec_engine.data.knowledge import Knowledge
from rerec_engine.data.options import FilesOptions
from rerec_engine.data.sources import SourceItems, no_interactions
from rerec_engine.errors import UserError
from rerec_engine.graph.attributes import AttributeGraph


@dataclass(frozen=True)
class FileSources:
    """The files of a catalogue."""

    items: Path
    interactions: Path | None = None
    attributes: Path | None = None

    def __str__(self) -> str:
        return ", ".join(str(path) for path in (self.items, self.attributes, self.interactions) if path)


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
    given = {kind: _given(options, kind) for kind in FLAGS}
    files = {
        kind: _open(path, kind, given[kind])
        for kind, path in (
            ("items", sources.items),
            ("interactions", sources.interactions),
            ("attributes", sources.attributes),
        )
        if path is not None
    }
    log_columns = files["interactions"].columns if "interactions" in files else []
    items = _read_items(files["items"], given["items"], log_columns, options, counts, told)
    attributes = list(items.attributes)
    if "attributes" in files:
        file = files["attributes"]
        roles = find_roles(file.path, "attributes", file.columns, given["attributes"])
        rows = Rows(counts, f"attributes ({file.path.name})", options.skip_bad)
        table = file.read(rows, list(roles.columns.values()))
        attributes += read_triples(table, roles, items.ids, rows)
        told[f"attributes {file.path.name}: {table.told}"] = roles.all_told()
    log = None
    if "interactions" in files:
        file = files["interactions"]
        roles = find_roles(file.path, "interactions", file.columns, given["interactions"], files["items"].columns)
        rows = Rows(counts, f"interactions ({file.path.name})", options.skip_bad)
        table = file.read(rows, list(dict.fromkeys(roles.columns.values())))
        log = read_log(table, roles, items.ids, rows)
        unread = [name for name in file.columns if name not in roles.columns.values()]
        log.told.extend((name, "left out: a row is one choice, whatever else it says") for name in unread)
        told[f"interactions {file.path.name}: {table.told}"] = log.told
    return _assembled(items, attributes, log, options, counts, told)


def _assembled(
    items: FileItems,
    attributes: Sequence[Attribute],
    log: Log | None,
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
) -> FileItems:
    rows = Rows(counts, f"items ({file.path.name})", options.skip_bad)
    table = file.read(rows)
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


def _given(options: FilesOptions, kind: str) -> dict[str, str]:
    words = {"items": options.item_columns, "interactions": options.interaction_columns}
    return parse_pairs(words.get(kind, options.attribute_columns), FLAGS[kind])


def _open(path: Path, kind: str, given: Mapping[str, str]) -> TableFile:
    """The file; one whose columns are named by their places alone has no header, unless that names a role."""
    file = TableFile(path)
    by_place = bool(given) and all(column.isdigit() for column in given.values())
    if by_place and file.header and not any(known_name(name, kind) for name in file.columns):
        return TableFile(path, header=False)
    return file
