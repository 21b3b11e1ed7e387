from __future__ import annotations

import json
import math
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import dcg_score

from rerec_engine.metrics.predictions import read_answers, read_group_queries
from rerec_engine.metrics.recbench import binary_ndcg, mean_metrics, score_recbench

MODELS = (
    "movie-UserBasedQuery_DeepSeek-R1-historyFalse-OpenaiBatchFile-0_output.jsonl",
    "movie-UserBasedQuery_claude-3-5-sonnet-20241022-prediction.jsonl",
    "movie-UserBasedQuery_gemini-1.5-pro-prediction.jsonl",
    "movie-UserBasedQuery_gpt-4o-prediction.json",
)


@pytest.mark.parametrize("name", MODELS)
def test_published_rows_are_reproduced(shared_data: Path, name: str) -> None:
    folder = shared_data / "recbenchplus"
    if not folder.is_dir():
        pytest.skip(f"no {folder}: RecBench+ lies there where it is at hand")
    queries = read_group_queries(folder / "DemographicsBasedQuery.json")
    answers = read_answers(folder / "userbased_answers" / name, queries)
    published = json.loads((folder / "userbased_eval" / f"{name.rpartition('.')[0]}.json").read_text())
    assert len(published) == 279
    assert {row["id"] for row in published} == set(answers.replies)
    for row in published:
        ours = score_recbench(row["id"], answers.replies[row["id"]].text, queries[row["id"]].ground_truth)
        assert ours.to_json() == pytest.approx(row, abs=1e-9), row["id"]


def test_year_is_stripped_from_the_prediction_only() -> None:
    assert score_recbench("a", "Jaws (1975) [SEP] Alien", ["Jaws"]).recall == 1
    assert score_recbench("a", "Jaws (1975) [SEP] Alien", ["Jaws (1975)"]).recall == 0  # "Jaws" against "Jaws (1975)"


@pytest.mark.parametrize(
    ("title", "hit"),
    [
        ('"Doctor Zhivago"', True),
        ("'Doctor Zhivago'", True),
        ('"Doctor Zhivago (1965)"', True),
        ("""'"Doctor Zhivago"'""", True),
        ('  "Doctor Zhivago"  ', True),
        ('"Doctor Zhivago" (1965)', True),  # one quote stays: near enough
        ("“Doctor Zhivago”", True),  # both stay
        ("'Her'", True),
        ('"Her (2013)"', True),
        ('"Her" (2013)', True),  # `Her"`
        ("“Her”", False),
        ("""\"'Her'\"""", False),  # ' goes first, where there is none
        ('" Her "', True),
    ],
)
def test_quotes_around_a_prediction_are_stripped(title: str, hit: bool) -> None:
    truth = "Her" if "Her" in title else "Doctor Zhivago"
    assert score_recbench("a", f"{title} [SEP] Alien", [truth]).recall == hit


def test_quotes_of_a_ground_truth_stay() -> None:
    assert score_recbench("a", "Her [SEP] Alien", ['"Her"']).recall == 0


def test_precision_counts_ground_truths_and_ndcg_counts_predictions() -> None:
    row = score_recbench("a", "Manhattan [SEP] Manhattan [SEP] Heat", ["Manhattan"])
    assert row.precision == pytest.approx(1 / 3)
    assert row.recall == 1
    assert row.ndcg == pytest.approx(1 + 1 / math.log2(3))


@pytest.mark.parametrize("response", ["", "Sorry, I know none.", "x" * 1_000_000])
def test_answer_without_a_list_failed_to_recommend(response: str) -> None:
    row = score_recbench("a", response, ["Heat (1995)"])
    assert row.ftr
    assert (row.precision, row.recall, row.ndcg) == (0, 0, 0)


def test_empty_ground_truth_is_refused() -> None:
    with pytest.raises(ValueError, match="no ground truth"):
        score_recbench("a", "Heat", [])


TITLE = st.text(alphabet="abcAB ()1", max_size=12)


@settings(max_examples=200, deadline=None)
@given(st.lists(TITLE, min_size=1, max_size=5), st.lists(TITLE, min_size=1, max_size=4))
def test_recall_is_that_of_plain_difflib(predicted: list[str], truth: list[str]) -> None:
    predicted = [title.strip() for title in predicted]  # no year can stand in this alphabet
    row = score_recbench("a", " [SEP] ".join(predicted), truth)
    found = [any(SequenceMatcher(None, p, t).ratio() >= 0.8 for p in predicted) for t in truth]
    assert row.recall == pytest.approx(np.mean(found))


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.lists(st.booleans(), max_size=12), st.integers(1, 15))
def test_ndcg_is_that_of_scikit_learn(relevant: list[bool], ideal: int) -> None:
    def dcg(gains: list[bool]) -> float:
        padded = np.array([[*gains, False, False]], dtype=float)
        return float(dcg_score(padded, -np.arange(padded.size, dtype=float)[None]))

    assert binary_ndcg(relevant, ideal) == pytest.approx(dcg(relevant) / dcg([True] * ideal))


def test_means_of_no_row_are_zero() -> None:
    assert mean_metrics([]) == {"precision": 0, "recall": 0, "ndcg": 0, "ftr": 0}
