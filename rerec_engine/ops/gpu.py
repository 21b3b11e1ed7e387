"""The ops on a GPU: the Triton kernels of `kernels/`, imported when the first one is asked for."""

from __future__ import annotations

from typing import Any

import torch

from rerec_engine.kernels.grpo import grpo_loss
from rerec_engine.kernels.linear_grpo import linear_grpo_loss
from rerec_engine.kernels.logprob import token_logprob as _token_logprob
from rerec_engine.kernels.segments import expand_segments, segment_advantage
from rerec_engine.ops.types import TokenLogprob

__all__ = ["expand_segments", "grpo_loss", "linear_grpo_loss", "segment_advantage", "token_logprob"]


def token_logprob(*tensors: torch.Tensor, **options: Any) -> TokenLogprob:
    """See `rerec_engine.ops.token_logprob`."""
    return TokenLogprob(*_token_logprob(*tensors, **options))
