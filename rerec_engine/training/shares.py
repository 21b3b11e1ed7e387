"""Who computes what: the micro-batches of a pass, and each rank's share of them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from rerec_engine.model.ranks import Ranks
from rerec_engine.training.batches import Batch


def rank_share(batch: Batch, rows: Tensor, max_tokens: int, packed: bool, ranks: Ranks) -> list[tuple[Tensor, bool]]:
    """This rank's micro-batches of `rows`, as many as any rank has: FSDP's ranks go through every layer together.

    Packed: whole groups are dealt, by tokens. Else rows, longest first. A rank that has too few parts repeats a row
    that does not count (False).
    """
    if packed:
        dealt = [
            list(packed_micro_batches(batch, share, max_tokens)) for share in group_shares(batch, rows, ranks.size)
        ]
    else:
        order = _longest_first(batch, rows)
        dealt = [list(micro_batches(batch, order[rank :: ranks.size], max_tokens)) for rank in range(ranks.size)]
    mine, most = dealt[ranks.rank], max(map(len, dealt))
    return [(part, True) for part in mine] + [(rows[-1:], False)] * (most - len(mine))


def micro_batches(batch: Batch, rows: Tensor, max_tokens: int) -> Iterator[Tensor]:
    """Response indices, longest sequences together, so that padded tokens stay within `max_tokens` a micro-batch."""
    order = _longest_first(batch, rows)
    sizes = batch.sizes[order].tolist()
    start = 0
    while start < len(order):
        count = max(1, max_tokens // sizes[start])
        yield order[start : start + count]
        start += count


def packed_micro_batches(batch: Batch, rows: Tensor, max_tokens: int) -> Iterator[Tensor]:
    """Response indices of each packed pass, of at most `max_tokens`; groups lie together, so that they share a prompt.

    A group that goes over the edge of a pass has its prompt in both. A response that a pass has already costs nothing.
    """
    lengths, prompts, group = batch.lengths.tolist(), batch.prompt_lengths.tolist(), batch.group.tolist()
    part: list[int] = []
    there: set[bytes] = set()  # responses of the pass's last group
    total = 0
    for i in sorted(rows.tolist()):
        if part and group[part[-1]] != group[i]:
            there = set()
        response = batch.token_ids[batch.span(i)].numpy().tobytes()
        size = 0 if response in there else lengths[i] + (0 if there else prompts[group[i]])
        if part and total + size > max_tokens:
            yield torch.tensor(part)
            part, there, total, size = [], set(), 0, prompts[group[i]] + lengths[i]
        part.append(i)
        there.add(response)
        total += size
    if part:
        yield torch.tensor(part)


def group_shares(batch: Batch, rows: Tensor, ranks: int) -> list[Tensor]:
    """The rows of each rank: whole groups, dealt by their tokens, the largest first."""
    owners = batch.group[rows]
    groups, place = owners.unique(return_inverse=True)
    tokens = batch.prompt_lengths[groups].index_add(0, place, batch.lengths[rows])
    order = groups[tokens.argsort(descending=True, stable=True)]
    return [rows[torch.isin(owners, order[rank::ranks])] for rank in range(ranks)]


def _longest_first(batch: Batch, rows: Tensor) -> Tensor:
    return rows[batch.sizes[rows].argsort(descending=True, stable=True)]
