"""Rewards of responses and of their tokens: NDCG@K, format, QAS, PAS and the reasoning-aware token rewards."""

from ..config import RewardWeights
from .engine import ItemRows, RewardEngine, Scores, Targets, TokenScores, ndcg

__all__ = ["ItemRows", "RewardEngine", "RewardWeights", "Scores", "Targets", "TokenScores", "ndcg"]
