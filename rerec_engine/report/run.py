"""What the report shows of a run: its settings, metrics, evaluations and some of its rollouts."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from rerec_engine.errors import UserError, file_error
from rerec_engine.report.rollouts import read_groups
from rerec_engine.runs.records import read_records
from rerec_engine.runs.settings import flatten, read_yaml

POINTS = 600
"""Most points of a curve; a longer run's are means over equally many steps."""
ROLLOUT_BYTES = 480_000
"""Of the page's rollouts, roughly."""
DIGITS = 5
"""Significant ones of a figure on the page."""


def read_run(path: Path, rollout_bytes: int = ROLLOUT_BYTES, tokenizer: Any = None) -> dict[str, Any]:
    """A run directory as the page's script reads it. Raises UserError where there is none, or a file is broken."""
    if not (path / "config.yaml").is_file():
        raise UserError(f"{path}: no config.yaml there; expected a run directory (train's --output)")
    config = read_yaml(path / "config.yaml")
    lines, evaluations = read_records(path / "metrics.jsonl"), read_records(path / "eval.jsonl")
    if not lines and not evaluations:
        raise UserError(f"{path}: no step and no evaluation yet; train writes a line for each")
    metrics, mean_of = _columns(lines)
    environment = path / "environment.json"
    groups, left_out = read_groups(path, config, rollout_bytes, tokenizer)
    return {
        "name": path.resolve().name,
        "settings": {name: "" if value is None else str(value) for name, value in flatten(config).items()},
        "environment": json.loads(environment.read_text(encoding="utf-8")) if environment.is_file() else {},
        "metrics": metrics,
        "mean_of": mean_of,
        "evals": [_rounded(line) for line in evaluations],
        "places": _places(path / "orders.json"),
        "groups": groups,
        "groups_left_out": left_out,
    }


def _places(path: Path) -> list[dict[str, Any]]:
    """Place, accuracy and share of answers, of what `evaluate --permutations N --output RUN/orders.json` has written;
    empty where it has not."""
    if not path.is_file():
        return []
    try:
        groups = json.loads(path.read_text(encoding="utf-8"))["orders"]["by_place"]
        return [
            {"place": int(place), "accuracy": rounded(of["accuracy"]["mean"]), "chosen": rounded(of["chosen"])}
            for place, of in groups.items()
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise file_error(path, "is not what evaluate --permutations writes") from None


def rounded(x: float) -> float | int | None:
    """To `DIGITS` significant digits; None for what is no finite number."""
    if not math.isfinite(x):
        return None
    value = float(f"{x:.{DIGITS}g}")
    return int(value) if value == int(value) and abs(value) < 2**53 else value


def _rounded(record: Any) -> Any:
    if isinstance(record, dict):
        return {name: _rounded(value) for name, value in record.items()}
    return rounded(record) if isinstance(record, float) else record


def _columns(lines: list[dict[str, Any]]) -> tuple[dict[str, list[float | int | None]], int]:
    """Metric name -> values by step, and over how many steps each is a mean."""
    mean_of = max(1, -(-len(lines) // POINTS))
    names = dict.fromkeys(["step", *(name for line in lines for name in line)])
    found: dict[str, list[float | int | None]] = {"step": []}
    for name in names:
        values = [line.get(name) for line in lines]
        if not all(value is None or isinstance(value, (int, float)) for value in values):
            continue
        numbers = np.array([math.nan if value is None else float(value) for value in values])
        if np.isnan(numbers).all():
            continue
        found[name] = [_of_bin(name, numbers[i : i + mean_of]) for i in range(0, len(numbers), mean_of)]
    return found, mean_of


def _of_bin(name: str, values: np.ndarray) -> float | int | None:
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    return rounded(float(known[-1] if name == "step" else known.mean()))
