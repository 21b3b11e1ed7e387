"""A run's report: one HTML file with everything in it.

    python -m rerec_engine.report RUN_DIR [OTHER_RUN] [--output F.html]

Two runs are compared on one page.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rerec_engine.cli import Parser, run_command, waiting
from rerec_engine.errors import UserError


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = Parser(
        prog="report",
        usage="RUN_DIR [OTHER_RUN] [--output F.html]",
        description=(__doc__ or "").splitlines()[0],
        examples=("runs/demo", "runs/demo runs/other --output compared.html"),
    )
    parser.add_argument("runs", nargs="+", metavar="RUN_DIR", type=Path, help="run directory; a second one is compared")
    parser.share("output", metavar="F.html", type=Path, help="default: report.html in the first run directory")
    args = parser.parse_args(argv)
    with waiting("loading the libraries"):
        from rerec_engine.report import write_report

    if len(args.runs) > 2:
        raise UserError(f"one or two run directories, got {len(args.runs)}")
    with waiting("writing the report"):
        page = write_report(*args.runs, output=args.output)
    print(page)


if __name__ == "__main__":
    run_command(main)
