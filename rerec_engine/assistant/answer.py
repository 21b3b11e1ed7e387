"""The assistant: a request made into a prompt, and the response to it streamed and read."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from rerec_engine.assistant.exchange import Answer, Ask, Exchange
from rerec_engine.assistant.prepare import Preparer
from rerec_engine.assistant.reading import items_of, read_response
from rerec_engine.assistant.shortlist import Search
from rerec_engine.assistant.stream import TextStream, Thought
from rerec_engine.assistant.text import titles_in
from rerec_engine.data.dataset import Dataset
from rerec_engine.errors import PromptTooLong, RequestError, UserError
from rerec_engine.model.chat import Chat
from rerec_engine.model.thinking import answer
from rerec_engine.types import Sampling

Draw = Callable[[Sequence[int], Sampling, float], Generator[int, None, None]]
"""(prompt, sampling, seconds) -> token ids of one response as they are drawn, the end token left out. seconds: after
which nobody waits. Closing the generator ends the drawing."""


class Assistant:
    """Answers requests about one dataset, several at once where `draw` can.

    chat: of a `Policy`. search: see `rerec_engine.assistant.search`. context: the most tokens that prompt and answer
    may have together (None: any number).
    """

    def __init__(
        self,
        dataset: Dataset,
        chat: Chat,
        draw: Draw,
        search: Search | None = None,
        context: int | None = None,
    ) -> None:
        self.dataset, self.context = dataset, context
        self._chat, self._draw = chat, draw
        self._preparer = Preparer(dataset, search)

    def prepare(
        self,
        text: str,
        candidates: Sequence[str] | None = None,
        user: str | int | None = None,
        earlier: Sequence[Exchange] = (),
    ) -> Ask:
        """Choose candidates and make the prompt: see `Preparer.prepare`."""
        return self._preparer.prepare(text, candidates, user, earlier)

    def replay(self, turns: Sequence[tuple[str, str]], user: str | int | None = None) -> list[Exchange]:
        """Exchanges from their texts alone, as a server without memory gets them back: (request, shown reply) each.

        The items are the numbered titles of the reply. Raises `RequestError` as `prepare` does.
        """
        out: list[Exchange] = []
        for text, reply in turns:
            ask = self.prepare(text, user=user, earlier=out)
            ids = [self.dataset.catalogue.match(title) for title in titles_in(answer(reply))]
            out.append((ask, Answer(ask, reply, "", items_of(self.dataset, ask, ids), ())))
        return out

    def answer(
        self, ask: Ask, sampling: Sampling, top_k: int | None = None, write: Callable[[str], None] | None = None
    ) -> Answer:
        """Generate and read the answer. `write` gets the reasoning in pieces, as it comes. Raises as `stream` does."""
        for event in self.stream(ask, sampling, top_k):
            if isinstance(event, Answer):
                return event
            if write is not None and event and isinstance(event, str):
                write(event)
        raise AssertionError("a stream ends with its answer")

    def stream(
        self,
        ask: Ask,
        sampling: Sampling,
        top_k: int | None = None,
        seconds: float = math.inf,
        switches: Mapping[str, Any] | None = None,
    ) -> Generator[str | Thought | Answer, None, None]:
        """The reasoning in pieces, one a token, "" for a token that shows nothing; at last the answer. What stands in a
        block of reasoning comes as thoughts.

        Tokens are drawn as the pieces are taken. top_k: at most so many items. seconds: see `Draw`. switches: values of
        the chat template's variables for this answer. Raises `PromptTooLong`, and `RequestError` where the template
        does not take the switches, both at once.
        """
        prompt, opened = self._prompted(ask, switches or {})
        if self.context is not None:
            if len(prompt) >= self.context:
                raise PromptTooLong(
                    "request",
                    f"the prompt has {len(prompt)} tokens; the model takes {self.context}, the answer included",
                )
            sampling = replace(sampling, max_new_tokens=min(sampling.max_new_tokens, self.context - len(prompt)))
        return self._respond(ask, prompt, sampling, top_k, seconds, opened)

    def _prompted(self, ask: Ask, switches: Mapping[str, Any]) -> tuple[list[int], bool]:
        """The prompt, and whether it opens a block of reasoning."""
        try:
            chat = self._chat.switched(switches)
            return chat.encode(ask.messages), chat.opens_reasoning()
        except UserError as error:
            if switches:
                raise RequestError("chat_template_kwargs", str(error)) from error
            raise

    def _respond(
        self, ask: Ask, prompt: Sequence[int], sampling: Sampling, top_k: int | None, seconds: float, opened: bool
    ) -> Generator[str | Thought | Answer, None, None]:
        text = TextStream(self._chat.tokenizer, opened)
        sampling = replace(sampling, candidates=[ask.candidates])
        with closing(self._draw(prompt, sampling, seconds)) as tokens:
            for token in tokens:
                yield from text.feed(token)
        yield from text.close()
        found = read_response(self.dataset, ask, text.text, top_k, opened)
        finish = "length" if text.tokens >= sampling.max_new_tokens else "stop"
        yield replace(found, finish=finish, prompt_tokens=len(prompt), new_tokens=text.tokens)
