"""Rewards of responses and of their tokens: NDCG@K, format, QAS, PAS and the reasoning-aware token rewards."""

from ..config import RewardWeights
from .engine import RewardEngine, Scores, TokenScores

__all__ = ["RewardEngine", "RewardWeights", "Scores", "TokenScores"]
