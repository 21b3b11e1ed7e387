"""Prompt forms: how a request and its candidates become chat messages. `dataset.json` names the form of a dataset.

Every form is one user message, since not every chat template takes a system message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    history_facts: Sequence[str] = (),
    named: Mapping[str, str] | None = None,
    profile: str = "",
    item: str = "item",
) -> tuple[Message, ...]:
    """The messages of one request.

    candidates and history are titles, the history oldest first. Without candidates the form is open: any item may be
    named. facts: what is known of each candidate, "" for nothing; none at all, or as many as candidates. history_facts:
    the same of the history. named: what is known of titles that the request names, by title. profile describes the user
    in a few words; item is what is recommended ("movie", "book").
    """
    parts = [(_CLOSED if candidates else _OPEN).format(item=item), f"Request: {request.strip()}"]
    if other := {title: told for title, told in (named or {}).items() if title not in history}:
        parts.append("What is known of the titles named:\n" + _listed(_with_facts([*other], [*other.values()], ": ")))
    if profile:
        parts.append(f"The user: {profile}")
    if history:
        told = ", each before what is known of it" if any(history_facts) else ""
        lines = _with_facts(history, history_facts, ": ")
        parts.append(f"Recently chosen by the user, oldest first{told}:\n" + _listed(lines))
    if candidates:
        told = ", each after what is known of it" if any(facts) else ""
        parts.append(f"Candidates{told}:\n" + _listed(_with_facts(candidates, facts, ": ", facts_first=True)))
    return (Message(role="user", content="\n\n".join(parts)),)


def sentence_prompt(
    request: str,
    *,
    candidates: Sequence[str] = (),
    facts: Sequence[str] = (),
    named: Mapping[str, str] | None = None,
    **unread: object,
) -> tuple[Message, ...]:
    """The request, the titles that it names with their facts, then the numbered candidates with theirs. The models that
    it is for read no more than that. Facts come after the title, so that a small model can copy a line from its number
    on: a title stands in one line alone, a fact in several."""
    told = named or {}
    lines = [f"\n {line}" for line in _with_facts([*told], [*told.values()], " : ")]
    lines += [f"\n{number}) {line}" for number, line in enumerate(_with_facts(candidates, facts, " : "), 1)]
    return (Message(role="user", content=request + "".join(lines)),)


@dataclass(frozen=True)
class PromptForm:
    """A form of prompt. build takes what `chat_prompt` takes. closed: its models know the sentences of their training
    alone, so that other words have to be put into them (`vocabulary.json` holds the phrases)."""

    build: Callable[..., tuple[Message, ...]]
    closed: bool = False


FORMS = {"chat": PromptForm(chat_prompt), "sentences": PromptForm(sentence_prompt, closed=True)}


def _with_facts(titles: Sequence[str], facts: Sequence[str], colon: str, facts_first: bool = False) -> list[str]:
    """Titles before their facts: who knows the title reads on to what is to be known of it. facts_first: behind them:
    who looks for a fact reads on to the title that has it."""
    if not facts:
        return list(titles)
    pairs = ((fact, title) if facts_first else (title, fact) for title, fact in zip(titles, facts, strict=True))
    return [colon.join(filter(None, pair)) for pair in pairs]


def _listed(titles: Sequence[str]) -> str:
    return "\n".join(f"- {title}" for title in titles)
