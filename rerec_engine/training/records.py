"""What a step leaves in the run directory: its line of metrics.jsonl, and its table of rollouts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from rerec_engine.machine import peak_bytes
from rerec_engine.model.text import decode
from rerec_engine.reward.reasons import true_share
from rerec_engine.training.batches import ScoredBatch, TrainingBatch, informative


def step_record(
    step: int,
    batch: ScoredBatch,
    metrics: Mapping[str, float],
    curriculum: Mapping[str, float],
    seconds: Mapping[str, float],
) -> dict[str, object]:
    """The line of metrics.jsonl. Seconds, tokens, MB; kl in nats, against the reference."""
    scores = {name: float(values.numpy().mean()) for name, values in batch.scores.items()}
    return {
        "step": step,
        "epoch": curriculum["epoch"],
        "reward": scores["reward"],
        "accuracy": scores["hit"],
        **{f"reward_{name}": scores[name] for name in ("ndcg", "format", "qas", "pas")},
        **_reasons(scores),
        "kl": None,  # without a reference there is none
        "clip_fraction": 0.0,
        "approx_kl": 0.0,
        **metrics,
        "response_length": float(batch.lengths.numpy().mean()),
        "truncated": float(np.mean([finish == "length" for finish in batch.finish])),
        "staleness": float(step - 1 - batch.weight_version.numpy().mean()),  # steps between sampling and training
        "zero_variance_groups": float(1 - informative(batch).numpy().mean()),
        "tokens_per_second": float(batch.lengths.sum()) / seconds["total"],
        **{f"seconds_{stage}": value for stage, value in seconds.items()},
        **{f"curriculum_{name}": value for name, value in curriculum.items()},
        "peak_memory_mb": peak_bytes() / 2**20,
    }


def _reasons(means: Mapping[str, float]) -> dict[str, float | None]:
    """Statements a response, and the share of all that is true; nothing where they are not read."""
    if "statements" not in means:
        return {}
    share = true_share(means["statements"], means["true_statements"])
    return {"true_reasons": share, "statements": means["statements"]}


def rollout_table(step: int, batch: TrainingBatch, tokenizer: Any) -> pa.Table:
    """A row per response, with reward parts, token ids and token advantages: `rollouts/step_N.parquet`."""
    spans = [batch.span(i) for i in range(len(batch.finish))]
    queries = [batch.queries[g] for g in batch.group.tolist()]
    ids, logprobs = batch.token_ids.numpy().astype(np.int32), batch.rollout_logprobs.numpy()
    rewards, advantages = batch.token_rewards.numpy(), batch.advantages.cpu().numpy()
    return pa.table(
        {
            "step": [step] * len(spans),
            "query_id": [q.id for q in queries],
            "category": [q.category for q in queries],
            "prompt": [q.messages[-1]["content"] for q in queries],
            "response": [decode(tokenizer, ids[s].tolist()) for s in spans],
            "finish": batch.finish,
            **{name: values.numpy().astype(np.float32) for name, values in batch.scores.items()},
            "token_ids": [ids[s] for s in spans],
            "token_logprobs": [logprobs[s] for s in spans],
            "token_rewards": [rewards[s] for s in spans],
            "token_advantages": [advantages[s] for s in spans],
        }
    )
