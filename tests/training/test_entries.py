"""The entries of a batch: chosen, joined, their advantages by place, and the runs that share a ratio."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.reward import Entries
from rerec_engine.training.entries import ListEntries, joined, ratio_runs

NONE = torch.zeros(0, dtype=torch.int32)
places = st.lists(st.lists(st.integers(-1, 3), max_size=8), min_size=1, max_size=6)


def entries() -> ListEntries:
    """Three answers of two entries, none and one; seven tokens."""
    of_token = torch.tensor([-1, 0, 0, 1, -1, -1, 0], dtype=torch.int32)  # of responses of 4, 1 and 2 tokens
    return ListEntries(of_token, torch.tensor([0.5, -0.1, 0.25]), torch.tensor([0, 2, 2, 3]))


def test_arrays_of_the_engine_become_tensors() -> None:
    arrays = Entries(np.array([0, -1], np.int32), np.array([0.5], np.float32), np.array([0, 1]))
    found = ListEntries.of(arrays)
    assert [x.dtype for x in found] == [torch.int32, torch.float32, torch.int64]
    assert found.of_token.tolist() == [0, -1]


def test_chosen_responses_keep_their_entries() -> None:
    found = entries().chosen(torch.tensor([1, 2]), torch.tensor([4, 5, 6]))
    assert [x.tolist() for x in found] == [[-1, -1, 0], [0.25], [0, 0, 1]]
    assert [x.tolist() for x in entries().chosen(NONE.long(), NONE.long())] == [[], [], [0]]


def test_joined_batches() -> None:
    whole = entries()
    parts = [whole.chosen(torch.tensor([0]), torch.arange(4)), whole.chosen(torch.tensor([1, 2]), torch.arange(4, 7))]
    for found, wanted in zip(joined(parts), whole, strict=True):
        assert torch.equal(found, wanted)


def test_advantages_are_against_the_same_place() -> None:
    """First places 0.5, nothing and 0.25; second ones -0.1, nothing and nothing."""
    first, second = np.array([0.5, 0, 0.25]), np.array([-0.1, 0, 0])
    wanted = [(x - x.mean()) / (x.std(ddof=1) + 1e-6) for x in (first, second)]
    found = entries().advantages(torch.tensor([0, 0, 0]))
    np.testing.assert_allclose(found, [wanted[0][0], wanted[1][0], wanted[0][2]], atol=1e-6)
    assert entries().advantages(torch.tensor([0, 1, 2])).tolist() == [0, 0, 0]


def test_the_worked_example_of_the_docs() -> None:
    rewards = torch.tensor([0, 1 / np.log2(3), -0.1, -0.1, 1, 0, 0], dtype=torch.float32)
    found = ListEntries(NONE, rewards, torch.tensor([0, 4, 7, 7])).advantages(torch.zeros(3, dtype=torch.long))
    np.testing.assert_allclose(found, [-0.577, 1.155, -1.155, -1.155, 1.155, -0.577, 0.577], atol=1e-3)


def test_runs_of_entries_and_tokens_alone() -> None:
    assert ratio_runs(entries().of_token, torch.tensor([0, 4, 5, 7])).tolist() == [0, 1, 3, 4, 5, 6, 7]
    same = torch.tensor([0, 0, 0, 0])
    assert ratio_runs(same, torch.tensor([0, 2, 2, 4])).tolist() == [0, 2, 4]
    assert ratio_runs(NONE, torch.tensor([0, 0])).tolist() == [0]


@given(rows=places)
def test_runs_against_a_loop(rows: list[list[int]]) -> None:
    flat, bounds, at = [x for row in rows for x in row], [], 0
    for row in rows:
        for i, place in enumerate(row):
            if i == 0 or place < 0 or place != row[i - 1]:
                bounds.append(at + i)
        at += len(row)
    cu_seqlens = torch.tensor([0, *np.cumsum([len(row) for row in rows])])
    assert ratio_runs(torch.tensor(flat, dtype=torch.int32), cu_seqlens).tolist() == [*bounds, len(flat)]
