"""The ops on a CPU: torch's matrix products, and C++ passes (`csrc/ops/`) over their tiles."""

from rerec_engine.ops.native.linear_grpo import linear_grpo_loss
from rerec_engine.ops.native.logprob import token_logprob
from rerec_engine.ops.native.policy_gradient import grpo_loss
from rerec_engine.ops.native.segments import expand_segments, segment_advantage

__all__ = ["expand_segments", "grpo_loss", "linear_grpo_loss", "segment_advantage", "token_logprob"]
