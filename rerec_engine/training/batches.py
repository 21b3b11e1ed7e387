"""The records that pass through a step: responses drawn, then scored, then ready to train on.

    rollouts -> `pack` -> Batch -> reward -> ScoredBatch -> `advantages` -> TrainingBatch -> update

Tensors throughout, on the CPU until the update. Shapes trail each field: Q queries, G responses to each, B = Q * G, and
T response tokens over the whole batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from rerec_engine.errors import RunError
from rerec_engine.model.sequences import Row
from rerec_engine.training.entries import ListEntries, joined
from rerec_engine.types import Query, Rollout


@dataclass(frozen=True)
class Batch:
    """Responses of one step, packed: response i owns tokens cu_seqlens[i]:cu_seqlens[i+1]; groups lie together."""

    queries: list[Query]  # [Q]
    prompt_ids: list[list[int]]  # [Q]
    token_ids: Tensor  # [T] int64
    cu_seqlens: Tensor  # [B + 1] int64
    group: Tensor  # [B] int64, index into queries
    rollout_logprobs: Tensor  # [T] float32, nats, of the rollout engine
    finish: list[str]  # [B], "stop" or "length"
    weight_version: Tensor  # [B] int64, of the weights that it was drawn with

    @property
    def lengths(self) -> Tensor:
        """Response lengths in tokens, [B] int64."""
        return self.cu_seqlens.diff()

    @property
    def prompt_lengths(self) -> Tensor:
        """Prompt lengths in tokens, [Q] int64."""
        return torch.tensor([len(prompt) for prompt in self.prompt_ids], dtype=torch.long)

    @property
    def sizes(self) -> Tensor:
        """Prompt + response tokens of each response, [B] int64."""
        return self.prompt_lengths[self.group] + self.lengths

    @property
    def rows(self) -> Tensor:
        """Index of every response, [B] int64."""
        return torch.arange(len(self.group))

    def span(self, i: int) -> slice:
        """Where the tokens of response i lie."""
        return slice(int(self.cu_seqlens[i]), int(self.cu_seqlens[i + 1]))

    def row(self, i: int) -> Row:
        """Prompt ids and response ids of response i."""
        return self.prompt_ids[int(self.group[i])], self.token_ids[self.span(i)]

    def token_index(self, rows: Tensor) -> Tensor:
        """Positions of the rows' tokens in the batch, in the rows' order, int64."""
        spans = [torch.arange(s.start, s.stop) for s in map(self.span, rows.tolist())]
        return torch.cat(spans) if spans else torch.zeros(0, dtype=torch.long)


@dataclass(frozen=True)
class ScoredBatch(Batch):
    """A batch with its rewards."""

    scores: dict[str, Tensor]  # reward, its parts and hit, statements and true ones where read: [B] float32 each
    token_rewards: Tensor  # [T] float32, RAAE's
    entries: ListEntries | None = field(default=None, kw_only=True)
    """Of the list answers, where the settings ask for them."""


@dataclass(frozen=True)
class ForwardPasses:
    """What is computed of a batch's tokens before the update; None where the settings ask for none."""

    ref_logprobs: Tensor | None = None  # [T] float32, nats, of the frozen reference
    own_logprobs: Tensor | None = None  # [T] float32, nats, of the policy before the step
    values: Tensor | None = None  # [T] float32, of the critic


@dataclass(frozen=True)
class TrainingBatch(ScoredBatch):
    """A scored batch with all that the loss takes."""

    advantages: Tensor  # [T] float32
    old_logprobs: Tensor  # [T] float32, nats: what the probability ratio is taken against
    ref_logprobs: Tensor | None = None  # [T] float32, nats; with a KL only
    values: Tensor | None = None  # [T] float32, with a critic only, like the next
    returns: Tensor | None = None  # [T] float32, the critic's targets

    def on(self, device: torch.device) -> TrainingBatch:
        """The same with the loss's inputs on a device."""
        names = ("advantages", "old_logprobs", "ref_logprobs", "values", "returns")
        moved = {name: x.to(device) for name in names if (x := getattr(self, name)) is not None}
        return dataclasses.replace(self, **moved)


def pack(queries: Sequence[Query], prompt_ids: Sequence[list[int]], rollouts: Sequence[Rollout], n: int) -> Batch:
    """Pack prompt-major rollouts, n per query. Raises RunError where the engine returned too few, or an empty one."""
    if len(rollouts) != len(queries) * n:
        raise RunError(f"the rollout engine returned {len(rollouts)} responses, {len(queries)} x {n} were asked for")
    empty = [i for i, r in enumerate(rollouts) if not r.token_ids or len(r.token_ids) != len(r.logprobs)]
    if empty:
        raise RunError(f"the rollout engine returned response {empty[0]} without tokens or with a log-prob missing")
    return Batch(
        queries=list(queries),
        prompt_ids=list(prompt_ids),
        token_ids=torch.tensor([t for r in rollouts for t in r.token_ids], dtype=torch.long),
        cu_seqlens=_bounds(torch.tensor([len(r.token_ids) for r in rollouts], dtype=torch.long)),
        group=torch.arange(len(queries)).repeat_interleave(n),
        rollout_logprobs=torch.tensor([x for r in rollouts for x in r.logprobs], dtype=torch.float32),
        finish=[r.finish for r in rollouts],
        weight_version=torch.tensor([r.weight_version for r in rollouts], dtype=torch.long),
    )


def informative(batch: ScoredBatch) -> Tensor:
    """Whether the rewards within each group differ, [Q] bool: only such groups teach anything."""
    reward = batch.scores["reward"].view(len(batch.queries), -1)
    return reward.amax(1) > reward.amin(1)


def select(batches: Sequence[ScoredBatch], keep: Sequence[Tensor]) -> ScoredBatch:
    """The chosen groups of several scored batches as one batch. keep: [Q] bool per batch."""
    chosen = [part for batch, kept in zip(batches, keep, strict=True) for part in [(batch, *_chosen(batch, kept))]]
    queries = [b.queries[q] for b, groups, _, _ in chosen for q in groups]
    listed = [b.entries.chosen(rows, tokens) for b, _, rows, tokens in chosen if b.entries is not None]
    lengths = torch.cat([b.lengths[rows] for b, _, rows, _ in chosen])
    return ScoredBatch(
        queries=queries,
        prompt_ids=[b.prompt_ids[q] for b, groups, _, _ in chosen for q in groups],
        token_ids=torch.cat([b.token_ids[tokens] for b, _, _, tokens in chosen]),
        cu_seqlens=_bounds(lengths),
        group=torch.arange(len(queries)).repeat_interleave(len(lengths) // max(1, len(queries))),
        rollout_logprobs=torch.cat([b.rollout_logprobs[tokens] for b, _, _, tokens in chosen]),
        finish=[b.finish[i] for b, _, rows, _ in chosen for i in rows.tolist()],
        weight_version=torch.cat([b.weight_version[rows] for b, _, rows, _ in chosen]),
        scores={name: torch.cat([b.scores[name][rows] for b, _, rows, _ in chosen]) for name in batches[0].scores},
        token_rewards=torch.cat([b.token_rewards[tokens] for b, _, _, tokens in chosen]),
        entries=joined(listed) if listed else None,
    )


def _chosen(batch: Batch, keep: Tensor) -> tuple[list[int], Tensor, Tensor]:
    """Groups, rows and tokens of what is kept."""
    rows = batch.rows[keep[batch.group]]
    return np.flatnonzero(keep.numpy()).tolist(), rows, batch.token_index(rows)


def _bounds(lengths: Tensor) -> Tensor:
    """cu_seqlens, [B + 1] int64."""
    return torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
