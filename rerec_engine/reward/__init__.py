"""Rewards of responses and of their tokens: NDCG@K, format, QAS, PAS and the reasoning-aware token rewards."""

from rerec_engine.config import RewardWeights
from rerec_engine.reward.engine import ItemRows, RewardEngine, Scores, Targets, TokenScores, ndcg
from rerec_engine.reward.entries import Entries

__all__ = ["Entries", "ItemRows", "RewardEngine", "RewardWeights", "Scores", "Targets", "TokenScores", "ndcg"]
