"""The assistant: a request made into a prompt, and the response to it streamed and read."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from typing import Any

from rerec_engine.assistant.conditions import KIND, Condition, Request
from rerec_engine.assistant.exchange import Answer, Ask, Exchange
from rerec_engine.assistant.parse import Earlier, RequestParser
from rerec_engine.assistant.queries import QueryIndex
from rerec_engine.assistant.reading import items_of, read_response
from rerec_engine.assistant.shortlist import Search, Shortlist, Shortlister
from rerec_engine.assistant.stream import TextStream
from rerec_engine.assistant.style import Style
from rerec_engine.assistant.text import titles_in
from rerec_engine.data.dataset import Dataset
from rerec_engine.errors import PromptTooLong, RequestError, UserError
from rerec_engine.types import Message, Query, Sampling

MAX_REQUEST = 8000  # characters
_HISTORY = 20  # items of a user's history that a prompt tells
Draw = Callable[[Sequence[int], Sampling, float], Generator[int, None, None]]
"""(prompt, sampling, seconds) -> token ids of one response as they are drawn, the end token left out. seconds: after
which nobody waits. Closing the generator ends the drawing."""


class Assistant:
    """Answers requests about one dataset, several at once where `draw` can.

    tokenizer, encode_prompt: of a `Policy`. search: see `rerec_engine.assistant.search`. context: the most tokens that
    prompt and answer may have together (None: any number).
    """

    def __init__(
        self,
        dataset: Dataset,
        tokenizer: Any,
        encode_prompt: Callable[[Sequence[Message]], list[int]],
        draw: Draw,
        search: Search | None = None,
        context: int | None = None,
    ) -> None:
        self.dataset, self.context = dataset, context
        self._tokenizer, self._encode, self._draw = tokenizer, encode_prompt, draw
        self._style = Style(dataset)
        self._parser = RequestParser(dataset, self._style.kinds)
        self._shortlister = Shortlister(dataset, self._parser, search)

    @cached_property
    def _queries(self) -> QueryIndex:
        return QueryIndex([query for split in self.dataset.splits for query in self.dataset.queries(split)])

    def prepare(
        self,
        text: str,
        candidates: Sequence[str] | None = None,
        user: str | int | None = None,
        earlier: Sequence[Exchange] = (),
    ) -> Ask:
        """Choose candidates and make the prompt.

        candidates: titles. user: as `Dataset.user_of` takes it. earlier: the exchanges before, oldest first, that
        a follow-up ("something older") refers to. Raises `RequestError` for a title or user unknown.
        """
        text = " ".join(text.split())
        if not text or len(text) > MAX_REQUEST:
            raise RequestError("request", f"a request has 1 to {MAX_REQUEST} characters, got {len(text)}")
        history = self._history(user)
        request = self._parser.parse(text, _state(earlier))
        query, same = (None, False) if candidates or request.follows else self._known(text, request)
        if candidates:
            chosen = Shortlist(tuple(dict.fromkeys(self._resolve(candidates))), "as given")
        elif query is not None:
            how = "the same as" if same else "close to"
            chosen = Shortlist(query.candidates, f"those of query {query.id}, whose request is {how} this one")
            if same and user is None:
                return Ask(text, query.messages, chosen.items, chosen.reason, request, query.request)
        else:
            request, chosen = self._choose(text, request, history)
        prompted = self._style.say(request, text, chosen.items, history)
        titles = [self.dataset.titles[item] for item in chosen.items]
        told = [self.dataset.titles[item] for item in history]
        messages = self.dataset.description.prompt(prompted, candidates=titles, history=told)
        return Ask(text, messages, chosen.items, chosen.reason, request, prompted)

    def _known(self, text: str, request: Request) -> tuple[Query | None, bool]:
        """The dataset's query of these words, or one close to them that sets the same conditions, with candidates."""
        query, same = self._queries.find(text)
        if query is None or not query.candidates:
            return None, False
        if not same:
            theirs = self._parser.parse(query.request)
            if (theirs.conditions, theirs.liked) != (request.conditions, request.liked):
                return None, False
        return query, same

    def _choose(self, text: str, request: Request, history: Sequence[int]) -> tuple[Request, Shortlist]:
        """The shortlist. Where the dataset has several kinds of items and none is asked for, that of the best item
        becomes a condition."""
        kinds = self._style.kinds
        if kinds and request.needs(KIND) is None:
            best = self._shortlister.choose(text, history, 1, request).items
            noun = self._style.kind_of_item(best[0]) if best else ""
            if noun:
                request = replace(request, conditions=(*request.conditions, Condition(noun, KIND, kinds[noun])))
        return request, self._shortlister.choose(text, history, request=request)

    def replay(self, turns: Sequence[tuple[str, str]], user: str | int | None = None) -> list[Exchange]:
        """Exchanges from their texts alone, as a server without memory gets them back: (request, shown reply) each.

        The items are the numbered titles of the reply. Raises `RequestError` as `prepare` does.
        """
        out: list[Exchange] = []
        for text, reply in turns:
            ask = self.prepare(text, user=user, earlier=out)
            ids = [self.dataset.catalogue.match(title) for title in titles_in(reply)]
            out.append((ask, Answer(ask, reply, "", items_of(self.dataset, ask, ids), ())))
        return out

    def answer(
        self, ask: Ask, sampling: Sampling, top_k: int | None = None, write: Callable[[str], None] | None = None
    ) -> Answer:
        """Generate and read the answer. `write` gets the reasoning in pieces, as it comes. Raises as `stream` does."""
        for event in self.stream(ask, sampling, top_k):
            if isinstance(event, Answer):
                return event
            if event and write is not None:
                write(event)
        raise AssertionError("a stream ends with its answer")

    def stream(
        self, ask: Ask, sampling: Sampling, top_k: int | None = None, seconds: float = math.inf
    ) -> Generator[str | Answer, None, None]:
        """The reasoning in pieces, one a token, "" for a token that shows nothing; at last the answer.

        Tokens are drawn as the pieces are taken. top_k: at most so many items. seconds: see `Draw`. Raises
        `PromptTooLong`, and that at once.
        """
        prompt = self._encode(ask.messages)
        if self.context is not None:
            if len(prompt) >= self.context:
                raise PromptTooLong(
                    "request",
                    f"the prompt has {len(prompt)} tokens; the model takes {self.context}, the answer included",
                )
            sampling = replace(sampling, max_new_tokens=min(sampling.max_new_tokens, self.context - len(prompt)))
        return self._respond(ask, prompt, sampling, top_k, seconds)

    def _respond(
        self, ask: Ask, prompt: Sequence[int], sampling: Sampling, top_k: int | None, seconds: float
    ) -> Generator[str | Answer, None, None]:
        text = TextStream(self._tokenizer)
        with closing(self._draw(prompt, sampling, seconds)) as tokens:
            for token in tokens:
                yield text.feed(token)
        yield text.close()
        answer = read_response(self.dataset, ask, text.text, top_k)
        finish = "length" if text.tokens >= sampling.max_new_tokens else "stop"
        yield replace(answer, finish=finish, prompt_tokens=len(prompt), new_tokens=text.tokens)

    def _resolve(self, titles: Sequence[str]) -> list[int]:
        items = [self.dataset.catalogue.match(title) for title in titles]
        unknown = [title for title, item in zip(titles, items, strict=True) if item < 0]
        if unknown:
            raise RequestError("candidates", f"{'; '.join(unknown)}: in no catalogue, or ambiguous (add the year)")
        return items

    def _history(self, user: str | int | None) -> tuple[int, ...]:
        if user is None:
            return ()
        try:
            row = self.dataset.user_of(user)
        except UserError as error:
            raise RequestError("user", str(error)) from None
        return tuple(int(item) for item in self.dataset.interactions[[row]].indices[-_HISTORY:])


def _state(earlier: Sequence[Exchange]) -> Earlier | None:
    """What the exchanges before leave to refer to: all items named since the last new start."""
    if not earlier:
        return None
    shown: list[int] = []
    for ask, answer in earlier:
        shown = [*(shown if ask.request.follows else ()), *(item.item_id for item in answer.items)]
    ask, answer = earlier[-1]
    return Earlier(ask.request, tuple(dict.fromkeys(shown)), tuple(item.item_id for item in answer.items))
