"""Ground truths and candidates as users give them: titles, ids, texts of several titles, arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rerec_engine.errors import UserError
from rerec_engine.reward import RewardEngine, Targets

MAKERS = [
    lambda x: np.asarray(x, np.int32),
    lambda x: np.asarray(x, np.int64),
    lambda x: torch.tensor(x),
    lambda x: torch.tensor(x, dtype=torch.int32),
]


def box(*titles: str) -> str:
    return "\\boxed{" + "; ".join(titles) + "}"


def test_ground_truth_forms(engine: RewardEngine) -> None:
    answer = box("Heat", "Seven")
    forms = [[0, 2], ("Heat (1995)", 2), "Heat (1995); Seven (1995)", "Heat [SEP] Se7en\n", np.array([2, 0, 0])]
    scores = engine.score([answer] * len(forms), forms, k=2)
    assert scores.ndcg.tolist() == [1.0] * len(forms)
    # A title that holds ';' is one ground truth.
    assert engine.score([box("Et Dieu; créa la femme (1956)")], ["Et Dieu; créa la femme (1956)"]).hit.tolist() == [1]
    # An ambiguous one is resolved through its candidates.
    assert engine.score([box("Hamlet")], ["Hamlet"], [["Hamlet (1996)", 0]]).items[0].tolist() == [4]


@pytest.mark.parametrize(
    ("truth", "candidates", "message"),
    [
        (["Heat", "Nobody Knows"], None, r"ground_truth\[1\]: 'Nobody Knows' is not in the catalogue"),
        (["Heat", "Hamlet"], None, r"ground_truth\[1\]: 'Hamlet' fits several items \(has: Hamlet \(1990\); Hamlet"),
        (["Heat", "Hamlet (2020)"], None, r"ground_truth\[1\]: .* is not in the catalogue \(has: Hamlet"),
        (["Heat", ""], None, r"ground_truth\[1\] is empty"),
        (["Heat", []], None, r"ground_truth\[1\] is empty"),
        (["Heat", 99], None, r"ground_truth\[1\]: item 99 is outside"),
        ([-1, 0], None, r"ground_truth\[0\]: item -1 is outside"),
        (["Heat", None], None, r"ground_truth\[1\]: expected a sequence"),
        (["Heat", [2.5]], None, r"ground_truth\[1\]: expected a title or an item id, got 2.5"),
        (["Heat"], None, r"ground_truth must hold one entry a response \(2\), got 1"),
        ("Heat", None, "ground_truth must hold one entry a response"),
        (["Heat", "Heat"], [None], r"candidates must hold one entry a response \(2\), got 1"),
        (["Heat", "Heat"], [None, ["Nobody Knows"]], r"candidates\[1\]: 'Nobody Knows'"),
        (["Heat", "Heat"], [None, "Heat"], r"candidates\[1\]: expected a sequence"),
    ],
)
def test_bad_targets_name_the_row(engine: RewardEngine, truth: object, candidates: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        engine.score(["", ""], truth, candidates)  # type: ignore[arg-type]


@pytest.mark.parametrize("make", MAKERS)
def test_targets_as_arrays(engine: RewardEngine, make: Any) -> None:
    texts = ["\\boxed{Hamlet}", "\\boxed{Heat; Seven}", "\\boxed{It}"]
    lists = engine.score(texts, [[4], [0, 2], [5]], [[4, 0], [0, 2], []], k=2)
    arrays = engine.score(texts, make([[4, -1], [2, 0], [5, 5]]), make([[4, 0], [2, 0], [-1, -1]]), k=2)
    assert [row.tolist() for row in lists.items] == [row.tolist() for row in arrays.items]
    np.testing.assert_array_equal(lists.total, arrays.total)
    flat = engine.score(texts, make([4, 0, 5]), [[4, 0], None, []])
    assert flat.hit.tolist() == [1, 1, 1]
    mixed = engine.score(texts, ["Hamlet (1996)", "Heat", 5], make([[3, 4], [0, -1], [-1, -1]]))
    assert mixed.items[0].tolist() == [-1]  # two candidates fit


def test_targets_once(engine: RewardEngine) -> None:
    texts = ["\\boxed{Hamlet}", "\\boxed{Heat}"]
    targets = engine.targets(["Hamlet (1996)", "Heat"], [[4], None])
    assert isinstance(targets, Targets) and len(targets) == 2
    np.testing.assert_array_equal(
        engine.score(texts, targets).total, engine.score(texts, ["Hamlet (1996)", "Heat"], [[4], None]).total
    )
    with pytest.raises(UserError, match=r"one entry a response \(1\), got 2"):
        engine.score(texts[:1], targets)
    with pytest.raises(UserError, match="part of the targets"):
        engine.score(texts, targets, [None, None])


@pytest.mark.parametrize(
    ("truth", "candidates", "message"),
    [
        (np.array([0, 12]), None, r"ground_truth\[1\]: item 12 is outside"),
        (np.array([0, -1]), None, r"ground_truth\[1\]: item -1 is outside"),
        (np.array([[0, 1], [-1, -1]]), None, r"ground_truth\[1\] is empty"),
        (np.array([0.5, 1]), None, "ground_truth must hold item ids"),
        (np.array([0, 1]), np.array([[1, 2], [3, 99]]), r"candidates\[1\]: item 99"),
        (np.array([0]), None, r"ground_truth must hold one entry a response \(2\), got 1"),
        ([True, False], None, r"ground_truth\[0\]"),
    ],
)
def test_bad_arrays_name_the_row(engine: RewardEngine, truth: Any, candidates: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        engine.score(["", ""], truth, candidates)
