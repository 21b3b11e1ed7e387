"""Prompt forms: how a request and its candidates become chat messages. `dataset.json` names the form of a dataset.

Every form is one user message, since not every chat template takes a system message.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rerec_engine.types import Message

OPENINGS = ("Find a", "I want a", "Recommend a", "Looking for a")
"""First words of a request in sentences, where a dataset names none."""
_CLOSED = (
    "You are a recommendation assistant. Reason about the candidates line by line, then end with the one {item} that "
    "you recommend as \\boxed{{Title (Year)}}, written exactly as in the list."
)
_OPEN = (
    "You are a recommendation assistant. Reason line by line about what would fit, then end with the {item} that you "
    "recommend as \\boxed{{Title (Year)}}."
)


def chat_prompt(
    request: str,
    *,
    candidates: Sequence[str] = (),
    facts: Sequence[str] = (),
    history: Sequence[str] = (),
    profile: str = "",
    item: str = "item",
) -> tuple[Message, ...]:
    """The messages of one request.

    candidates and history are titles, the history oldest first. Without candidates the form is open: any item may be
    named. facts: what is known of each candidate, "" for nothing; none at all, or as many as candidates. profile
    describes the user in a few words; item is what is recommended ("movie", "book").
    """
    parts = [(_CLOSED if candidates else _OPEN).format(item=item), f"Request: {request.strip()}"]
    if profile:
        parts.append(f"The user: {profile}")
    if history:
        parts.append("Recently chosen by the user, oldest first:\n" + _listed(history))
    if candidates:
        told = ", each after what is known of it" if any(facts) else ""
        parts.append(f"Candidates{told}:\n" + _listed(_with_facts(candidates, facts, ": ")))
    return (Message(role="user", content="\n\n".join(parts)),)


def sentence_prompt(
    request: str, *, candidates: Sequence[str] = (), facts: Sequence[str] = (), **unread: object
) -> tuple[Message, ...]:
    """The request, then the numbered candidates with their facts. The models that it is for read no more than that."""
    lines = "".join(f"\n{number}) {line}" for number, line in enumerate(_with_facts(candidates, facts, " : "), 1))
    return (Message(role="user", content=request + lines),)


@dataclass(frozen=True)
class PromptForm:
    """A form of prompt. build takes what `chat_prompt` takes. closed: its models know the sentences of their training
    alone, so that other words have to be put into them (`vocabulary.json` holds the phrases)."""

    build: Callable[..., tuple[Message, ...]]
    closed: bool = False


FORMS = {"chat": PromptForm(chat_prompt), "sentences": PromptForm(sentence_prompt, closed=True)}


def _with_facts(titles: Sequence[str], facts: Sequence[str], colon: str) -> list[str]:
    """Facts come before the title: who looks for one reads on to what has it."""
    if not facts:
        return list(titles)
    return [f"{fact}{colon}{title}" if fact else title for fact, title in zip(facts, titles, strict=True)]


def _listed(titles: Sequence[str]) -> str:
    return "\n".join(f"- {title}" for title in titles)
