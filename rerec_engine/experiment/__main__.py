"""Compare settings over seeds: every arm of a suite with every seed, one table.

    python -m rerec_engine.experiment SUITE [--output DIR] [--jobs N] [--seeds N] [--arms A B]
        [--movielens DIR] [--inputs DIR] [--table]

SUITE: a YAML file, or one that comes with the package, such as baselines. The same command goes on where it was cut
off; each run takes one thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rerec_engine.cli import SWITCH, Parser, positive, run_command
from rerec_engine.errors import RunError, UserError


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = Parser(
        prog="experiment",
        usage="SUITE [options]",
        description=(__doc__ or "").splitlines()[0],
        examples=("baselines", "baselines --seeds 1 --arms rerec grpo", "mine.yaml --output experiments --table"),
    )
    parser.add_argument("suite", metavar="SUITE", help="YAML file, or the name of one in the package")
    parser.share(
        "output",
        metavar="DIR",
        type=Path,
        default=Path("experiments"),
        help="runs lie in DIR/NAME (default: experiments)",
    )
    parser.add_argument(
        "--jobs", type=positive, default=1, metavar="N", help="runs at a time, a thread each (default 1)"
    )
    parser.add_argument("--seeds", type=positive, metavar="N", help="the first N seeds (default: all of the suite)")
    parser.add_argument("--arms", nargs="+", metavar="ARM", help="these arms alone")
    parser.add_argument("--movielens", type=Path, metavar="DIR", help="MovieLens 100K, for suites of real sequences")
    parser.add_argument("--inputs", type=Path, metavar="DIR", help="what `make real` fills, for suites of real data")
    parser.add_argument("--table", **SWITCH, help="run nothing, put what is there into the table")
    args = parser.parse_args(argv)
    from rich.console import Console

    from rerec_engine.experiment.results import write_results
    from rerec_engine.experiment.runner import arm_runs, prepare, run_suite
    from rerec_engine.experiment.suite import load_suite
    from rerec_engine.experiment.table import terminal_table

    suite = load_suite(args.suite, args.movielens, args.inputs)
    output = args.output
    arms, seeds = args.arms or list(suite.arms), suite.seeds[: args.seeds]
    if unknown := [arm for arm in arms if arm not in suite.arms]:
        raise UserError(f"suite {suite.name} has no arm {unknown[0]!r}; it has {', '.join(suite.arms)}")
    if args.table and not (output / suite.name).is_dir():
        raise UserError(f"{output / suite.name}: no results there")
    failure = None
    try:
        if not args.table:
            run_suite(suite, output, args.jobs, arms, seeds)
    except RunError as error:
        failure = error
    places = prepare(suite, output)
    runs = arm_runs(suite, output, places, list(suite.arms), suite.seeds)
    rows = write_results(suite, output / suite.name, runs)
    Console().print(terminal_table(rows, suite.against, suite.judge))
    print(f"{output / suite.name / 'results.md'}, results.json, results.png")
    if failure is not None:
        raise failure


if __name__ == "__main__":
    run_command(main)
