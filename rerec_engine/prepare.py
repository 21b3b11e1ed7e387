"""Raw data -> dataset directory.

python -m rerec_engine.prepare demo|world|next-item|recbench|movielens|rerec-parquet ... --output DIR
"""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from rerec_engine.cli import parse_cli, run_command
from rerec_engine.data.assemble import EmbeddingOptions, Prepared, check_shares, finish
from rerec_engine.data.movielens import MovieLensOptions, MovieLensSources, find_movielens, prepare_movielens
from rerec_engine.data.recbench import RecBenchOptions, RecBenchSources, find_query_files, prepare_recbench
from rerec_engine.data.rerec_parquet import ParquetOptions, ParquetSources, find_parquet, prepare_parquet
from rerec_engine.errors import UserError
from rerec_engine.worlds.demo import DemoOptions, write_demo
from rerec_engine.worlds.movielens import FilmOptions, NextItemOptions, write_film_requests, write_next_item


@dataclass(frozen=True)
class Shares:
    """Shares of the queries that are held out; queries with the same ground truth stay on one side."""

    val: float = 0.1
    test: float = 0.1


@dataclass(frozen=True)
class Demo:
    """The demo: an invented world of films, books and users, with requests and reasoning traces."""

    output: Path
    options: DemoOptions = field(default_factory=DemoOptions)


@dataclass(frozen=True)
class World:
    """The demo's kinds of requests over real films, genres, years and users of MovieLens."""

    output: Path
    options: FilmOptions


@dataclass(frozen=True)
class NextItem:
    """Requests for what a user of MovieLens takes next, in the demo's sentences."""

    output: Path
    options: NextItemOptions


@dataclass(frozen=True)
class RecBench:
    """RecBench+ queries with a catalogue, attributes and interactions."""

    output: Path
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


@dataclass(frozen=True)
class MovieLens:
    """MovieLens-100K (RecBole atomic files) or MovieLens-1M (.dat) as next-item requests."""

    output: Path
    source: Path | None = None
    """The folder of one MovieLens copy."""
    catalogue: Path | None = None
    interactions: Path | None = None
    attributes: Path | None = None
    users: Path | None = None
    embedding: EmbeddingOptions = field(default_factory=EmbeddingOptions)
    options: MovieLensOptions = field(default_factory=MovieLensOptions)
    shares: Shares = field(default_factory=Shares)


@dataclass(frozen=True)
class RerecParquet:
    """ReRec's own parquet files and GEXF graphs."""

    output: Path
    source: Path
    """Folder with train, val or test parquet files and perhaps GEXF graphs."""
    graph: Path | None = None
    catalogue: Path | None = None
    interactions: Path | None = None
    embedding: EmbeddingOptions = field(default_factory=EmbeddingOptions)
    options: ParquetOptions = field(default_factory=ParquetOptions)
    shares: Shares = field(default_factory=Shares)


Command = (
    Annotated[Demo, tyro.conf.subcommand("demo")]
    | Annotated[World, tyro.conf.subcommand("world")]
    | Annotated[NextItem, tyro.conf.subcommand("next-item")]
    | Annotated[RecBench, tyro.conf.subcommand("recbench")]
    | Annotated[MovieLens, tyro.conf.subcommand("movielens")]
    | Annotated[RerecParquet, tyro.conf.subcommand("rerec-parquet")]
)


def run(command: Command) -> str:
    """Carry out a command and return what it prints. Raises UserError."""
    if isinstance(command, Demo | World | NextItem):
        return _made(command)
    shares = check_shares(command.shares.val, command.shares.test)
    prepared: Prepared
    if isinstance(command, RecBench):
        recbench = _recbench_sources(command)
        sources: object = recbench
        prepared = prepare_recbench(recbench, command.options, shares)
    elif isinstance(command, MovieLens):
        movielens = _movielens_sources(command)
        sources = movielens
        prepared = prepare_movielens(movielens, command.options, shares)
    else:
        parquet = _parquet_sources(command)
        sources = parquet
        prepared = prepare_parquet(parquet, command.options, shares)
    settings = {"sources": str(sources), **asdict(command.options), **asdict(command.shares)}
    return finish(command.output, prepared, command.embedding, command.options.seed, settings)


def _made(command: Demo | World | NextItem) -> str:
    if isinstance(command, Demo):
        write_demo(command.output, command.options)
    elif isinstance(command, World):
        write_film_requests(command.output, command.options)
    else:
        write_next_item(command.output, command.options)
    return f"written to {command.output}"


def _recbench_sources(command: RecBench) -> RecBenchSources:
    source, queries = _folder(command.source), _folder(command.queries)
    if queries is None:
        queries = _query_folder(source)
    roots = [root for root in (queries, source, queries.parent) if root]
    catalogue = command.catalogue or _found(roots, ("", "ml-1m"), ("movies.dat",))
    if catalogue is None:
        raise UserError(f"{source or queries}: movies.dat not found there; give --catalogue FILE")
    return RecBenchSources(
        queries=find_query_files(queries),
        catalogue=catalogue,
        attributes=command.attributes or _found(roots, ("", "ml-1m-dbpedia", "ml-1m"), ("item_attributes.tsv",)),
        interactions=command.interactions or _found(roots, ("", "ml-1m"), ("ratings.dat", "train.txt")),
    )


def _movielens_sources(command: MovieLens) -> MovieLensSources:
    source = _folder(command.source)
    if source is not None:
        found = find_movielens(source)
    elif command.catalogue and command.interactions:
        found = MovieLensSources(command.catalogue, command.interactions)
    else:
        raise UserError("give --source DIR, or --catalogue and --interactions")
    return MovieLensSources(
        command.catalogue or found.catalogue,
        command.interactions or found.interactions,
        command.attributes or found.attributes,
        command.users or found.users,
    )


def _parquet_sources(command: RerecParquet) -> ParquetSources:
    _folder(command.source)
    found = find_parquet(command.source)
    return ParquetSources(
        found.splits, command.graph or found.graph, command.catalogue, command.interactions or found.interactions
    )


def _folder(path: Path | None) -> Path | None:
    if path is not None and not path.is_dir():
        raise UserError(f"{path}: no such directory")
    return path


def _query_folder(source: Path | None) -> Path:
    """The folder under the source that holds query files: itself, or where RecBench+ and this project put them."""
    if source is None:
        raise UserError("give --source DIR or --queries DIR")
    for folder in ("", "recbenchplus", "dataset/movie", "data/movie", "movie"):
        with suppress(UserError):
            find_query_files(source / folder)
            return source / folder
    raise UserError(f"{source}: no RecBench+ query file found there; give --queries DIR")


def _found(roots: list[Path], folders: tuple[str, ...], names: tuple[str, ...]) -> Path | None:
    paths = [root / folder / name for root in roots for folder in folders for name in names]
    return next((path for path in paths if path.is_file()), None)


def main() -> None:
    moved = ("--movielens", "--min-ratings", "--task", "--history")
    words = [word.partition("=")[0].replace("_", "-") for word in sys.argv[1:]]
    if words[:1] == ["demo"] and any(word in moved for word in words):
        raise UserError(
            "demo: its items are invented; requests over real films are `prepare world --movielens DIR`, "
            "next items `prepare next-item --movielens DIR --history 10`"
        )
    command: Command = parse_cli(Command, sys.argv[1:], prog="python -m rerec_engine.prepare", omit_prefixes=True)
    print(run(command))


if __name__ == "__main__":
    run_command(main)
