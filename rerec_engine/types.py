"""The records that pass between rooms: messages, queries, what is asked of a rollout engine and what it gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

from rerec_engine.errors import UserError


class Message(TypedDict):
    """One chat message, as chat templates take it."""

    role: str
    content: str


CATEGORIES = ("explicit", "implicit", "misinformed", "interest", "demographics")


@dataclass(frozen=True)
class Query:
    """One request, its right answers and its candidates, as item ids of the dataset's catalogue.

    candidates is empty where the query is open (the whole catalogue may be named). request: the words as asked, without
    candidates, history and instructions; empty where only the prompt is known. asked: the relations and numbers that
    the request is about, as its maker knows them; empty where nobody does. profile: the user in a few words.
    marks: what else it is counted under in an evaluation ("exclusion", "unseen wording"). named: items that the request
    names, as far as its maker knows, of which a prompt with facts tells what is known.
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
    asked: tuple[str, ...] = ()
    profile: str = ""
    marks: tuple[str, ...] = ()
    named: tuple[int, ...] = ()


LOWEST_TEMPERATURE = 0.01
"""But 0. vLLM raises lower ones to it; at much lower ones logits over it are no longer finite."""


@dataclass(frozen=True)
class Sampling:
    """How to draw. temperature 0 is greedy; log-probs are those of the temperature-scaled distribution. UserError for a
    temperature that is neither 0 nor one at which every engine draws."""

    max_new_tokens: int
    temperature: float = 1.0
    seed: int = 0
    first: int = 0
    """Place of the first prompt in the whole call, where ranks share it: draws depend on seed and place alone."""
    candidates: Sequence[Sequence[int]] | None = None
    """Items that each prompt's answer may name (none: any of the catalogue), for an engine that constrains answers;
    None: answers are free. Log-probs are those of what could be drawn."""

    def part(self, prompts: slice) -> Sampling:
        """Of some of a call's prompts, start to stop."""
        some = None if self.candidates is None else self.candidates[prompts]
        return replace(self, first=self.first + prompts.start, candidates=some)

    def __post_init__(self) -> None:
        if self.temperature != 0 and not LOWEST_TEMPERATURE <= self.temperature < float("inf"):
            raise UserError(
                f"temperature must be 0 (greedy), or {LOWEST_TEMPERATURE} or more, got {self.temperature:g}"
            )


@dataclass
class Rollout:
    """One sampled response. finish is "stop" (an end token was drawn, and is the last token) or "length"."""

    token_ids: list[int]
    logprobs: list[float]  # nats, of the sampled tokens
    finish: str
    weight_version: int
