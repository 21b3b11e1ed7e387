"""The entries of a batch's list answers: what rank credit and the ratio by entry take."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from rerec_engine.ops.groups import entry_advantage
from rerec_engine.reward import Entries


class ListEntries(NamedTuple):
    """`rerec_engine.reward.Entries` of a packed batch, as tensors."""

    of_token: Tensor  # [T] int32, place in its answer, from 0; -1: none
    rewards: Tensor  # [E] float32
    cu_entries: Tensor  # [B + 1] int64: response i owns entries cu_entries[i]:cu_entries[i + 1]

    @classmethod
    def of(cls, entries: Entries) -> ListEntries:
        return cls(*(torch.from_numpy(array) for array in entries))

    def chosen(self, rows: Tensor, tokens: Tensor) -> ListEntries:
        """Those of some responses and of their tokens."""
        lengths = self.cu_entries.diff()
        kept = torch.zeros_like(lengths, dtype=torch.bool).index_fill_(0, rows, True)
        return ListEntries(self.of_token[tokens], self.rewards[kept.repeat_interleave(lengths)], _bounds(lengths[rows]))

    def advantages(self, group: Tensor) -> Tensor:
        """Of each entry against the same place of its group's answers, [E] float32. group: [B] int."""
        lengths = self.cu_entries.diff()
        owner = torch.arange(len(lengths), device=lengths.device).repeat_interleave(lengths)  # [E]
        place = torch.arange(len(owner), device=owner.device) - self.cu_entries[:-1][owner]
        return entry_advantage(self.rewards, place, group[owner], torch.bincount(group))


def joined(parts: list[ListEntries]) -> ListEntries:
    """The entries of several batches, one after the other."""
    of_token, rewards = (torch.cat([getattr(part, name) for part in parts]) for name in ("of_token", "rewards"))
    return ListEntries(of_token, rewards, _bounds(torch.cat([part.cu_entries.diff() for part in parts])))


def ratio_runs(
    of_token: Tensor,  # [T] int
    cu_seqlens: Tensor,  # [B + 1] int
) -> Tensor:
    """`cu_runs` of the losses, [R + 1] int64: the tokens of an entry are a run, any other token is one of its own."""
    begins = (of_token < 0) | (of_token != of_token.roll(1))
    begins[cu_seqlens[:-1][cu_seqlens.diff() > 0].long()] = True
    return F.pad(begins.nonzero().squeeze(1), (0, 1), value=len(of_token))


def _bounds(lengths: Tensor) -> Tensor:
    return F.pad(lengths.cumsum(0), (1, 0))
