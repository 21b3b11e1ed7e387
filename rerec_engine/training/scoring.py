"""The rewards of a batch, straight from its token ids."""

from __future__ import annotations

import torch
from torch import Tensor

from rerec_engine.config import Config
from rerec_engine.model.policy import Policy
from rerec_engine.reward import RewardEngine
from rerec_engine.training.batches import Batch, ScoredBatch
from rerec_engine.training.entries import ListEntries

PARTS = ("ndcg", "format", "qas", "pas", "hit")


def score_batch(batch: Batch, *, reward: RewardEngine, policy: Policy, config: Config) -> ScoredBatch:
    """Rewards of the responses, of their tokens for RAAE, and of their entries where the settings ask for these."""
    owners = [batch.queries[g] for g in batch.group.tolist()]
    known = batch.token_ids.masked_fill(batch.token_ids >= len(policy.tokenizer), policy.pad_id)  # heads may be padded
    tokens = reward.score_tokens(
        known.numpy(),
        batch.cu_seqlens.numpy(),
        [query.ground_truth for query in owners],
        policy.tokenizer,
        candidates=[query.candidates or None for query in owners],
        w_penalty=config.advantage.w_penalty,
        w_credit=config.advantage.w_credit,
        w_false=config.advantage.w_false,
        w_verdict=config.advantage.w_verdict,
        reasons=reward.reads_reasons,
        opened=policy.chat.opens_reasoning(),
        entries=config.advantage.estimator == "rank" or config.loss.ratio == "entry",
        w_invalid=config.advantage.w_invalid,
    )
    scores: dict[str, Tensor] = {"reward": torch.from_numpy(tokens.scores.total)}
    scores |= {name: torch.from_numpy(getattr(tokens.scores, name)) for name in PARTS}
    if tokens.scores.reasons is not None:
        scores["statements"] = torch.from_numpy(tokens.scores.reasons.statements).float()
        scores["true_statements"] = torch.from_numpy(tokens.scores.reasons.true_statements).float()
    entries = None if tokens.entries is None else ListEntries.of(tokens.entries)
    rewards = torch.from_numpy(tokens.token_rewards)
    return ScoredBatch(**vars(batch), scores=scores, token_rewards=rewards, entries=entries)
