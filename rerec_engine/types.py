"""The records that pass between stages. Shapes trail each field; T counts response tokens over a whole batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
import torch


class Message(TypedDict):
    """One chat message, as chat templates take it."""

    role: str
    content: str


CATEGORIES = ("explicit", "implicit", "misinformed", "interest", "demographics")


@dataclass(frozen=True)
class Query:
    """One request, its right answers and its candidates, as item ids of the dataset's catalogue.

    candidates is empty where the query is open (the whole catalogue may be named). request: the words as asked, without
    candidates, history and instructions; empty where only the prompt is known.
    """

    id: str
    messages: tuple[Message, ...]
    ground_truth: tuple[int, ...]
    candidates: tuple[int, ...] = ()
    category: str = ""
    condition_num: int = 0
    user_id: int = -1
    history: tuple[int, ...] = ()
    request: str = ""


@dataclass(frozen=True)
class Sampling:
    """How to draw. temperature 0 is greedy; log-probs are those of the temperature-scaled distribution."""

    max_new_tokens: int
    temperature: float = 1.0
    seed: int = 0
    first: int = 0
    """Place of the first prompt in the whole call, where ranks share it: draws depend on seed and place alone."""


@dataclass
class Rollout:
    """One sampled response. finish is "stop" (an end token was drawn, and is the last token) or "length"."""

    token_ids: list[int]
    logprobs: list[float]  # nats, of the sampled tokens
    finish: str
    weight_version: int


@dataclass
class Batch:
    """Responses of one step, packed: response i owns tokens cu_seqlens[i]:cu_seqlens[i+1]; groups lie together.

    The stages fill it from top to bottom: rollout, reward, advantage.
    """

    queries: list[Query]  # [Q]
    prompt_ids: list[list[int]]  # [Q]
    token_ids: np.ndarray  # [T] int64
    cu_seqlens: np.ndarray  # [B + 1] int64, B = Q * G
    group: np.ndarray  # [B] int64, index into queries
    rollout_logprobs: np.ndarray  # [T] float32, nats
    finish: list[str]  # [B]
    weight_version: np.ndarray  # [B] int64, of the weights that it was drawn with
    scores: dict[str, np.ndarray] = field(default_factory=dict)  # reward, its parts and hit, [B] float32 each
    token_rewards: np.ndarray | None = None  # [T] float32, RAAE's
    ref_logprobs: torch.Tensor | None = None  # [T] float32, nats, of the frozen reference (with a KL only)
    old_logprobs: torch.Tensor | None = None  # [T] float32, nats, of the policy before the step (TIS only)
    values: torch.Tensor | None = None  # [T] float32, of the critic (GAE only)
    advantages: torch.Tensor | None = None  # [T] float32
    returns: torch.Tensor | None = None  # [T] float32, the critic's targets (GAE only)

    @property
    def lengths(self) -> np.ndarray:
        """Response lengths in tokens, [B] int64."""
        return np.diff(self.cu_seqlens)

    def response(self, i: int) -> np.ndarray:
        """Token ids of response i."""
        return self.token_ids[self.cu_seqlens[i] : self.cu_seqlens[i + 1]]

    def row(self, i: int) -> tuple[list[int], np.ndarray]:
        """Prompt ids and response ids of response i."""
        return self.prompt_ids[self.group[i]], self.response(i)
