"""`prepare files`: a catalogue of anybody's, out of tables, with requests made over it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from rerec_engine.cli import waiting
from rerec_engine.data.options import EmbeddingOptions, FilesOptions
from rerec_engine.errors import UserError
from rerec_engine.worlds.options import CatalogueRequestOptions


@dataclass(frozen=True)
class Files:
    """Your own catalogue: items, attributes and interactions as CSV, TSV, JSON, JSON lines or parquet, plain or packed;
    requests over it are written for you."""

    output: Path
    """Dataset directory to write."""
    items: Path | None = None
    """The items: an id, a title, and whatever else is known of them, a column each."""
    interactions: Path | None = None
    """Who took what: a user and an item, perhaps a time."""
    attributes: Path | None = None
    """Further attributes, a row each: item, relation, value."""
    options: FilesOptions = field(default_factory=FilesOptions)
    requests: CatalogueRequestOptions = field(default_factory=CatalogueRequestOptions)
    embedding: EmbeddingOptions = field(default_factory=EmbeddingOptions)

    def run(self) -> str:
        """Write the dataset directory; what was read, and as what, as text. Raises UserError."""
        from rerec_engine.data.assemble import Prepared, finish
        from rerec_engine.data.description import VOCABULARY
        from rerec_engine.data.files.catalogue import FileSources, read_catalogue
        from rerec_engine.data.traces import write_traces
        from rerec_engine.worlds.catalogue import make_requests

        if self.items is None:
            raise UserError("give --items FILE")
        sources = FileSources(self.items, self.interactions, self.attributes)
        with waiting(f"reading {sources}"):
            read = read_catalogue(sources, self.options)
        with waiting("writing requests and their traces"):
            made = make_requests(read.knowledge, self.requests)
        for name, number in made.counts.items():
            read.counts.note(name, number)
        embedding = self.embedding
        if not read.interactions.nnz and embedding.embeddings != "attributes":
            embedding = replace(embedding, embeddings="attributes")
        prepared = Prepared(
            items=read.items,
            graph=read.knowledge.attributes,
            interactions=read.interactions,
            splits=made.splits,
            extra_info=made.extra_info,
            counts=read.counts,
            data_source="files",
            description=made.description,
            user_ids=read.user_ids,
            texts=read.knowledge.texts,
            numbers=read.knowledge.numbers,
            files={VOCABULARY: json.dumps(made.vocabulary, indent=0)} if made.vocabulary else {},
        )
        settings = {
            "sources": str(sources),
            "columns": {name: dict(lines) for name, lines in read.told.items()},
            **asdict(self.options),
            **asdict(self.requests),
        }
        with waiting(f"embedding {len(read.items.titles)} items ({embedding.embeddings})"):
            told = finish(self.output, prepared, embedding, self.requests.seed, settings)
        if made.traces:
            write_traces(self.output / "warm_start.parquet", made.traces)
        return f"{read.told_text()}\n\n{told}"
