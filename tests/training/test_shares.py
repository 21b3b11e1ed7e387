"""Micro-batches and ranks' shares: all rows once, within the limit, groups together where prompts are shared."""

from __future__ import annotations

from itertools import accumulate

import pytest
import torch

from rerec_engine.model.ranks import Ranks
from rerec_engine.training.batches import Batch
from rerec_engine.training.shares import group_shares, micro_batches, packed_micro_batches, rank_share


def batch_of(lengths):
    """Two groups of three responses, with prompts of 5 and 2 tokens."""
    return Batch(
        queries=[],
        prompt_ids=[[1] * 5, [2] * 2],
        token_ids=torch.zeros(sum(lengths), dtype=torch.long),
        cu_seqlens=torch.tensor([0, *accumulate(lengths)]),
        group=torch.tensor([0, 0, 0, 1, 1, 1]),
        rollout_logprobs=torch.zeros(sum(lengths)),
        finish=[],
        weight_version=torch.zeros(6, dtype=torch.long),
    )


def test_packed_micro_batches_keep_groups_together():
    batch = batch_of([3, 2, 4, 1, 6, 2])

    def parts(limit, rows=(0, 1, 2, 3, 4, 5)):
        return [part.tolist() for part in packed_micro_batches(batch, torch.tensor(rows, dtype=torch.long), limit)]

    assert parts(25) == [[0, 1, 2, 3, 4, 5]]
    assert parts(24) == [[0, 1, 2, 3, 4], [5]]
    assert parts(10) == [[0, 1], [2], [3, 4], [5]]
    assert parts(1) == [[0], [1], [2], [3], [4], [5]]
    assert parts(25, [1, 4, 5]) == [[1, 4, 5]]
    assert parts(25, [5, 1, 4]) == [[1, 4, 5]]
    assert parts(25, []) == []


def test_a_response_that_comes_again_costs_a_pass_nothing():
    batch = batch_of([3, 3, 4, 1, 6, 1])  # all of zeros: the first two are alike, and so are the fourth and the last

    def parts(limit):
        return [part.tolist() for part in packed_micro_batches(batch, batch.rows, limit)]

    assert parts(21) == [[0, 1, 2, 3, 4, 5]]  # 5 + 3 + 4 and 2 + 1 + 6
    assert parts(20) == [[0, 1, 2, 3], [4, 5]]
    assert parts(8) == [[0, 1], [2], [3], [4], [5]]


def test_ranks_have_whole_groups():
    batch = batch_of([3, 2, 4, 1, 16, 2])
    rows = torch.tensor([0, 2, 3, 4])
    assert [share.tolist() for share in group_shares(batch, rows, 1)] == [[0, 2, 3, 4]]
    assert [share.tolist() for share in group_shares(batch, rows, 3)] == [[3, 4], [0, 2], []]
    assert [len(share) for share in group_shares(batch, rows[:0], 2)] == [0, 0]


@pytest.mark.parametrize("limit", [1, 9, 20, 1000])
def test_micro_batches_cover_all_within_the_limit(limit):
    batch = batch_of([3, 2, 4, 1, 6, 2])
    parts = [part.tolist() for part in micro_batches(batch, batch.rows, limit)]
    sizes = batch.sizes.tolist()
    assert sizes == [8, 7, 9, 3, 8, 4]
    assert [i for part in parts for i in part] == [2, 0, 4, 1, 5, 3]  # longest first, ties in order
    assert all(len(part) == 1 or len(part) * max(sizes[i] for i in part) <= limit for part in parts)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_ranks_share_all_rows_and_have_as_many_parts(packed, size):
    batch = batch_of([3, 2, 4, 1, 6, 2])
    shares = [rank_share(batch, batch.rows, 9, packed, Ranks(rank, size)) for rank in range(size)]
    assert len({len(share) for share in shares}) == 1
    live = [part.tolist() for share in shares for part, counts in share if counts]
    assert sorted(i for part in live for i in part) == [0, 1, 2, 3, 4, 5]
    assert all(part.tolist() == [5] for share in shares for part, counts in share if not counts)
