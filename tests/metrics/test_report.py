"""The forms of a report: JSON, a table, a line of `eval.jsonl`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import numpy as np
import pytest
from rich.table import Table

from rerec_engine.metrics.bootstrap import bootstrap_interval
from rerec_engine.metrics.report import CategoryReport, Estimate, EvalReport, with_interval

EXPLICIT = CategoryReport(3, Estimate(2 / 3, 0.1, 0.9), Estimate(0.25, 0.2, 0.3), 0.125)
IMPLICIT = CategoryReport(1, Estimate(0.0, 0.0, 0.0), Estimate(1.0, 1.0, 1.0), 0.05)
REPORT = EvalReport(
    queries=4,
    k=3,
    accuracy=Estimate(0.5, 0.25, 0.75),
    ndcg=Estimate(0.4, 0.3, 0.6),
    chance=0.1,
    format_rate=Estimate(0.8, 0.7, 0.95),
    unknown_item_rate=0.01,
    outside_rate=0.02,
    mean_length=17.25,
    truncated_rate=0.03,
    ranking={"hit@3": 0.6, "mrr@3": 0.55},
    by_category={"explicit": EXPLICIT, "implicit": IMPLICIT},
    split="test",
    step=12,
    rows=({"id": "q0", "hit": True},),
)


def test_an_estimate_is_a_mean_with_its_bootstrap_interval() -> None:
    values = np.random.default_rng(0).random(20, dtype=np.float32)
    low, high = bootstrap_interval(values, seed=4)
    assert Estimate.of(values, seed=4) == Estimate(values.astype(float).mean(), low, high)
    assert Estimate.of(values, seed=5) != Estimate.of(values, seed=4)
    assert Estimate.of(np.array([0.25])) == Estimate(0.25, 0.25, 0.25)
    with pytest.raises(ValueError, match="not empty"):
        Estimate.of(np.array([]))


def test_a_figure_is_shown_with_its_interval() -> None:
    assert with_interval(0.8124, 0.7756, 1) == "0.812 [0.776, 1.000]"
    assert str(REPORT.accuracy) == "0.500 [0.250, 0.750]"


def test_json_holds_all_figures_and_the_rows_on_request() -> None:
    whole = json.loads(json.dumps(REPORT.to_json(rows=True)))
    assert set(whole) == {field.name for field in dataclasses.fields(EvalReport)}
    assert whole["accuracy"] == {"mean": 0.5, "low": 0.25, "high": 0.75}
    assert whole["by_category"]["implicit"]["queries"] == 1
    assert whole["ranking"] == {"hit@3": 0.6, "mrr@3": 0.55}
    assert whole["rows"] == [{"id": "q0", "hit": True}]
    del whole["rows"]
    assert json.loads(json.dumps(REPORT.to_json())) == whole


def test_a_line_holds_what_curves_need() -> None:
    assert REPORT.line() == {
        "step": 12,
        "split": "test",
        "queries": 4,
        "left_out": 0,
        "accuracy": 0.5,
        "accuracy_low": 0.25,
        "accuracy_high": 0.75,
        "chance": 0.1,
        "ndcg@3": 0.4,
        "format_rate": 0.8,
        "unknown_item_rate": 0.01,
        "outside_rate": 0.02,
        "mean_length": 17.25,
        "statements": 0.0,
        "true_reasons": None,
        "by_category": {"explicit": 2 / 3, "implicit": 0.0},
        "interval_by_category": {"explicit": [0.1, 0.9], "implicit": [0.0, 0.0]},
    }


@pytest.mark.parametrize(
    ("step", "split", "expected"),
    [(0, None, (0, "test")), (None, "", (12, "")), (9, "val", (9, "val"))],
)
def test_a_line_may_be_of_another_step_and_split(
    step: int | None, split: str | None, expected: tuple[int, str]
) -> None:
    line = REPORT.line(step=step, split=split)
    assert (line["step"], line["split"]) == expected


Printed = Callable[[Table], list[str]]
Cells = Callable[[list[str]], list[list[str]]]


def test_the_table_has_a_row_a_category_and_one_of_all(printed: Printed, cells: Cells) -> None:
    told = printed(REPORT.table())
    assert told[0] == "test: 4 queries, greedy, 95 % bootstrap intervals"
    assert cells(told) == [
        ["category", "n", "accuracy", "chance", "NDCG@3"],
        ["explicit", "3", "0.667 [0.100, 0.900]", "0.125", "0.250 [0.200, 0.300]"],
        ["implicit", "1", "0.000 [0.000, 0.000]", "0.050", "1.000 [1.000, 1.000]"],
        ["all", "4", "0.500 [0.250, 0.750]", "0.100", "0.400 [0.300, 0.600]"],
    ]
    marked = cells(printed(dataclasses.replace(REPORT, by_mark={"years": EXPLICIT}).table()))
    assert marked[-2:] == [["years", *cells(told)[1][1:]], cells(told)[-1]]
    assert " ".join(told).endswith(
        "with an answer 0.800 [0.700, 0.950]; of these, first title unknown 0.010, outside the candidates 0.020; "
        "17.2 tokens, cut off 0.030"
    )
    assert printed(dataclasses.replace(REPORT, split="").table())[0].startswith("evaluation: 4 queries")
