"""From a rollout engine's responses to one packed `Batch`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rerec_engine.errors import RunError
from rerec_engine.types import Batch, Query, Rollout


def pack(queries: Sequence[Query], prompt_ids: Sequence[list[int]], rollouts: Sequence[Rollout], n: int) -> Batch:
    """Pack prompt-major rollouts, n per query. Raises RunError where the engine returned too few, or an empty one."""
    if len(rollouts) != len(queries) * n:
        raise RunError(f"the rollout engine returned {len(rollouts)} responses, {len(queries)} x {n} were asked for")
    empty = [i for i, r in enumerate(rollouts) if not r.token_ids or len(r.token_ids) != len(r.logprobs)]
    if empty:
        raise RunError(f"the rollout engine returned response {empty[0]} without tokens or with a log-prob missing")
    lengths = np.array([len(r.token_ids) for r in rollouts], dtype=np.int64)
    return Batch(
        queries=list(queries),
        prompt_ids=list(prompt_ids),
        token_ids=np.array([t for r in rollouts for t in r.token_ids], dtype=np.int64),
        cu_seqlens=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        group=np.repeat(np.arange(len(queries)), n),
        rollout_logprobs=np.array([x for r in rollouts for x in r.logprobs], dtype=np.float32),
        finish=[r.finish for r in rollouts],
        weight_version=np.array([r.weight_version for r in rollouts], dtype=np.int64),
    )


def informative(batch: Batch) -> np.ndarray:
    """Whether the rewards within each group differ, [Q] bool: only such groups teach anything."""
    reward = batch.scores["reward"].reshape(len(batch.queries), -1)
    return reward.max(1) > reward.min(1)


def select(batches: Sequence[Batch], keep: Sequence[np.ndarray]) -> Batch:
    """The chosen groups of several scored batches as one batch. keep: [Q] bool per batch."""
    parts = []
    for batch, chosen in zip(batches, keep, strict=True):
        rows = np.nonzero(chosen[batch.group])[0]
        tokens = [np.arange(batch.cu_seqlens[i], batch.cu_seqlens[i + 1]) for i in rows]
        parts.append((batch, rows, np.concatenate([np.zeros(0, np.int64), *tokens]), np.nonzero(chosen)[0]))
    queries = [b.queries[q] for b, _, _, which in parts for q in which]
    lengths = np.concatenate([b.lengths[rows] for b, rows, _, _ in parts])
    per_group = len(lengths) // max(1, len(queries))
    assert all(b.token_rewards is not None for b in batches)
    return Batch(
        queries=queries,
        prompt_ids=[b.prompt_ids[q] for b, _, _, which in parts for q in which],
        token_ids=np.concatenate([b.token_ids[t] for b, _, t, _ in parts]),
        cu_seqlens=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        group=np.repeat(np.arange(len(queries)), per_group),
        rollout_logprobs=np.concatenate([b.rollout_logprobs[t] for b, _, t, _ in parts]),
        finish=[b.finish[i] for b, rows, _, _ in parts for i in rows],
        weight_version=np.concatenate([b.weight_version[rows] for b, rows, _, _ in parts]),
        scores={name: np.concatenate([b.scores[name][rows] for b, rows, _, _ in parts]) for name in batches[0].scores},
        token_rewards=np.concatenate([b.token_rewards[t] for b, _, t, _ in parts if b.token_rewards is not None]),
    )
