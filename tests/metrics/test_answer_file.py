"""Answer files scored, by the published rules and by a catalogue."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from rich.table import Table

from rerec_engine.data import dataset
from rerec_engine.data.counts import Counts
from rerec_engine.data.sources import read_items
from rerec_engine.errors import UserError
from rerec_engine.metrics.answer_file import evaluate_predictions, predictions_table, rank_predictions
from rerec_engine.metrics.catalogue_match import CatalogueScorer
from rerec_engine.metrics.predictions import read_answers, read_group_queries
from rerec_engine.metrics.ranking.measures import MEASURES, measure


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


def test_answers_are_ranked_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    films = SimpleNamespace(titles=["Heat (1995)", "Solaris"], years=[1995, 1972], item_count=2)
    films.interactions = sp.csr_matrix([[1, 0], [1, 1]])
    monkeypatch.setattr(dataset, "load_dataset", {"films": films}.__getitem__)
    truth = [["Heat (1995)", "Elsewhere (1999)"], ["Solaris"]]
    responses = {"0-0": "nothing [SEP] nothing [SEP] HEAT [SEP] Heat", "0-1": "Solaris (2002)"}
    predictions, queries = write(tmp_path, truth, responses)
    report, skipped = rank_predictions(predictions, queries, "films")
    assert [row["lists"]["p.jsonl"] for row in report.rows] == [[-1, 0], [-1]]
    assert [row["ground_truth"] for row in report.rows] == [[0, 2], [1]]
    assert [row["popularity"] for row in report.rows] == ["head", "tail"]
    figures = report.systems["p.jsonl"].all.measures
    assert (figures["HR@1"].mean, figures["HR@3"].mean, figures["Recall@3"].mean) == (0, 0.5, 0.25)
    assert report.notes == ("1 right titles are not in the catalogue",)
    assert not any(skipped.values())
    with pytest.raises(UserError, match="matcher catalogue needs data"):
        rank_predictions(predictions, queries, None)


@pytest.mark.parametrize(
    "name",
    [
        "movie-UserBasedQuery_DeepSeek-R1-historyFalse-OpenaiBatchFile-0_output.jsonl",
        "movie-UserBasedQuery_claude-3-5-sonnet-20241022-prediction.jsonl",
        "movie-UserBasedQuery_gemini-1.5-pro-prediction.jsonl",
        "movie-UserBasedQuery_gpt-4o-prediction.json",
    ],
)
def test_published_answers_are_ranked_as_the_catalogue_matches_them(
    shared_data: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row by row: recall, NDCG and the hit, which two paths of code compute from the same titles."""
    folder, movies = shared_data / "recbenchplus", shared_data / "ml-1m" / "movies.dat"
    if not folder.is_dir() or not movies.is_file():
        pytest.skip(f"no {folder} or no {movies}: RecBench+ and MovieLens 1M lie there where they are at hand")
    items = read_items(movies, Counts())
    films = SimpleNamespace(titles=items.titles, years=items.years, item_count=len(items.titles))
    films.interactions = sp.csr_matrix((0, len(items.titles)))
    monkeypatch.setattr(dataset, "load_dataset", {"films": films}.__getitem__)
    files = str(folder / "userbased_answers" / name), str(folder / "DemographicsBasedQuery.json")
    matched = evaluate_predictions(*files, "catalogue", "films")
    report, _ = rank_predictions(*files, "films")
    queries = read_group_queries(files[1])
    scorer = CatalogueScorer(items.titles, items.years, [query.ground_truth for query in queries.values()])
    answers = read_answers(files[0], queries).replies
    lists = [scorer.ranking(answers[row["id"]].text, queries[row["id"]].ground_truth) for row in matched["rows"]]
    truths = [row["ground_truth"] for row in report.rows]
    whole = dict(zip(MEASURES, measure(lists, truths, (1, 1000)).transpose(1, 2, 0), strict=True))
    assert whole["Recall"][1] == pytest.approx([row["recall"] for row in matched["rows"]], abs=1e-12)
    assert whole["NDCG"][1] == pytest.approx([row["ndcg"] for row in matched["rows"]], abs=1e-12)
    assert whole["HR"][1].tolist() == [row["recall"] > 0 for row in matched["rows"]]
    precision = whole["Recall"][1] * [len(set(truth)) for truth in truths] / [len(own) for own in lists]
    assert precision == pytest.approx([row["precision"] for row in matched["rows"]], abs=1e-12)
    figures = report.systems[name].all.measures
    assert figures["HR@1"].mean == pytest.approx(whole["HR"][0].mean(), abs=1e-12)
    short = np.array([len(own) <= 20 for own in lists])  # a few answers name more
    assert short.mean() > 0.94
    assert figures["Recall@20"].mean == pytest.approx(whole["Recall"][1].mean(), abs=1e-12 + (~short).mean())
    ranked = [row["lists"][name] for row in report.rows]
    assert ranked == [own[:20] for own in lists]
