"""Raw data -> dataset directory.

python -m rerec_engine.prepare demo|world|next-item|recbench|movielens|rerec-parquet ... --output DIR
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rerec_engine.cli import Parser, run_command, waiting
from rerec_engine.cli.options import about, add_option, build, groups, own_options
from rerec_engine.data.options import EmbeddingOptions, MovieLensOptions, ParquetOptions, RecBenchOptions
from rerec_engine.errors import UserError
from rerec_engine.worlds.options import DemoOptions, FilmOptions, MadeOptions, NextItemOptions

if TYPE_CHECKING:
    from rerec_engine.data.movielens import MovieLensSources
    from rerec_engine.data.recbench import RecBenchSources
    from rerec_engine.data.rerec_parquet import ParquetSources


@dataclass(frozen=True)
class Shares:
    """Shares of the queries that are held out; queries with the same ground truth stay on one side."""

    val: float = 0.1
    """Share of the queries in the val split."""
    test: float = 0.1
    """Share of the queries in the test split."""


@dataclass(frozen=True)
class Demo:
    """The demo: an invented world of films, books and users, with requests and reasoning traces."""

    output: Path
    """Dataset directory to write."""
    options: DemoOptions = field(default_factory=DemoOptions)


@dataclass(frozen=True)
class World:
    """The demo's kinds of requests over real films, genres, years and users of MovieLens."""

    output: Path
    """Dataset directory to write."""
    options: FilmOptions


@dataclass(frozen=True)
class NextItem:
    """Requests for what a user of MovieLens takes next, in the demo's sentences."""

    output: Path
    """Dataset directory to write."""
    options: NextItemOptions


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


@dataclass(frozen=True)
class MovieLens:
    """MovieLens-100K (RecBole atomic files) or MovieLens-1M (.dat) as next-item requests."""

    output: Path
    """Dataset directory to write."""
    source: Path | None = None
    """The folder of one MovieLens copy, in which the files below are found, where they are not given."""
    catalogue: Path | None = None
    """movies.dat, a RecBole .item file, or tab-separated id, title[, year]."""
    interactions: Path | None = None
    """ratings.dat, a RecBole .inter file, or train.txt with test.txt, item_map.txt and user_map.txt beside it."""
    attributes: Path | None = None
    """Tab-separated item id, relation, value, or a RecBole .kg file with the .link of its name beside it."""
    users: Path | None = None
    """users.dat, or a RecBole .user file."""
    embedding: EmbeddingOptions = field(default_factory=EmbeddingOptions)
    options: MovieLensOptions = field(default_factory=MovieLensOptions)
    shares: Shares = field(default_factory=Shares)


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


Made = Demo | World | NextItem
Task = Made | RecBench | MovieLens | RerecParquet
TASKS: dict[str, tuple[type[Task], str, str]] = {
    "demo": (Demo, "", "--output data/demo --seed 1"),
    "world": (World, "--movielens DIR ", "--movielens raw/ml-100k --output data/films"),
    "next-item": (NextItem, "--movielens DIR ", "--movielens raw/ml-100k --history 10 --output data/next"),
    "recbench": (RecBench, "--source DIR ", "--source raw --output data/recbench"),
    "movielens": (MovieLens, "--source DIR ", "--source raw/ml-100k --output data/movielens"),
    "rerec-parquet": (RerecParquet, "--source DIR ", "--source raw/rerec --output data/rerec"),
}
"""What can be prepared, each with its source's flag and an example."""


def run(task: Task) -> str:
    """Carry out a task and return what is to be printed. Raises UserError."""
    if isinstance(task, Made):
        return _made(task)
    from rerec_engine.data.assemble import Prepared, check_shares, finish
    from rerec_engine.data.movielens import prepare_movielens
    from rerec_engine.data.recbench import prepare_recbench
    from rerec_engine.data.rerec_parquet import prepare_parquet

    shares = check_shares(task.shares.val, task.shares.test)
    prepared: Prepared
    sources: object
    with waiting(f"reading {task.source or 'the sources'}"):
        if isinstance(task, RecBench):
            sources = recbench = _recbench_sources(task)
            prepared = prepare_recbench(recbench, task.options, shares)
        elif isinstance(task, MovieLens):
            sources = movielens = _movielens_sources(task)
            prepared = prepare_movielens(movielens, task.options, shares)
        else:
            sources = parquet = _parquet_sources(task)
            prepared = prepare_parquet(parquet, task.options, shares)
    settings = {"sources": str(sources), **asdict(task.options), **asdict(task.shares)}
    with waiting(f"embedding {len(prepared.items.titles)} items ({task.embedding.embeddings})"):
        return finish(task.output, prepared, task.embedding, task.options.seed, settings)


def _made(task: Made) -> str:
    with waiting("making the requests, their traces, and the items' embeddings"):
        from rerec_engine.worlds.demo import write_demo
        from rerec_engine.worlds.movielens import write_film_requests, write_next_item

        if isinstance(task, Demo):
            write_demo(task.output, task.options)
        elif isinstance(task, World):
            write_film_requests(task.output, task.options)
        else:
            write_next_item(task.output, task.options)
    return f"written to {task.output}"


def _recbench_sources(task: RecBench) -> RecBenchSources:
    from rerec_engine.data.recbench import RecBenchSources, find_query_files

    source, queries = _folder(task.source), _folder(task.queries)
    if queries is None:
        queries = _query_folder(source)
    roots = [root for root in (queries, source, queries.parent) if root]
    catalogue = task.catalogue or _found(roots, ("", "ml-1m"), ("movies.dat",))
    if catalogue is None:
        raise UserError(f"{source or queries}: movies.dat not found there; give --catalogue FILE")
    return RecBenchSources(
        queries=find_query_files(queries),
        catalogue=catalogue,
        attributes=task.attributes or _found(roots, ("", "ml-1m-dbpedia", "ml-1m"), ("item_attributes.tsv",)),
        interactions=task.interactions or _found(roots, ("", "ml-1m"), ("ratings.dat", "train.txt")),
    )


def _movielens_sources(task: MovieLens) -> MovieLensSources:
    from rerec_engine.data.movielens import MovieLensSources, find_movielens

    source = _folder(task.source)
    if source is not None:
        found = find_movielens(source)
    elif task.catalogue and task.interactions:
        found = MovieLensSources(task.catalogue, task.interactions)
    else:
        raise UserError("give --source DIR, or --catalogue and --interactions")
    return MovieLensSources(
        task.catalogue or found.catalogue,
        task.interactions or found.interactions,
        task.attributes or found.attributes,
        task.users or found.users,
    )


def _parquet_sources(task: RerecParquet) -> ParquetSources:
    from rerec_engine.data.rerec_parquet import ParquetSources, find_parquet

    _folder(task.source)
    found = find_parquet(task.source)
    return ParquetSources(
        found.splits, task.graph or found.graph, task.catalogue, task.interactions or found.interactions
    )


def _folder(path: Path | None) -> Path | None:
    if path is not None and not path.is_dir():
        raise UserError(f"{path}: no such directory")
    return path


def _query_folder(source: Path | None) -> Path:
    """The folder under the source that holds query files: itself, or where RecBench+ and this project put them."""
    if source is None:
        raise UserError("give --source DIR or --queries DIR")
    from rerec_engine.data.recbench import find_query_files

    for folder in ("", "recbenchplus", "dataset/movie", "data/movie", "movie"):
        with suppress(UserError):
            find_query_files(source / folder)
            return source / folder
    raise UserError(f"{source}: no RecBench+ query file found there; give --queries DIR")


def _found(roots: list[Path], folders: tuple[str, ...], names: tuple[str, ...]) -> Path | None:
    paths = [root / folder / name for root in roots for folder in folders for name in names]
    return next((path for path in paths if path.is_file()), None)


def _parser() -> Parser:
    parser = Parser(
        prog="prepare",
        usage="SOURCE --output DIR [options]",
        description="Make a dataset directory, which every other command takes as --data.",
        examples=("demo --output data/demo", "movielens --source raw/ml-100k --output data/ml", "recbench --help"),
    )
    tasks = parser.add_subparsers(dest="prepared", required=True, metavar="SOURCE", title="what can be prepared")
    for name, (kind, source, example) in TASKS.items():
        task = tasks.add_parser(
            name,
            prog=f"python -m rerec_engine.prepare {name}",
            usage=f"{source}--output DIR [options]",
            help=about(kind),
            description=about(kind),
            examples=(example,),
        )
        for prefix, part in groups(kind):
            title = {"options.": "world" if issubclass(part, MadeOptions) else "queries"}.get(
                prefix, prefix.rstrip(".")
            )
            group = task.group(title, about(part)) if prefix else task
            for option in own_options(part):
                add_option(group, option, metavar="DIR" if option.name in ("output", "source", "movielens") else None)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    moved = ("--movielens", "--min-ratings", "--task", "--history")
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["demo"] and any(word.partition("=")[0].replace("_", "-") in moved for word in words):
        raise UserError(
            "demo: its items are invented; requests over real films are `prepare world --movielens DIR`, "
            "next items `prepare next-item --movielens DIR --history 10`"
        )
    chosen = vars(_parser().parse_args(words))
    kind, *_ = TASKS[chosen.pop("prepared")]
    print(run(build(kind, chosen)))


if __name__ == "__main__":
    run_command(main)
