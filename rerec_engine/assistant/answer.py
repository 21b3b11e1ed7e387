"""One request answered: candidates chosen, the prompt made, the response streamed and read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from rerec_engine import _core
from rerec_engine.assistant.conditions import KIND, Condition, Request
from rerec_engine.assistant.grounding import Evidence, Unmet, evidence_of, unmet_by
from rerec_engine.assistant.parse import Earlier, RequestParser
from rerec_engine.assistant.queries import QueryIndex
from rerec_engine.assistant.shortlist import Search, Shortlist, Shortlister
from rerec_engine.assistant.stream import TextStream, before_box
from rerec_engine.assistant.style import Style
from rerec_engine.data.dataset import Dataset
from rerec_engine.errors import UserError
from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.types import Message, Query, Sampling

MAX_REQUEST = 8000  # characters
_HISTORY = 20  # items of a user's history that a prompt tells
_NUMBERED = re.compile(r"^\d+\. (.+)$", re.MULTILINE)


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
        """The item as it stands in `--json`."""
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
    """What the model said. unknown: titles that are in no catalogue. unmet: conditions that no item satisfies."""

    ask: Ask
    response: str
    reasoning: str
    items: tuple[Item, ...]
    unknown: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())
    unmet: tuple[Unmet, ...] = ()

    def to_json(self, titles: Sequence[str]) -> dict[str, Any]:
        """The answer as one JSON object."""
        request = self.ask.request
        return {
            "request": self.ask.text,
            "prompted": self.ask.prompted or self.ask.text,
            "follows": request.follows,
            "conditions": [c.text for c in request.conditions],
            "liked": [titles[item] for item in request.liked],
            "candidates": [titles[item] for item in self.ask.candidates],
            "candidates_from": self.ask.reason,
            "reasoning": self.reasoning,
            "items": [item.to_json() for item in self.items],
            "unmet": [vars(unmet) for unmet in self.unmet],
            "unknown": list(self.unknown),
            "notes": list(self.notes),
            "response": self.response,
        }


Turn = tuple[Ask, Answer]


def read_answer(catalogue: Catalogue, response: str, candidates: Sequence[int] = ()) -> list[tuple[int, str]]:
    """The entries of a response's last box in rank order, read as the reward reads them: (item, text) each.

    Item -1: the text names none of the catalogue, or several. No entry: no answer.
    """
    entries = _core.read_answer(response, catalogue.core, catalogue.candidate_ids(candidates), _core.Which.last)
    return [(item, text.decode("utf-8", errors="replace")) for item, text in entries]


class Assistant:
    """Answers requests about one dataset.

    tokenizer, encode_prompt and stream: of a `Policy` and its `Sampler`. search: see `rerec_engine.assistant.search`.
    """

    def __init__(
        self,
        dataset: Dataset,
        tokenizer: Any,
        encode_prompt: Callable[[Sequence[Message]], list[int]],
        stream: Callable[[Sequence[int], Sampling], Iterator[int]],
        sampling: Sampling,
        search: Search | None = None,
    ) -> None:
        self.dataset = dataset
        self._tokenizer, self._encode, self._stream = tokenizer, encode_prompt, stream
        self._sampling = sampling
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
        earlier: Sequence[Turn] = (),
    ) -> Ask:
        """Choose candidates and make the prompt.

        candidates: titles. user: as `Dataset.user_of` takes it. earlier: the turns before, oldest first, that a
        follow-up ("something older") refers to. Raises UserError for a title or user unknown.
        """
        text = " ".join(text.split())
        if not text or len(text) > MAX_REQUEST:
            raise UserError(f"a request has 1 to {MAX_REQUEST} characters, got {len(text)}")
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

    def replay(self, turns: Sequence[tuple[str, str]], user: str | int | None = None) -> list[Turn]:
        """Turns from their texts alone, as a server without memory gets them back: (request, shown reply) each.

        The items are the numbered titles of the reply. Raises UserError as `prepare` does.
        """
        out: list[Turn] = []
        for text, reply in turns:
            ask = self.prepare(text, user=user, earlier=out)
            found = [(self.dataset.catalogue.match(title), title) for title in _NUMBERED.findall(reply)]
            out.append((ask, Answer(ask, reply, "", self._items([f for f in found if f[0] >= 0], ask), ())))
        return out

    def answer(self, ask: Ask, top_k: int | None = None, write: Callable[[str], None] | None = None) -> Answer:
        """Generate and read the answer. `write` gets the reasoning in pieces, as it comes."""
        prompt = self._encode(ask.messages)
        stream = TextStream(self._tokenizer, write or (lambda piece: None))
        count = 0
        for token in self._stream(prompt, self._sampling):
            stream.feed(token)
            count += 1
        response = stream.close()
        notes = []
        if count >= self._sampling.max_new_tokens:
            notes.append(f"cut off after {count} tokens (--max-new-tokens)")
        entries = read_answer(self.dataset.catalogue, response, ask.candidates)
        if not entries:
            notes.append("the response holds no answer in a box")
        items = self._items(entries, ask)
        unknown = tuple(text for item, text in entries if item < 0)
        if unknown:
            notes.append(f"in no catalogue, so left out: {'; '.join(unknown)}")
        outside = [item.title for item in items if not item.among_candidates]
        if outside and ask.candidates:
            notes.append(f"not among the candidates: {'; '.join(outside)}")
        shown = items[: min(top_k or len(items), ask.request.count or len(items))]
        unmet = unmet_by(self.dataset, ask.request, [item.item_id for item in shown], ask.candidates)
        notes += ask.request.notes
        return Answer(ask, response, before_box(response), shown, unknown, tuple(notes), unmet)

    def _items(self, entries: Sequence[tuple[int, str]], ask: Ask) -> tuple[Item, ...]:
        """The items of an answer with their attributes, in its order."""
        items = []
        for item in dict.fromkeys(item for item, _ in entries if item >= 0):
            attributes = tuple(self.dataset.attributes.attributes_of(item))
            evidence, missed = evidence_of(self.dataset, ask.request, item)
            wanted = {c.text for c in ask.request.wanted}
            asked = tuple(dict.fromkeys(e.value for e in evidence if e.condition in wanted))
            asked = tuple(v for v in dict.fromkeys(v for _, v in attributes) if v in asked)
            items.append(
                Item(item, self.dataset.titles[item], item in ask.candidates, attributes, asked, evidence, missed)
            )
        return tuple(items)

    def _resolve(self, titles: Sequence[str]) -> list[int]:
        items = [self.dataset.catalogue.match(title) for title in titles]
        unknown = [title for title, item in zip(titles, items, strict=True) if item < 0]
        if unknown:
            raise UserError(f"--candidates: {'; '.join(unknown)}: in no catalogue, or ambiguous (add the year)")
        return items

    def _history(self, user: str | int | None) -> tuple[int, ...]:
        if user is None:
            return ()
        row = self.dataset.interactions[[self.dataset.user_of(user)]]
        return tuple(int(item) for item in row.indices[-_HISTORY:])


def _state(earlier: Sequence[Turn]) -> Earlier | None:
    """What the turns before leave to refer to: all items named since the last new start."""
    if not earlier:
        return None
    shown: list[int] = []
    for ask, answer in earlier:
        shown = [*(shown if ask.request.follows else ()), *(item.item_id for item in answer.items)]
    ask, answer = earlier[-1]
    return Earlier(ask.request, tuple(dict.fromkeys(shown)), tuple(item.item_id for item in answer.items))
