"""The ops in plain torch. This is the specification that every other implementation is tested against."""

from rerec_engine.ops.reference.logprob import token_logprob
from rerec_engine.ops.reference.policy_gradient import grpo_loss, linear_grpo_loss
from rerec_engine.ops.reference.segments import expand_segments, segment_advantage

__all__ = ["expand_segments", "grpo_loss", "linear_grpo_loss", "segment_advantage", "token_logprob"]
