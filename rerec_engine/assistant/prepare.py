"""A request made ready: what it asks, the candidates, and the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from rerec_engine.assistant.conditions import KIND, Condition, Request
from rerec_engine.assistant.exchange import Ask, Exchange
from rerec_engine.assistant.parse import Earlier, RequestParser
from rerec_engine.assistant.queries import QueryIndex
from rerec_engine.assistant.shortlist import Search, Shortlist, Shortlister
from rerec_engine.assistant.style import Style
from rerec_engine.data.dataset import Dataset
from rerec_engine.data.knowledge import Knowledge
from rerec_engine.data.prompter import Prompter
from rerec_engine.errors import RequestError, UserError
from rerec_engine.types import Query

MAX_REQUEST = 8000  # characters
_HISTORY = 20  # items of a user's history that a prompt tells


class Preparer:
    """Makes prompts about one dataset. search: see `rerec_engine.assistant.search`."""

    def __init__(self, dataset: Dataset, search: Search | None = None) -> None:
        self.dataset = dataset
        self._style = Style(dataset)
        self._parser = RequestParser(dataset, self._style.kinds)
        self._shortlister = Shortlister(dataset, self._parser, search)

    @cached_property
    def _prompter(self) -> Prompter:
        return Prompter(Knowledge.of(self.dataset, users=False))

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
        asked = (query and query.asked) or self._style.asked(request, text, chosen.items, history)
        named = (query and query.named) or self._named(prompted)
        made = Query("", (), (), chosen.items, history=history, request=prompted, asked=asked, named=named)
        messages = self._prompter.messages(made)
        return Ask(text, messages, chosen.items, chosen.reason, request, prompted)

    def _named(self, text: str) -> tuple[int, ...]:
        """The items of which a prompt with facts tells; none where there are no facts to tell."""
        return self._parser.read(text).titles if self.dataset.description.facts != "none" else ()

    def _known(self, text: str, request: Request) -> tuple[Query | None, bool]:
        """The dataset's query of these words, or one close to them that sets the same conditions, with candidates."""
        query, same = self._queries.find(text)
        if query is None or not query.candidates:
            return None, False
        if not same:
            theirs = self._parser.parse(query.request)
            if (theirs.conditions, theirs.liked, theirs.order) != (request.conditions, request.liked, request.order):
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
