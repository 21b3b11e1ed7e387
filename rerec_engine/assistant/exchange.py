"""The records of a conversation: what is asked, the items that are recommended, the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rerec_engine.assistant.conditions import Request
from rerec_engine.assistant.grounding import Evidence, Unmet
from rerec_engine.types import Message


@dataclass(frozen=True)
class Ask:
    """One request made ready: the prompt, the candidates it lists, and why these.

    request: what was understood, of a follow-up with all before. prompted: the request's words in the prompt.
    """

    text: str
    messages: tuple[Message, ...]
    candidates: tuple[int, ...]
    reason: str
    request: Request = field(default_factory=Request)
    prompted: str = ""


@dataclass(frozen=True)
class Item:
    """A recommended item and its evidence.

    asked: its values that satisfy a condition. evidence: of each condition that it satisfies. missed: the others.
    """

    item_id: int
    title: str
    among_candidates: bool
    attributes: tuple[tuple[str, str], ...]
    asked: tuple[str, ...]
    evidence: tuple[Evidence, ...] = ()
    missed: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The item as it stands in the answer's JSON."""
        return {
            "item_id": self.item_id,
            "title": self.title,
            "among_candidates": self.among_candidates,
            "attributes": [{"relation": r, "value": v, "asked": v in self.asked} for r, v in self.attributes],
            "asked": list(self.asked),
            "evidence": [vars(e) for e in self.evidence],
            "missed": list(self.missed),
        }


@dataclass(frozen=True)
class Answer:
    """What the model said. unknown: titles that are in no catalogue. unmet: conditions that no item satisfies.

    thinking: what stands in blocks of reasoning, which hold no answer. reasoning: the rest before the answer's box.

    finish: "stop", or "length" where it was cut off. new_tokens: those that were drawn, the end token left out.
    """

    ask: Ask
    response: str
    reasoning: str
    items: tuple[Item, ...]
    unknown: tuple[str, ...]
    notes: tuple[str, ...] = ()
    unmet: tuple[Unmet, ...] = ()
    finish: str = "stop"
    prompt_tokens: int = 0
    new_tokens: int = 0
    thinking: str = ""

    def all_notes(self, remedy: str = "") -> list[str]:
        """The notes, before them that it was cut off. remedy: what the caller names the limit."""
        cut = [f"cut off after {self.new_tokens} tokens{f' ({remedy})' if remedy else ''}"]
        return [*(cut if self.finish == "length" else ()), *self.notes]

    def to_json(self, titles: Sequence[str], remedy: str = "") -> dict[str, Any]:
        """The answer as one JSON object. remedy: see `all_notes`."""
        request = self.ask.request
        return {
            "request": self.ask.text,
            "prompted": self.ask.prompted or self.ask.text,
            "follows": request.follows,
            "conditions": request.told,
            "liked": [titles[item] for item in request.liked],
            "candidates": [titles[item] for item in self.ask.candidates],
            "candidates_from": self.ask.reason,
            "thinking": self.thinking,
            "reasoning": self.reasoning,
            "items": [item.to_json() for item in self.items],
            "unmet": [vars(unmet) for unmet in self.unmet],
            "unknown": list(self.unknown),
            "notes": self.all_notes(remedy),
            "response": self.response,
        }


Exchange = tuple[Ask, Answer]
"""A request and its answer."""
