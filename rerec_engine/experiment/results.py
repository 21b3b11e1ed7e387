"""What a suite's runs have come to, and the files that tell it: results.json, results.md, results.png."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rerec_engine.experiment.runner import Run, command_line, cpu_seconds, evaluations, finished
from rerec_engine.experiment.suite import Suite
from rerec_engine.experiment.table import Comparison, Results, compare, markdown
from rerec_engine.files import replacing, write_text
from rerec_engine.runs.environment import describe
from rerec_engine.runs.records import read_records, token_count

BLUE, GREY = "#0072b2", "#7f7f7f"


def collect(runs: Sequence[Run], judge: str = "accuracy") -> Results:
    """The figures of the finished ones, by arm and seed; the share of true reasons where an arm asks for them."""
    judges = any(run.config.advantage.w_false for run in runs)
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for run in runs:
        of_arm = found.setdefault(run.arm, {})
        if finished(run):
            of_arm[run.seed] = figures(run, judges, judge)
    return found


def figures(run: Run, true_reasons: bool = False, judge: str = "accuracy") -> dict[str, Any]:
    """Of a finished run: accuracy and by_category on the first of its tests (without tests: after training, on its own
    data), more (accuracy on the further tests, what is retained, on request true reasons), tokens of all its steps,
    processor minutes. judge: the figure that stands for accuracy, which then is one of `more`."""
    judged, more = evaluations(run.path)[-1], {}
    if run.measures:
        measured = json.loads((run.path / "measured.json").read_text())
        tests = list(measured["tests"].items())
        judged = tests[0][1] if tests else judged
        more = {name: test["accuracy"] for name, test in tests[1:]} | measured["known"]
    if judge != "accuracy":
        more["first right"] = judged["accuracy"]
    if true_reasons and judged.get("true_reasons") is not None:
        more["true reasons"] = judged["true_reasons"]
    return {
        "accuracy": judged[judge],
        "by_category": judged["by_category"],
        "more": more,
        "mean_length": judged["mean_length"],
        "cpu_minutes": cpu_seconds(run.path) / 60,
        "tokens": token_count(read_records(run.path / "metrics.jsonl")),
    }


def write_results(suite: Suite, output: Path, runs: Sequence[Run]) -> list[Comparison]:
    """Write the table and the picture of what is finished; returns the table's rows."""
    results = collect(runs, suite.judge)
    rows = compare(results, suite.against)
    record = {
        "suite": suite.name,
        "title": suite.title,
        "against": suite.against,
        "judge": suite.judge,
        "environment": describe(),
        "settings": suite.settings,
        "data": str(suite.data) if isinstance(suite.data, Path) else suite.data,
        "datasets": suite.datasets,
        "tests": suite.tests,
        "arms": suite.arms,
        "table": [_finite(dataclasses.asdict(row)) for row in rows],
        "results": _finite(results),
    }
    write_text(output / "results.json", json.dumps(record, indent=1, allow_nan=False) + "\n")
    commands = "\n".join(f"- {arm}: `{command_line(suite, arm)}`" for arm in suite.arms)
    text = f"# {suite.title}\n\n{markdown(rows, suite.against, suite.judge)}\nCommands, for one seed:\n\n{commands}\n"
    write_text(output / "results.md", text)
    picture(rows, suite.title, suite.against, output / "results.png", suite.judge)
    return rows


def picture(rows: Sequence[Comparison], title: str, against: str, path: Path, judge: str = "accuracy") -> None:
    """Every run as a dot and the means; beside it the differences with their intervals. Nothing without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(
        1, 2, figsize=(9.6, 0.36 * len(rows) + 1.4), layout="constrained", sharey=True, width_ratios=(1.2, 1)
    )
    for place, row in enumerate(reversed(rows)):
        left.plot(row.runs, [place] * len(row.runs), "o", color=GREY, alpha=0.55, markersize=4)
        left.plot([row.accuracy], [place], "D", color=BLUE, markersize=6)
        if not math.isnan(row.difference_low):
            right.plot([row.difference_low, row.difference_high], [place, place], color=BLUE, linewidth=2)
        right.plot([row.difference], [place], "D", color=BLUE, markersize=6)
    left.set_yticks(range(len(rows)), [row.arm for row in reversed(rows)])
    left.set_xlabel(f"test {judge}: runs and their mean")
    right.axvline(0, color="black", linewidth=1)
    right.set_xlabel(f"difference from {against}, 95 % interval")
    for axes in (left, right):
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)
    plt.close(figure)


def _finite(value: Any) -> Any:
    """NaN as None, which JSON has."""
    if isinstance(value, dict):
        return {name: _finite(x) for name, x in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
