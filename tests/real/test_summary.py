"""A summary out of what the stages left."""

from __future__ import annotations

import json

from rerec_engine.real.stages import USAGE, Options, evaluation_file
from rerec_engine.real.summary import summarise, table


def test_a_summary_of_nothing_is_empty_and_can_be_shown(tmp_path):
    summary = summarise(Options(tmp_path / "run", tmp_path / "inputs"))
    assert summary == {"seconds": {"reinforcement": 0}, "peak_memory_gb": 0.0, "evaluations": []}
    assert table(summary).row_count == 0


def test_files_and_lines_become_rows(tmp_path):
    options = Options(tmp_path / "run", tmp_path / "inputs")
    report = {
        "queries": 300,
        "accuracy": {"mean": 0.5, "low": 0.4, "high": 0.6},
        "format_rate": {"mean": 0.9},
        "unknown_item_rate": 0.1,
        "true_reasons": None,
        "by_category": {"explicit": {"accuracy": {"mean": 0.5}}},
    }
    line = {"step": 60, "split": "test", "moment": "after", "queries": 300, "accuracy": 0.8, "accuracy_low": 0.7}
    line |= {"accuracy_high": 0.9, "format_rate": 1.0, "unknown_item_rate": 0.0, "true_reasons": 0.95}
    line |= {"by_category": {"explicit": 0.8}}
    file = evaluation_file(options.inputs, "untrained", "recbench")
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(report))
    (options.inputs / USAGE).write_text(json.dumps({"films": {"seconds": 20.0, "peak_gb": 1.5}}))
    options.output.mkdir()
    (options.output / "eval.jsonl").write_text(json.dumps(line) + "\n")
    steps = [{"step": 1, "seconds_total": 30.0}, {"step": 2, "seconds_total": 12.0}]
    (options.output / "metrics.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    summary = summarise(options)
    assert summary["seconds"] == {"films": 20.0, "reinforcement": 42.0}
    assert summary["peak_memory_gb"] == 1.5
    made, theirs = summary["evaluations"]
    assert made == {
        "stage": "final",
        "requests": "made",
        "candidates": 10,
        "n": 300,
        "accuracy": 0.8,
        "interval": [0.7, 0.9],
        "format": 1.0,
        "unknown_items": 0.0,
        "true_reasons": 0.95,
        "by_kind": {"explicit": 0.8},
    }
    assert (theirs["requests"], theirs["candidates"], theirs["stage"]) == ("recbench", 20, "untrained")
    assert theirs["interval"] == [0.4, 0.6]
    assert table(summary).row_count == 2
