"""Differentiable functions of the training step, on packed tokens; `docs/method.md` maps them to equations."""

from rerec_engine.ops.logprob import token_logprob
from rerec_engine.ops.policy_gradient import grpo_loss, linear_grpo_loss
from rerec_engine.ops.segments import expand_segments, segment_advantage
from rerec_engine.ops.types import AllowedTokens, TokenLogprob

__all__ = [
    "AllowedTokens",
    "TokenLogprob",
    "expand_segments",
    "grpo_loss",
    "linear_grpo_loss",
    "segment_advantage",
    "token_logprob",
]
