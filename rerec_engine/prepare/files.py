"""`prepare files`: a catalogue of anybody's, out of tables, with requests made over it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rerec_engine.cli import waiting
from rerec_engine.data.options import EmbeddingOptions, FilesOptions, SequenceOptions
from rerec_engine.errors import UserError
from rerec_engine.worlds.options import CatalogueRequestOptions

if TYPE_CHECKING:
    from rerec_engine.data.files.catalogue import FileCatalogue, FileSources

PresetName = Literal["", "amazon-2023", "amazon-office", "goodreads", "lastfm", "movielens", "recbole", "steam"]


@dataclass(frozen=True)
class Files:
    """Your own catalogue: items, attributes and interactions as CSV, TSV, JSON, JSON lines or parquet, plain or packed,
    or as datasets of the Hugging Face Hub (hf://OWNER/NAME/FILE, hf://OWNER/NAME:CONFIG:SPLIT); requests over it are
    written for you, or what its users took next is asked for."""

    output: Path
    """Dataset directory to write."""
    items: Path | None = None
    """The items: an id, a title, and whatever else is known of them, a column each."""
    interactions: Path | None = None
    """Who took what: a user and an item, perhaps a time."""
    attributes: Path | None = None
    """Further attributes, a row each: item, relation, value."""
    users: Path | None = None
    """Who the users are: an id and their age, gender, occupation or country; requests "for someone like me" need it."""
    preset: PresetName = ""
    """A source whose files and columns are known: give its folder as --source."""
    source: Path | None = None
    """The preset's folder, in which its files are found, where they are not given."""
    task: Literal["requests", "next-item"] = "requests"
    """What is asked: requests over the catalogue, or what each user takes next, over all items; a chat prompt tells
    what the user took before."""
    options: FilesOptions = field(default_factory=FilesOptions)
    sequence: SequenceOptions = field(default_factory=SequenceOptions)
    requests: CatalogueRequestOptions = field(default_factory=CatalogueRequestOptions)
    embedding: EmbeddingOptions = field(default_factory=EmbeddingOptions)

    def run(self) -> str:
        """Write the dataset directory; what was read, and as what, as text. Raises UserError."""
        from rerec_engine.data.assemble import Prepared, finish
        from rerec_engine.data.files.catalogue import read_catalogue
        from rerec_engine.prepare.long_prompts import told_long
        from rerec_engine.worlds.catalogue import make_requests

        sources = self._sources()
        with waiting(f"reading {sources}"):
            read = read_catalogue(sources, self.options)
        if sources.items is None and not len(read.knowledge.attributes):
            needs = f"; {sources.preset.needs}" if sources.preset and sources.preset.needs else ""
            raise UserError(
                f"{sources}: of the items there are ids alone, over which no request can be made: give --items FILE or "
                f"--attributes FILE{needs}"
            )
        if self.task == "next-item":
            return self._next_items(sources, read)
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
            profiles=read.knowledge.profiles,
            texts=read.knowledge.texts,
            numbers=read.knowledge.numbers,
            files=made.files,
        )
        settings = {
            "sources": str(sources),
            "columns": {name: dict(lines) for name, lines in read.told.items()},
            **asdict(self.options),
            **asdict(self.requests),
        }
        with waiting(f"embedding {len(read.items.titles)} items ({embedding.embeddings})"):
            told = finish(self.output, prepared, embedding, self.requests.seed, settings)
        return f"{read.told_text()}\n\n{told}{told_long(made.splits['train'], made.files)}"

    def _next_items(self, sources: FileSources, read: FileCatalogue) -> str:
        """Queries for what comes next instead of requests."""
        from rerec_engine.data.assemble import finish
        from rerec_engine.data.next_items import prepare_next_items

        with waiting("reading who took what next"):
            prepared = prepare_next_items(
                sources, self.options, self.sequence, read, self.requests.traces, self.requests.seed
            )
        settings = {"sources": str(sources), "task": self.task, **asdict(self.options), **asdict(self.sequence)}
        with waiting(f"embedding {len(read.items.titles)} items ({self.embedding.embeddings})"):
            told = finish(self.output, prepared, self.embedding, self.requests.seed, settings)
        return f"{read.told_text()}\n\n{told}"

    def _sources(self) -> FileSources:
        from rerec_engine.data.files.catalogue import FileSources
        from rerec_engine.data.files.presets import PRESETS, find_files

        given = (self.interactions,) if self.interactions else ()
        if not self.preset:
            if self.source is not None:
                raise UserError(f"--source needs --preset, one of {', '.join(PRESETS)}; or give --items FILE")
            if self.items is None and not given:
                raise UserError("give --items FILE")
            return FileSources(self.items, given, self.attributes, self.users)
        preset = PRESETS[self.preset]
        if self.source is None:
            preset = preset.of_items(self.items) if self.items else preset
            return FileSources(self.items, given, self.attributes, self.users, preset)
        found = find_files(preset, self.source)
        preset = preset.of_items(self.items) if self.items else found.preset
        items, logs, users = self.items or found.items, given or found.interactions, self.users or found.users
        return FileSources(items, logs, self.attributes, users if logs else self.users, preset, folder=self.source)
