"""What `make real` found, of one run or of several seeds: `python -m bench.experiments.real RUN_DIR...`.

Writes bench/results/real.json (each run's summary, its minutes of reinforcement, memory, versions and commit) and
docs/real.png.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bench.experiments.demo import ROOT, lines, picture


def evaluation(summary: dict[str, Any], stage: str) -> dict[str, float]:
    """Accuracy over made requests with the fewest candidates, of all and by kind."""
    rows = [own for own in summary["evaluations"] if (own["requests"], own["stage"]) == ("made", stage)]
    row = min(rows, key=lambda own: own["candidates"])
    return {"all": row["accuracy"], **row["by_kind"]}


def result(run: Path) -> dict[str, Any]:
    """One run's record."""
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    after = next(line for line in lines(run / "eval.jsonl") if line["moment"] == "after")
    return {
        "run": run.name,
        "steps": len(lines(run / "metrics.jsonl")),
        "before": evaluation(summary, "warm_start"),
        "after": evaluation(summary, "final"),
        "chance": after["chance"],
        **summary,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN_DIR")
    parser.add_argument("--commit", required=True, help="that the runs were made with")
    parser.add_argument("--note", default="", help="on how the runs were made, for the record")
    args = parser.parse_args()
    results = [result(run) for run in args.runs]
    environment = json.loads((args.runs[0] / "environment.json").read_text(encoding="utf-8"))
    del environment["command"]  # its places are those of one machine
    record = {"commit": args.commit, "note": args.note, "environment": environment, "runs": results}
    (ROOT / "bench" / "results" / "real.json").write_text(json.dumps(record, indent=1) + "\n")
    caption = f"SmolLM2-135M-Instruct, requests over real films, 10 candidates; commit {args.commit}"
    picture(args.runs, results, ROOT / "docs" / "real.png", caption)


if __name__ == "__main__":
    main()
