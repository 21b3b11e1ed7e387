"""The command: what can be prepared, and its flags."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rerec_engine.cli import Parser
from rerec_engine.cli.options import about, add_option, build, groups, own_options, reader
from rerec_engine.data.options import FilesOptions
from rerec_engine.errors import UserError
from rerec_engine.prepare.fetch import Fetch
from rerec_engine.prepare.files import Files
from rerec_engine.prepare.made import Demo, NextItem, World
from rerec_engine.prepare.model import Model
from rerec_engine.prepare.movielens import MovieLens
from rerec_engine.prepare.recbench import RecBench
from rerec_engine.prepare.requests import Requests
from rerec_engine.prepare.rerec_parquet import RerecParquet
from rerec_engine.worlds.options import MadeOptions

Task = Files | Fetch | Demo | World | NextItem | RecBench | MovieLens | RerecParquet | Requests | Model
TASKS: dict[str, tuple[type[Task], str, str]] = {
    "files": (
        Files,
        "--items FILE ",
        '--items games.csv --interactions orders.csv --noun "board game" --output data/games',
    ),
    "fetch": (Fetch, "NAME ", "ml-1m --output raw/ml-1m --agree"),
    "demo": (Demo, "", "--output data/demo --seed 1"),
    "world": (World, "--movielens DIR ", "--movielens raw/ml-100k --output data/films"),
    "next-item": (NextItem, "--movielens DIR ", "--movielens raw/ml-100k --history 10 --output data/next"),
    "recbench": (RecBench, "--source DIR ", "--source raw --output data/recbench"),
    "movielens": (MovieLens, "--source DIR ", "--source raw/ml-100k --output data/movielens"),
    "rerec-parquet": (RerecParquet, "--source DIR ", "--source raw/rerec --output data/rerec"),
    "requests": (Requests, "--data DIR ", "--data data/recbench --output data/films --kinds explicit,exclusion"),
    "model": (Model, "--gguf FILE ", "--gguf SmolLM2-135M-Instruct.Q4_1.gguf --output models/smollm2"),
}
"""What can be prepared, each with its source's flag and an example."""
METAVARS = {**dict.fromkeys(("output", "source", "movielens", "data"), "DIR"), "gguf": "FILE"}
"""What stands for the value of options that name a directory or a file."""


def run(task: Task) -> str:
    """Carry out a task and return what is to be printed. Raises UserError."""
    return task.run()


def _parser() -> Parser:
    parser = Parser(
        prog="prepare",
        usage="SOURCE --output DIR [options]",
        description="Make a dataset directory, which every other command takes as --data; or, of a GGUF file, a "
        "model directory, which they take as --model.",
        examples=(
            "files --items games.csv --output data/games",
            "demo --output data/demo",
            "movielens --source raw/ml-100k --output data/ml",
            "recbench --help",
            "model --gguf model.gguf --output models/mine",
        ),
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
            titles = {"options.": "world" if issubclass(part, MadeOptions) else "queries"}
            title = "columns" if part is FilesOptions else titles.get(prefix, prefix.rstrip("."))
            group = task.group(title, about(part)) if prefix else task
            for option in own_options(part):
                if part is Fetch and option.name == "name":
                    task.add_argument("name", metavar="NAME", type=reader(option.hint), help=option.about)
                    continue
                add_option(
                    group,
                    option,
                    metavar=METAVARS.get(option.name),
                )
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
