"""`prepare rerec-parquet`: ReRec's own files."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rerec_engine.data.options import EmbeddingOptions, ParquetOptions
from rerec_engine.prepare.places import Shares, folder, write

if TYPE_CHECKING:
    from rerec_engine.data.rerec_parquet import ParquetSources


@dataclass(frozen=True)
class RerecParquet:
    """ReRec's own parquet files and GEXF graphs."""

    output: Path
    """Dataset directory to write."""
    source: Path
    """Folder with train, val or test parquet files and perhaps GEXF graphs."""
    graph: Path | None = None
    """Items and attributes as GEXF, or, with a catalogue, tab-separated item id, relation, value."""
    catalogue: Path | None = None
    """movies.dat, a RecBole .item file, or tab-separated id, title[, year] (default: the items of the graph)."""
    interactions: Path | None = None
    """Users and items as GEXF, ratings.dat, or train.txt with item_map.txt and user_map.txt beside it."""
    embedding: EmbeddingOptions = field(default_factory=EmbeddingOptions)
    options: ParquetOptions = field(default_factory=ParquetOptions)
    shares: Shares = field(default_factory=Shares)

    def run(self) -> str:
        """Write the dataset directory; the report as text. Raises UserError."""
        from rerec_engine.data.rerec_parquet import prepare_parquet

        sources = _sources(self)
        read = partial(prepare_parquet, sources, self.options)
        return write(self.output, sources, read, self.options, self.embedding, self.shares)


def _sources(task: RerecParquet) -> ParquetSources:
    from rerec_engine.data.rerec_parquet import ParquetSources, find_parquet

    folder(task.source)
    found = find_parquet(task.source)
    return ParquetSources(
        found.splits, task.graph or found.graph, task.catalogue, task.interactions or found.interactions
    )
