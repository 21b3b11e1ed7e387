"""A chat request answered by the assistant, in the calling thread."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from rerec_engine.assistant.answer import Assistant
from rerec_engine.assistant.exchange import Answer
from rerec_engine.assistant.stream import Thought
from rerec_engine.assistant.text import as_text, plain
from rerec_engine.errors import PromptTooLong, RequestError
from rerec_engine.serve.backend import Backend
from rerec_engine.serve.errors import ApiError
from rerec_engine.types import Message, Sampling

EARLIER = 8  # turns before that a follow-up may refer to


@dataclass(frozen=True)
class Question:
    """What is asked. earlier: the turns before, oldest first. candidates: titles. deadline: of `time.monotonic`.
    switches: values of the chat template's variables."""

    text: str
    sampling: Sampling
    deadline: float
    earlier: tuple[Message, ...] = ()
    candidates: tuple[str, ...] | None = None
    user: str | int | None = None
    top_k: int | None = None
    switches: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """An answer. tail: the text after the reasoning. structured: `Answer.to_json`. finish: "stop" or "length"."""

    tail: str
    structured: dict[str, Any]
    finish: str
    prompt_tokens: int
    new_tokens: int


class Conversation:
    """Answers questions with an assistant, as many at once as its backend can, each in its caller's thread."""

    def __init__(self, assistant: Assistant, backend: Backend) -> None:
        self.assistant, self.backend = assistant, backend

    def stream(self, question: Question) -> Generator[str | Thought | Reply, None, None]:
        """The reasoning in pieces, one a token, "" for a token that shows nothing; at last the reply.

        Pieces of a block of reasoning are thoughts.

        Raises `ApiError`: at once for a question that cannot be answered, on the way where its time is up.
        """
        try:
            earlier = self.assistant.replay(pairs(question.earlier), question.user)
            ask = self.assistant.prepare(question.text, question.candidates, question.user, earlier)
            seconds = max(0.0, question.deadline - time.monotonic())
            events = self.assistant.stream(ask, question.sampling, question.top_k, seconds, question.switches)
        except RequestError as error:
            raise _refusal(error) from None
        return self._told(events, question.deadline)

    def _told(
        self, events: Generator[str | Thought | Answer, None, None], deadline: float
    ) -> Generator[str | Thought | Reply, None, None]:
        with closing(events):
            for event in events:
                if time.monotonic() > deadline:
                    raise ApiError(504, "the answer took too long", code="timeout")
                if isinstance(event, Answer):
                    yield self._reply(event)
                else:
                    yield plain(event) if isinstance(event, str) else Thought(plain(event.text))

    def _reply(self, answer: Answer) -> Reply:
        structured = clean(answer.to_json(self.assistant.dataset.titles))
        return Reply(as_text(answer).rstrip(), structured, answer.finish, answer.prompt_tokens, answer.new_tokens)


def _refusal(error: RequestError) -> ApiError:
    """The client's mistake, with the API's name of the field."""
    code = "context_length_exceeded" if isinstance(error, PromptTooLong) else None
    named = error.field in ("candidates", "chat_template_kwargs")
    message = f"{error.field}: {error}" if named else str(error)
    return ApiError(400, message, param={"request": "messages"}.get(error.field, error.field), code=code)


def pairs(messages: Sequence[Message]) -> list[tuple[str, str]]:
    """The last turns of a chat as (request, reply); a request without a reply has an empty one."""
    turns: list[tuple[str, str]] = []
    for message in messages:
        if message["role"] == "user":
            turns.append((message["content"], ""))
        elif turns:
            turns[-1] = (turns[-1][0], f"{turns[-1][1]}\n{message['content']}")
    return [turn for turn in turns[-EARLIER:] if turn[0].strip()]


def clean(value: Any) -> Any:
    """A JSON value with `plain` texts."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {key: clean(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [clean(part) for part in value]
    return value
