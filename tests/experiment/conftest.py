"""Finished runs made by hand: what `train` and `measure` would have left of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from rerec_engine.experiment.runner import Run


def finish(
    run: Run, accuracy: float, *, moment: str = "after", cpu_seconds: float = 90.0, measured: Mapping[str, Any] | None
) -> None:
    """A run directory of two steps, 3,000 tokens in all, and an evaluation before training and one at `moment`."""
    run.path.mkdir(parents=True)
    evals = [
        {"step": step, "moment": at, "accuracy": value, "by_category": {"explicit": value}, "mean_length": 12.0}
        for step, at, value in ((0, "before", 0.1), (2, moment, accuracy))
    ]
    steps = [{"step": i, "seconds_total": float(i), "tokens_per_second": 1000.0} for i in (1, 2)]
    for name, lines in (("eval", evals), ("metrics", steps)):
        (run.path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (run.path / "usage.json").write_text(json.dumps({"cpu_seconds": cpu_seconds}))
    if measured is not None:
        (run.path / "measured.json").write_text(json.dumps(measured))


@pytest.fixture(scope="session")
def make_finished() -> Callable[..., None]:
    """`make_finished(run, accuracy, moment="after", cpu_seconds=90.0, measured=None)` writes the run's directory."""

    def make(run: Run, accuracy: float, *, measured: Mapping[str, Any] | None = None, **more: Any) -> None:
        finish(run, accuracy, measured=measured, **more)

    return make
