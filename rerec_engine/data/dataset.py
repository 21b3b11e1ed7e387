"""The dataset directory: written whole or not at all, and validated when read.

items.parquet            item_id 0..N-1, title (distinct), year and source_id (null where unknown), perhaps text
numbers.parquet          item_id, field, low, high: prices, players ...; there where some item has a number
attributes.parquet       attribute_id 0..A-1, relation, value
users.parquet            user_id 0..U-1, source_id (null where unknown), perhaps profile
dataset.json             noun of the items, form of the prompts, wording of the relations: `description`
item_attributes.npz      SciPy CSR [N, A] int8          interactions.npz   SciPy CSR [U, N] float32
item_embeddings.safetensors   tensor item_embeddings [N, d] float32, unit rows
train|val|test.parquet   rows as in `rows`, verl's columns
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp

from rerec_engine.data.counts import Counts
from rerec_engine.data.description import DatasetDescription, read_description, write_description
from rerec_engine.data.directory import (
    ItemTable,
    SourceIds,
    UserTable,
    find_row,
    read_attribute_table,
    read_item_table,
    read_numbers,
    read_user_table,
    rows_of,
    write_tables,
)
from rerec_engine.data.rows import COLUMNS, NAMED_FIELDS, ItemResolver, RowError, parse_row, row_schema, to_row
from rerec_engine.data.store import read_csr, read_embeddings, read_rows, write_csr, write_embeddings
from rerec_engine.errors import UserError, file_error
from rerec_engine.files import replacing_directory
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.graph.numbers import ItemNumbers
from rerec_engine.types import Query

if TYPE_CHECKING:
    from rerec_engine.graph.catalogue import Catalogue

SPLITS = ("train", "val", "test")
_SUFFIXES = (".parquet", ".npz", ".safetensors", ".json")


@dataclass(frozen=True, eq=False)
class Dataset:
    """A validated dataset directory. Queries are read, and validated, one split at a time."""

    path: Path
    titles: tuple[str, ...]  # [N]
    years: tuple[int | None, ...]  # [N]
    attributes: AttributeGraph
    interactions: sp.csr_matrix  # [U, N] float32
    item_embeddings: np.ndarray = field(repr=False)  # [N, d] float32, unit rows, memory-mapped
    splits: tuple[str, ...] = ()
    description: DatasetDescription = field(default_factory=DatasetDescription)
    source_ids: SourceIds = field(default=(), repr=False)  # [N], the items' ids in the source
    user_ids: SourceIds = field(default=(), repr=False)  # [U], the users'
    profiles: tuple[str, ...] = field(default=(), repr=False)  # [U], in a few words, "" unknown; empty: of no user
    texts: tuple[str | None, ...] = field(default=(), repr=False)  # [N], descriptions; empty: of no item
    numbers: Mapping[str, ItemNumbers] = field(default_factory=dict, repr=False)

    @property
    def item_count(self) -> int:
        return len(self.titles)

    def item_of(self, name: str | int) -> int:
        """The item that a person names by the source's id, or else by its number. Raises UserError."""
        return find_row(name, "item", self._item_rows, self.item_count)

    def user_of(self, name: str | int) -> int:
        """The user's row: by the source's id, or else by its number. Raises UserError."""
        return find_row(name, "user", self._user_rows, self.interactions.shape[0])

    def documents(self) -> list[str]:
        """Each item as text: its title and its attribute values. [N]"""
        graph = self.attributes
        return [
            f"{title}. " + ", ".join(value for _, value in graph.attributes_of(item))
            for item, title in enumerate(self.titles)
        ]

    @cached_property
    def _item_rows(self) -> dict[str, int]:
        return rows_of(self.source_ids)

    @cached_property
    def _user_rows(self) -> dict[str, int]:
        return rows_of(self.user_ids)

    @cached_property
    def catalogue(self) -> Catalogue:
        from rerec_engine.graph.catalogue import Catalogue

        return Catalogue(list(self.titles), list(self.years))

    @overload
    def queries(self, split: str, skip_bad: Literal[False] = False) -> list[Query]: ...

    @overload
    def queries(self, split: str, skip_bad: Literal[True]) -> tuple[list[Query], Counts]: ...

    def queries(self, split: str, skip_bad: bool = False) -> list[Query] | tuple[list[Query], Counts]:
        """The split's queries in file order. A bad row is a `UserError`; with `skip_bad` it is left out and counted.

        Returns the queries, and with `skip_bad` also the counts by reason (kind: the split's name).
        """
        path = self.path / f"{split}.parquet"
        if split not in self.splits:
            raise file_error(path, f"no split {split!r} (has: {', '.join(self.splits)})")
        rows = read_rows(path, COLUMNS)
        items = ItemResolver(self.titles, lambda title, candidates: self.catalogue.match(title, candidates))
        counts, queries, seen = Counts(), [], set()
        for number, row in enumerate(rows, 1):
            counts.read(split)
            try:
                query = parse_row(row, items, users=self.interactions.shape[0], default_id=f"{split}-{number}")
                if query.id in seen:
                    raise RowError("repeated id", f"id {query.id!r} occurs twice")
            except RowError as error:
                if not skip_bad:
                    raise file_error(path, str(error), number) from None
                counts.drop(split, error.reason, f"{path.name}:{number}: {error}")
                continue
            seen.add(query.id)
            queries.append(query)
            counts.keep(split)
        return (queries, counts) if skip_bad else queries

    def some_queries(self, split: str, limit: int | None = None) -> list[Query]:
        """The split's first `limit` queries, or all; at least one. Raises UserError where there is none."""
        queries = self.queries(split)[:limit]
        if not queries:
            raise file_error(self.path / f"{split}.parquet", "holds no query")
        return queries


def load_dataset(path: str | Path) -> Dataset:
    """Read and validate a dataset directory; every fault is a `UserError` naming file and row."""
    path = Path(path)
    if not path.is_dir():
        raise UserError(f"{path}: no such dataset directory; make one with `python -m rerec_engine.prepare`")
    items = read_item_table(path / "items.parquet")
    relations, values = read_attribute_table(path / "attributes.parquet")
    matrix_path = path / "item_attributes.npz"
    try:
        graph = AttributeGraph(relations, values, read_csr(matrix_path, len(values), len(items.titles)).astype(np.int8))
    except ValueError as error:
        raise error if isinstance(error, UserError) else file_error(path / "attributes.parquet", str(error)) from None
    splits = tuple(split for split in SPLITS if (path / f"{split}.parquet").is_file())
    if not splits:
        raise file_error(path, "none of train.parquet, val.parquet, test.parquet is there")
    interactions = read_csr(path / "interactions.npz", len(items.titles)).astype(np.float32)
    users = read_user_table(path / "users.parquet", interactions.shape[0])
    return Dataset(
        path=path,
        titles=items.titles,
        years=items.years,
        attributes=graph,
        interactions=interactions,
        item_embeddings=read_embeddings(path / "item_embeddings.safetensors", len(items.titles)),
        splits=splits,
        description=read_description(path),
        source_ids=items.source_ids,
        user_ids=users.source_ids,
        profiles=users.profiles,
        texts=items.texts,
        numbers=read_numbers(path / "numbers.parquet", len(items.titles)),
    )


def write_dataset(
    path: str | Path,
    *,
    titles: Sequence[str],
    years: Sequence[int | None],
    relations: Sequence[str],
    values: Sequence[str],
    item_attributes: sp.csr_matrix,
    interactions: sp.csr_matrix,
    item_embeddings: np.ndarray,
    splits: Mapping[str, Sequence[Query]],
    data_source: str,
    description: DatasetDescription | None = None,
    source_ids: Sequence[str | None] | None = None,
    user_ids: Sequence[str | None] | None = None,
    profiles: Sequence[str] = (),
    texts: Sequence[str | None] = (),
    numbers: Mapping[str, ItemNumbers] | None = None,
    extra_info: Mapping[str, Mapping[str, Any]] | None = None,
    files: Mapping[str, str | bytes] | None = None,
) -> None:
    """Write a dataset directory under a temporary name, then rename it.

    description: of `dataset.json`; a relation without a wording gets one made from its name.
    source_ids [N], user_ids [U]: the ids that people know items and users by. profiles [U]: users in a few words.
    texts [N]: descriptions of the items; numbers: by field.
    extra_info: further fields of a query's extra_info, by query id (Arrow types are inferred).
    files: further files, by name (`prepare_report.json`).
    An older dataset at `path` is replaced; any other non-empty directory is refused. Raises UserError for bad content.
    """
    path = Path(os.path.abspath(path))
    _check_replaceable(path)
    with replacing_directory(path) as temporary:
        try:
            graph = AttributeGraph(tuple(relations), tuple(values), sp.csr_matrix(item_attributes))
            items = ItemTable(tuple(titles), tuple(years), tuple(source_ids or [None] * len(titles)), tuple(texts))
            users = UserTable(tuple(user_ids or [None] * interactions.shape[0]), tuple(profiles))
            write_tables(temporary, items, graph, users, numbers)
            write_description(temporary, (description or DatasetDescription()).completed(graph.relations))
            write_csr(temporary / "item_attributes.npz", graph.item_attributes.astype(np.int8))
            write_csr(temporary / "interactions.npz", sp.csr_matrix(interactions).astype(np.float32))
            write_embeddings(temporary / "item_embeddings.safetensors", item_embeddings)
            _write_splits(temporary, splits, titles, data_source, extra_info or {})
            for name, content in (files or {}).items():
                (temporary / name).write_bytes(content.encode() if isinstance(content, str) else content)
            written = load_dataset(temporary)
            for split in written.splits:
                written.queries(split)
        except UserError as error:
            raise UserError(str(error).replace(str(temporary), str(path))) from None


def _check_replaceable(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise UserError(f"{path}: is a file, not a directory")
    entries = list(path.iterdir()) if path.is_dir() else []
    foreign = [entry.name for entry in entries if entry.is_dir() or entry.suffix not in _SUFFIXES]
    if entries and (foreign or not (path / "items.parquet").is_file()):
        what = f" (it holds {sorted(foreign)[0]})" if foreign else ""
        raise UserError(f"{path}: not empty and not a dataset directory{what}; choose another output")


def _write_splits(
    path: Path,
    splits: Mapping[str, Sequence[Query]],
    titles: Sequence[str],
    data_source: str,
    extra_info: Mapping[str, Mapping[str, Any]],
) -> None:
    unknown = [split for split in splits if split not in SPLITS]
    if unknown:
        raise UserError(f"{path}: a split must be one of {', '.join(SPLITS)}, got {unknown[0]!r}")
    names = dict.fromkeys(name for further in extra_info.values() for name in further)
    further_types = {name: _infer([further.get(name) for further in extra_info.values()]) for name in names}
    names_items = any(query.named for queries in splits.values() for query in queries)
    schema = row_schema({**(NAMED_FIELDS if names_items else {}), **further_types})
    for split, queries in splits.items():
        rows = []
        for index, query in enumerate(queries):
            out_of_range = [
                item
                for item in (*query.ground_truth, *query.candidates, *query.history, *query.named)
                if not 0 <= item < len(titles)
            ]
            if out_of_range:
                raise file_error(path / f"{split}.parquet", f"item {out_of_range[0]} is out of range", index + 1)
            row = to_row(query, index, split, titles, data_source)
            row["extra_info"].update(extra_info.get(query.id, {}))
            rows.append(row)
        pq.write_table(pa.Table.from_pylist(rows, schema), path / f"{split}.parquet")


def _infer(values: list[Any]) -> pa.DataType:
    inferred = pa.array(values).type
    return pa.string() if pa.types.is_null(inferred) else inferred
