"""The chat prompt of real datasets: one user message, since not every chat template takes a system message."""

from __future__ import annotations

from collections.abc import Sequence

from rerec_engine.types import Message

_CLOSED = (
    "You are a recommendation assistant. Reason about the candidates line by line, then end with the one {item} that "
    "you recommend as \\boxed{{Title (Year)}}, written exactly as in the list."
)
_OPEN = (
    "You are a recommendation assistant. Reason line by line about what would fit, then end with the {item} that you "
    "recommend as \\boxed{{Title (Year)}}."
)


def chat_prompt(
    query: str,
    *,
    candidates: Sequence[str] = (),
    history: Sequence[str] = (),
    profile: str = "",
    item: str = "item",
) -> tuple[Message, ...]:
    """The messages of one request.

    candidates and history are titles, the history oldest first. Without candidates the form is open: any item may be
    named. profile describes the user in a few words; item is what is recommended ("movie", "book").
    """
    parts = [(_CLOSED if candidates else _OPEN).format(item=item), f"Request: {query.strip()}"]
    if profile:
        parts.append(f"The user: {profile}")
    if history:
        parts.append("Recently chosen by the user, oldest first:\n" + _listed(history))
    if candidates:
        parts.append("Candidates:\n" + _listed(candidates))
    return (Message(role="user", content="\n\n".join(parts)),)


def _listed(titles: Sequence[str]) -> str:
    return "\n".join(f"- {title}" for title in titles)
