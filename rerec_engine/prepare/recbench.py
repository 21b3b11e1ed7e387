"""`prepare recbench`: the pieces of RecBench+ found in a folder, or given one by one."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rerec_engine.data.options import EmbeddingOptions, RecBenchOptions
from rerec_engine.errors import UserError
from rerec_engine.prepare.facts import with_facts
from rerec_engine.prepare.places import Shares, folder, found, write

if TYPE_CHECKING:
    from rerec_engine.data.assemble import Prepared
    from rerec_engine.data.recbench import RecBenchSources


@dataclass(frozen=True)
class RecBench:
    """RecBench+ queries with a catalogue, attributes and interactions."""

    output: Path
    """Dataset directory to write."""
    source: Path | None = None
    """A folder in which the pieces below are found, where they are not given."""
    queries: Path | None = None
    """Folder of the query files (ExplicitQuery.json, ..., or decoded/decoded_Explicit.jsonl, ...)."""
    catalogue: Path | None = None
    """movies.dat, a RecBole .item file, or tab-separated id, title[, year]."""
    attributes: Path | None = None
    """Tab-separated item id, relation, value."""
    interactions: Path | None = None
    """ratings.dat, a RecBole .inter file, or train.txt with item_map.txt and user_map.txt beside it."""
    embedding: EmbeddingOptions = field(default_factory=EmbeddingOptions)
    options: RecBenchOptions = field(default_factory=RecBenchOptions)
    shares: Shares = field(default_factory=Shares)

    def run(self) -> str:
        """Write the dataset directory; the report as text. Raises UserError."""
        from rerec_engine.data.recbench import prepare_recbench

        sources = _sources(self)

        def read(shares: dict[str, float]) -> Prepared:
            return with_facts(prepare_recbench(sources, self.options, shares), self.options.facts)

        return write(self.output, sources, read, self.options, self.embedding, self.shares)


def _sources(task: RecBench) -> RecBenchSources:
    from rerec_engine.data.recbench import RecBenchSources, find_query_files

    source, queries = folder(task.source), folder(task.queries)
    if queries is None:
        queries = _query_folder(source)
    roots = [root for root in (queries, source, queries.parent) if root]
    catalogue = task.catalogue or found(roots, ("", "ml-1m"), ("movies.dat",))
    if catalogue is None:
        raise UserError(f"{source or queries}: movies.dat not found there; give --catalogue FILE")
    return RecBenchSources(
        queries=find_query_files(queries),
        catalogue=catalogue,
        attributes=task.attributes or found(roots, ("", "ml-1m-dbpedia", "ml-1m"), ("item_attributes.tsv",)),
        interactions=task.interactions or found(roots, ("", "ml-1m"), ("ratings.dat", "train.txt")),
    )


def _query_folder(source: Path | None) -> Path:
    """The folder under the source that holds query files: itself, or where RecBench+ and this project put them."""
    if source is None:
        raise UserError("give --source DIR or --queries DIR")
    from rerec_engine.data.recbench import find_query_files

    for name in ("", "recbenchplus", "dataset/movie", "data/movie", "movie"):
        with suppress(UserError):
            find_query_files(source / name)
            return source / name
    raise UserError(f"{source}: no RecBench+ query file found there; give --queries DIR")
