"""Ground truths and candidates as users give them: titles, ids, texts of several titles, arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from reward_reference import TITLES

from rerec_engine.errors import UserError
from rerec_engine.reward import RewardEngine, Targets
from rerec_engine.reward.targets import id_arrays


def box(*titles: str) -> str:
    return "\\boxed{" + "; ".join(titles) + "}"


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


@pytest.mark.parametrize("kind", [np.int32, np.int64, torch.int32, torch.int64], ids=str)
def test_targets_as_arrays(engine: RewardEngine, kind: Any) -> None:
    def make(ids: Any) -> Any:
        return torch.tensor(ids, dtype=kind) if isinstance(kind, torch.dtype) else np.asarray(ids, kind)

    texts = ["\\boxed{Hamlet}", "\\boxed{Heat; Seven}", "\\boxed{It}"]
    lists = engine.score(texts, [[4], [0, 2], [5]], [[4, 0], [0, 2], []], k=2)
    arrays = engine.score(texts, make([[4, -1, -1], [2, 0, 2], [5, 5, -1]]), make([[4, 0], [2, 0], [-1, -1]]), k=2)
    assert [row.tolist() for row in lists.items] == [row.tolist() for row in arrays.items]
    np.testing.assert_array_equal(lists.total, arrays.total)
    np.testing.assert_array_equal(lists.recall, arrays.recall)
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


def truth_of(engine: RewardEngine, given: Any, candidates: Any = None) -> set[int]:
    """The items that count as right: for each of the catalogue, one response that names it."""
    texts = ["\\boxed{" + title + "}" for title in TITLES]
    scores = engine.score(texts, [given] * len(TITLES), None if candidates is None else [candidates] * len(TITLES))
    right = set(np.flatnonzero(scores.hit).tolist())
    shares = scores.recall[sorted(right)]
    assert shares.tolist() == pytest.approx([1 / len(right)] * len(right))  # each counts once
    return right


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (4, {4}),
        (np.int32(4), {4}),
        ("the usual suspects", {1}),
        ([0, "Heat", np.int64(0)], {0}),
        ((0, "Se7en", np.int64(5)), {0, 2, 5}),
        (np.array([2, 0, 2]), {0, 2}),
        ("Heat; Seven; Heat", {0, 2}),
        ("Heat [SEP] Se7en\n", {0, 2}),
        ("Heat\r\nSeven\n\nEmma", {0, 2, 11}),
        ("Et Dieu; créa la femme", {7}),
        (["Et Dieu; créa la femme (1956)", 0], {0, 7}),
    ],
    ids=str,
)
def test_every_form_gives_its_set(engine: RewardEngine, given: Any, expected: set[int]) -> None:
    assert truth_of(engine, given) == expected


@pytest.mark.parametrize("given", ["Hamlet", ["Hamlet"], "Hamlet; Heat", ("Hamlet", 0)], ids=str)
def test_candidates_settle_an_ambiguous_title(engine: RewardEngine, given: Any) -> None:
    others = set() if given in ("Hamlet", ["Hamlet"]) else {0}
    for form in ([4, 0], ("Hamlet (1996)", "Heat"), np.array([0, 4])):
        assert truth_of(engine, given, form) == {4, *others}
    assert truth_of(engine, given, [3]) == {3, *others}
    for candidates in (None, [0], [3, 4]):
        with pytest.raises(
            UserError,
            match=r"^ground_truth\[0\]: 'Hamlet' fits several items \(has: Hamlet \(1990\); Hamlet \(1996\)\)$",
        ):
            truth_of(engine, given, candidates)


def test_a_title_that_is_no_candidate_is_still_its_item(engine: RewardEngine) -> None:
    assert truth_of(engine, "Heat", [3, 4]) == {0}
    assert truth_of(engine, ["Heat", "Hamlet"], [4]) == {0, 4}
    assert truth_of(engine, "Et Dieu; créa la femme (1956)", np.array([0, 7])) == {7}


@pytest.mark.parametrize("ragged", [False, True])
def test_an_array_may_stand_beside_a_list(engine: RewardEngine, ragged: bool) -> None:
    """An array's padding is dropped either way."""
    truth: Any = np.array([[4, -1, -1], [0, 2, -1]])
    candidates: Any = [[4, 3], [0]] if ragged else np.array([[4, 3], [0, -1]])
    scores = engine.score([box("Hamlet (1996)"), box("Heat")], truth, candidates)
    assert scores.hit.tolist() == [1, 1]
    assert scores.recall.tolist() == [1, 0.5]


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        (np.zeros((1, 1, 1), int), r"ground_truth must hold item ids \[B\] or \[B, M\], got int64 \[1, 1, 1\]$"),
        (np.array(["Heat"]), r"ground_truth must hold item ids \[B\] or \[B, M\], got <U4 \[1\]$"),
        (torch.tensor([0.5]), r"ground_truth must hold item ids \[B\] or \[B, M\], got float32 \[1\]$"),
        ([True], r"^ground_truth\[0\]: expected a title or an item id, got True$"),
        ([12], r"^ground_truth\[0\]: item 12 is outside the catalogue's 0\.\.11$"),
        ([2**70], rf"^ground_truth\[0\]: item {2**70} is outside the catalogue's 0\.\.11$"),
        ([[b"Heat"]], r"^ground_truth\[0\]: expected a title or an item id, got b'Heat'$"),
        ([" ;\n"], r"^ground_truth\[0\] is empty$"),
        (3, r"^ground_truth must hold one entry a response, got 3$"),
    ],
)
def test_what_is_no_ground_truth_is_told(engine: RewardEngine, truth: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        engine.score([""], truth)


def test_an_error_names_the_row_behind_good_ones(engine: RewardEngine) -> None:
    with pytest.raises(UserError, match=r"^candidates\[2\]: item -3 is outside the catalogue's 0\.\.11$"):
        engine.score([""] * 3, ["Heat"] * 3, [None, [0], [1, -3]])
    with pytest.raises(UserError, match=r"^candidates\[1\]: item 12 is outside the catalogue's 0\.\.11$"):
        engine.score([""] * 2, np.array([0, 0]), np.array([[0, -1], [1, 12]]))


def test_pairs_of_ids_are_arrays_of_one_type() -> None:
    narrow = np.array([1, 2], np.int32)
    left, right = id_arrays(narrow, torch.tensor([3, 4], dtype=torch.int32))
    assert (left.dtype, right.dtype, right.tolist()) == (np.int32, np.int32, [3, 4])
    assert np.shares_memory(left, narrow)
    left, right = id_arrays(narrow, [3, 4])
    assert (left.dtype, right.dtype, left.tolist()) == (np.int64, np.int64, [1, 2])
    strided = np.arange(8).reshape(2, 4)[:, ::2]
    assert id_arrays(strided, [])[0].flags.c_contiguous
    assert id_arrays([], [])[0].dtype == np.int64
    with pytest.raises(UserError, match=r"^ground_truth must hold item ids, got float64$"):
        id_arrays([1], [0.5])
    with pytest.raises(UserError, match=r"^items must hold item ids, got <U4$"):
        id_arrays(["Heat"], [0])
