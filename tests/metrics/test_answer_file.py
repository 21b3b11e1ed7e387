"""Answer files scored, by the published rules and by a catalogue."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.table import Table

from rerec_engine.data import dataset
from rerec_engine.errors import UserError
from rerec_engine.metrics.answer_file import evaluate_predictions, predictions_table


def write(folder: Path, truth: list[list[str]], responses: dict[str, str]) -> tuple[str, str]:
    """A file of answers, and one of queries: one group, a query an entry of `truth`."""
    entries = [{"query": "q", "movie subset": titles} for titles in truth]
    (folder / "q.json").write_text(json.dumps([{"query & ground true": entries}]))
    lines = [json.dumps({"id": id, "response": text}) for id, text in responses.items()]
    (folder / "p.jsonl").write_text("\n".join(lines))
    return str(folder / "p.jsonl"), str(folder / "q.json")


def test_answers_are_scored_by_the_published_rules(tmp_path: Path) -> None:
    responses = {"0-1": "Se7en", "0-0": "Casino (1995) [SEP] Unknown (1990)"}
    files = write(tmp_path, [["Casino", "Alien (1979)"], ["Seven"]], responses)
    result = evaluate_predictions(*files, "recbench")
    assert result == {
        "matcher": "recbench",
        "predictions": files[0],
        "queries": files[1],
        "means": {"precision": 0.75, "recall": 0.75, "ndcg": pytest.approx((0.61315 + 1) / 2, abs=1e-5), "ftr": 0.5},
        "skipped": {"broken": 0, "repeated": 0, "unknown": 0, "unanswered": 0},
        "rows": [
            {"id": "0-0", "precision": 0.5, "recall": 0.5, "ndcg": pytest.approx(0.61315, abs=1e-5), "ftr": False},
            {"id": "0-1", "precision": 1.0, "recall": 1.0, "ndcg": 1.0, "ftr": True},
        ],
    }


def test_means_are_of_the_answers_that_are_there(tmp_path: Path) -> None:
    files = write(tmp_path, [["Casino"], ["Seven"]], {"0-0": "Casino", "7-7": "Heat"})
    with pytest.raises(UserError, match=r"p\.jsonl:2: id '7-7' is in no query \(skip_bad leaves such rows out\)"):
        evaluate_predictions(*files, "recbench")
    result = evaluate_predictions(*files, "recbench", skip_bad=True)
    assert result["skipped"] == {"broken": 0, "repeated": 0, "unknown": 1, "unanswered": 1}
    assert result["means"] == {"precision": 1, "recall": 1, "ndcg": 1, "ftr": 1}
    assert [row["id"] for row in result["rows"]] == ["0-0"]


def test_the_catalogue_stands_beside_the_published_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    films = SimpleNamespace(titles=["Heat (1995)", "Usual Suspects, The (1995)", "Solaris"], years=[1995, 1995, 1972])
    monkeypatch.setattr(dataset, "load_dataset", {"films": films}.__getitem__)
    responses = {"0-0": "nothing like it [SEP] HEAT", "0-1": "the usual suspects", "0-2": "Solaris (2002)"}
    files = write(tmp_path, [["Heat (1995)", "Elsewhere (1999)"], [films.titles[1]], ["Solaris"]], responses)
    result = evaluate_predictions(*files, "catalogue", "films")
    assert result["matcher"] == "catalogue"
    assert [row["recall"] for row in result["rows"]] == [0.5, 1, 0]  # another year is another film
    assert result["rows"][0]["precision"] == 0.5
    assert result["means"]["recall"] == pytest.approx(0.5)
    assert result["means_recbench"]["recall"] == pytest.approx(1 / 3)  # there the year is taken off
    assert result["ground_truth_outside_catalogue"] == 1


def test_a_catalogue_matcher_needs_its_data(tmp_path: Path) -> None:
    files = write(tmp_path, [["Casino"]], {"0-0": "Casino"})
    with pytest.raises(UserError, match=r"^matcher catalogue needs data, the dataset whose catalogue is meant$"):
        evaluate_predictions(*files, "catalogue")
    with pytest.raises(UserError, match="no such dataset directory"):
        evaluate_predictions(*files, "catalogue", str(tmp_path / "nowhere"))


MEANS = {"precision": 0.25, "recall": 1.0, "ndcg": 0.12346, "ftr": 0.0}
NONE = {"broken": 0, "repeated": 0, "unknown": 0, "unanswered": 0}


Printed = Callable[[Table], list[str]]
Cells = Callable[[list[str]], list[list[str]]]


def test_the_table_has_a_column_a_matcher(printed: Printed, cells: Cells) -> None:
    plain = {"matcher": "recbench", "means": MEANS, "skipped": NONE, "rows": [{}] * 3}
    told = printed(predictions_table(plain))
    assert told[0] == "3 answers"
    assert cells(told) == [
        ["mean of", "recbench"],
        ["precision", "0.2500"],
        ["recall", "1.0000"],
        ["ndcg", "0.1235"],
        ["ftr", "0.0000"],
    ]
    assert "left out" not in " ".join(told)
    beside = plain | {"matcher": "catalogue", "means_recbench": MEANS | {"recall": 0.5}}
    rows = cells(printed(predictions_table(beside)))
    assert [rows[0], rows[2]] == [["mean of", "recbench", "catalogue"], ["recall", "0.5000", "1.0000"]]


def test_the_table_tells_what_was_left_out(printed: Printed) -> None:
    skipped = NONE | {"broken": 2, "unanswered": 1}
    told = printed(predictions_table({"matcher": "recbench", "means": MEANS, "skipped": skipped, "rows": [{}]}))
    assert " ".join(told).endswith("left out: 2 broken, 1 unanswered")
