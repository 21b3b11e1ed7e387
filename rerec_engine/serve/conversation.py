"""A chat request answered by the assistant, in the calling thread."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from rerec_engine.assistant.answer import Assistant
from rerec_engine.data.dataset import Dataset
from rerec_engine.errors import UserError
from rerec_engine.recommend import plain, render
from rerec_engine.serve.backend import Backend
from rerec_engine.serve.errors import ApiError
from rerec_engine.types import Message, Sampling

EARLIER = 8  # turns before that a follow-up may refer to


class Cancelled(Exception):
    """Nobody waits for the answer any more."""


@dataclass(frozen=True)
class Question:
    """What is asked. earlier: the turns before, oldest first. candidates: titles. deadline: of `time.monotonic`."""

    text: str
    sampling: Sampling
    deadline: float
    earlier: tuple[Message, ...] = ()
    candidates: tuple[str, ...] | None = None
    user: str | int | None = None
    top_k: int | None = None


@dataclass(frozen=True)
class Reply:
    """An answer. tail: the text after the reasoning. structured: `Answer.to_json`. finish: "stop" or "length"."""

    tail: str
    structured: dict[str, Any]
    finish: str
    prompt_tokens: int
    new_tokens: int


@dataclass
class Progress:
    """One answer in the making. started is called once, when the prompt has been accepted; cancel ends it."""

    question: Question
    started: Callable[[], None]
    write: Callable[[str], None]
    cancel: threading.Event = field(default_factory=threading.Event)
    prompt_tokens: int = 0
    new_tokens: int = 0
    finish: str = "stop"


class Conversation:
    """Answers questions about one dataset, several at once, each in its caller's thread.

    context: the most tokens that prompt and answer may have together.
    """

    def __init__(
        self,
        dataset: Dataset,
        tokenizer: Any,
        encode_prompt: Callable[[Sequence[Message]], list[int]],
        backend: Backend,
        context: int,
    ) -> None:
        self.backend, self.context, self._titles = backend, context, dataset.titles
        self._current = threading.local()
        # Each question has a sampling of its own, see _stream.
        whatever = Sampling(max_new_tokens=context)
        self._assistant = Assistant(dataset, tokenizer, encode_prompt, self._stream, whatever)

    def answer(self, progress: Progress) -> Reply:
        """Raises `ApiError` for a question that cannot be answered and `Cancelled` where nobody waits."""
        question = progress.question
        self._current.progress = progress
        if progress.cancel.is_set():
            raise Cancelled
        try:
            earlier = self._assistant.replay(pairs(question.earlier), question.user)
            ask = self._assistant.prepare(question.text, question.candidates, question.user, earlier)
        except UserError as error:
            message = str(error).removeprefix("--")  # the command's option is our field
            field_named = next((name for name in ("candidates", "user") if message.startswith(name)), "messages")
            raise ApiError(400, message, param=field_named) from None
        answer = self._assistant.answer(ask, question.top_k, lambda piece: progress.write(plain(piece)))
        if progress.finish == "length":
            notes = [note for note in answer.notes if not note.startswith("cut off")]
            answer = replace(answer, notes=(f"cut off after {progress.new_tokens} tokens", *notes))
        text = io.StringIO()
        render(answer, text)
        return Reply(
            plain(text.getvalue()).rstrip(),
            clean(answer.to_json(self._titles)),
            progress.finish,
            progress.prompt_tokens,
            progress.new_tokens,
        )

    def _stream(self, prompt: Sequence[int], _: Sampling) -> Iterator[int]:
        progress: Progress = self._current.progress
        question = progress.question
        room = self.context - len(prompt)
        if room < 1:
            message = f"the prompt has {len(prompt)} tokens; the model takes {self.context}, the answer included"
            raise ApiError(400, message, param="messages", code="context_length_exceeded")
        progress.prompt_tokens = len(prompt)
        progress.started()
        limit = min(question.sampling.max_new_tokens, room)
        seconds = max(0.0, question.deadline - time.monotonic())
        tokens = self.backend.stream(prompt, replace(question.sampling, max_new_tokens=limit), seconds)
        with closing(tokens):  # type: ignore[type-var]
            for token in tokens:
                if progress.cancel.is_set():
                    raise Cancelled
                if time.monotonic() > question.deadline:
                    raise ApiError(504, "the answer took too long", code="timeout")
                progress.new_tokens += 1
                yield token
        if progress.new_tokens >= limit:
            progress.finish = "length"


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
