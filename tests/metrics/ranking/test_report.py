"""What lists are worth: by group, at all cut-offs, several systems beside each other."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from rich.console import Console
from rich.table import Table

from rerec_engine.metrics.ranking.popularity import Popularity
from rerec_engine.metrics.ranking.report import report_rankings
from rerec_engine.types import Query

LOG = Popularity.of(sp.csr_matrix(np.arange(6)[:, None] < np.array([6, 2, 2, 1, 1, 0])))  # head, 4 middle and tail
QUERIES = [
    Query("a", (), (0,), category="explicit"),
    Query("b", (), (2,), category="implicit"),
    Query("c", (), (5,), category="implicit"),
]
SYSTEMS = {
    "ours": {"a": [0, 1], "b": [-1, 2], "c": [1, 4]},
    "theirs": {"a": [1, 0], "b": [3]},
}


def test_figures_by_group() -> None:
    report = report_rankings(SYSTEMS, QUERIES, LOG, split="test")
    ours, theirs = report.systems["ours"], report.systems["theirs"]
    assert report.sizes == {
        "explicit": 1,
        "implicit": 2,
        "head items": 1,
        "middle items": 1,
        "tail items": 1,
        "all": 3,
    }
    assert {name: of.measures["HR@10"].mean for name, of in ours.groups.items()} == {
        "explicit": 1,
        "implicit": 0.5,
        "head items": 1,
        "middle items": 1,
        "tail items": 0,
        "all": pytest.approx(2 / 3),
    }
    assert (ours.all.queries, theirs.all.queries, theirs.groups["implicit"].queries) == (3, 2, 1)
    assert "tail items" not in theirs.groups
    assert (ours.all.measures["HR@1"].mean, theirs.all.measures["HR@1"].mean) == (pytest.approx(1 / 3), 0)
    assert theirs.all.measures["MRR@3"].mean == 0.25
    assert (ours.length, ours.unknown, theirs.length) == (2, pytest.approx(1 / 6), 1.5)
    assert (ours.coverage["@1"], ours.coverage["@20"]) == (pytest.approx(2 / 6), pytest.approx(4 / 6))
    assert ours.popularity["@1"] == pytest.approx((6 + 2) / 2)  # an unknown title is nothing shown
    assert ours.lead is None
    assert theirs.lead is not None
    assert theirs.lead.mean == pytest.approx(((1 - 1 / np.log2(3)) + 1 / np.log2(3)) / 2)


def test_without_a_log_there_are_no_groups_of_popularity() -> None:
    nothing = Popularity.of(sp.csr_matrix((0, 6)))
    report = report_rankings(SYSTEMS, QUERIES, nothing)
    assert [*report.sizes] == ["explicit", "implicit", "all"]
    assert set(report.systems["ours"].novelty.values()) == {None}
    assert report.rows[0]["popularity"] is None


def test_who_ranks_for_none_is_told() -> None:
    report = report_rankings({"ours": SYSTEMS["ours"], "none": {}}, QUERIES, LOG, notes=["x: y"])
    assert [*report.systems] == ["ours"]
    assert report.notes == ("x: y", "none: left out, it ranks for none of the queries")
    with pytest.raises(ValueError, match="no system ranks"):
        report_rankings({"none": {}}, QUERIES, LOG)


def test_a_long_name_leaves_room_for_the_figures() -> None:
    report = report_rankings({"a/" * 40: SYSTEMS["ours"]}, QUERIES, LOG)
    for table, figures in zip(report.tables(), ("0.667 [0.000, 1.000]", "0.6667"), strict=True):
        console = Console(width=80, file=io.StringIO())
        console.print(table)
        assert isinstance(console.file, io.StringIO)
        assert figures in console.file.getvalue()
        assert "…" not in console.file.getvalue()


def test_tables_and_json(printed: Callable[[Table], list[str]], cells: Callable[[list[str]], list[list[str]]]) -> None:
    report = report_rankings(SYSTEMS, QUERIES, LOG, split="test")
    by_group, by_cutoff = (printed(table) for table in report.tables())
    assert by_group[0] == "test: 3 queries, 6 items ranked, 95 % bootstrap intervals"
    assert ["theirs", "2", "0.500 [0.000, 1.000]", "0.315 [0.000, 0.631]"] in cells(by_group)
    assert by_group[-1] == "not all of the 3 queries can be ranked for by theirs (2)"
    assert ["HR", "0.3333", "0.6667", "0.6667", "0.6667", "0.6667"] in cells(by_cutoff)
    assert not any(row[0] == "Recall" for row in cells(by_cutoff))
    two = [replace(QUERIES[0], ground_truth=(0, 4)), *QUERIES[1:]]
    assert any(row[0] == "Recall" for row in cells(printed(report_rankings(SYSTEMS, two, LOG).tables()[1])))
    told = json.loads(json.dumps(report.to_json()))
    assert told["systems"]["ours"]["groups"]["all"]["measures"]["NDCG@10"].keys() == {"mean", "low", "high"}
    assert told["rows"][1]["lists"] == {"ours": [-1, 2], "theirs": [3]}
