"""`summary.json`: what every stage took, and the evaluations before, between and after."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rerec_engine.metrics.report import with_interval
from rerec_engine.real.stages import CANDIDATES, MORE_CANDIDATES, Options, evaluation_file, usage_of
from rerec_engine.runs.records import read_records

if TYPE_CHECKING:
    from rich.table import Table

MOMENTS = {"before": "warm_start", "after": "final"}
"""Of eval.jsonl."""
STAGES = ("untrained", "warm_start", "final")
DATASETS = {
    "films": ("made", CANDIDATES),
    "films-20": ("made", MORE_CANDIDATES),
    "recbench": ("recbench", MORE_CANDIDATES),
}
"""By directory: whose requests, and among how many candidates."""


def summarise(options: Options) -> dict[str, Any]:
    """The object of `summary.json`, of all that is there."""
    took = {**usage_of(options.inputs), **usage_of(options.output)}
    steps = read_records(options.output / "metrics.jsonl")
    reinforcement = sum(step["seconds_total"] for step in steps)
    return {
        "seconds": {name: own["seconds"] for name, own in took.items()} | {"reinforcement": round(reinforcement, 1)},
        "peak_memory_gb": max((own["peak_gb"] for own in took.values()), default=0.0),
        "evaluations": list(_evaluations(options)),
    }


def _evaluations(options: Options) -> Iterator[dict[str, Any]]:
    logged = {MOMENTS.get(line["moment"]): line for line in read_records(options.output / "eval.jsonl")}
    for name, (requests, candidates) in DATASETS.items():
        for stage in STAGES:
            told = {"stage": stage, "requests": requests, "candidates": candidates}
            folder = options.inputs if stage == "untrained" else options.output
            file = evaluation_file(folder, stage, name)
            if file.is_file():
                yield told | _of_file(file)
            elif name == "films" and stage in logged:
                yield told | _of_line(logged[stage])


def _of_file(path: Path) -> dict[str, Any]:
    report = json.loads(path.read_text(encoding="utf-8"))
    parts = report["by_category"]
    return {
        "n": report["queries"],
        "accuracy": report["accuracy"]["mean"],
        "interval": [report["accuracy"]["low"], report["accuracy"]["high"]],
        "format": report["format_rate"]["mean"],
        "unknown_items": report["unknown_item_rate"],
        "true_reasons": report["true_reasons"],
        "by_kind": {name: part["accuracy"]["mean"] for name, part in parts.items()},
    }


def _of_line(line: dict[str, Any]) -> dict[str, Any]:
    return {
        "n": line["queries"],
        "accuracy": line["accuracy"],
        "interval": [line["accuracy_low"], line["accuracy_high"]],
        "format": line["format_rate"],
        "unknown_items": line["unknown_item_rate"],
        "true_reasons": line["true_reasons"],
        "by_kind": line["by_category"],
    }


def table(summary: dict[str, Any]) -> Table:
    """The evaluations, a row each."""
    from rich.table import Table

    seconds = summary["seconds"]
    made = Table(title="greedy answers to held-out requests, 95 % bootstrap intervals")
    for name in ("requests", "candidates", "stage", "n", "accuracy", "format", "true reasons"):
        made.add_column(name, justify="left" if name in ("requests", "stage") else "right", no_wrap=True)
    for one in summary["evaluations"]:
        reasons = "" if one["true_reasons"] is None else f"{one['true_reasons']:.3f}"
        accuracy = with_interval(one["accuracy"], *one["interval"])
        told = (one["requests"], str(one["candidates"]), one["stage"].replace("_", " "), str(one["n"]))
        made.add_row(*told, accuracy, f"{one['format']:.3f}", reasons)
    whole = sum(taken for name, taken in seconds.items() if name != "reinforcement")
    made.caption = f"{whole / 60:.0f} minutes in all, {seconds['reinforcement'] / 60:.0f} of them reinforcement; "
    made.caption += f"{summary['peak_memory_gb']:.1f} GiB at most"
    return made
