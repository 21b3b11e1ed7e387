"""One request answered: candidates chosen, the prompt made, the response streamed and read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow.parquet as pq

from rerec_engine import _core
from rerec_engine.assistant.shortlist import Shortlist, Shortlister, find_query, words_of
from rerec_engine.data.dataset import Dataset
from rerec_engine.errors import UserError
from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.metrics.text import decode
from rerec_engine.types import Message, Query, Sampling

DEMO_SOURCE = "rerec_engine/demo"
MAX_REQUEST = 8000  # characters
_HISTORY = 20  # items of a user's history that a prompt tells
_BOX = "\\boxed"


@dataclass(frozen=True)
class Ask:
    """One request made ready: the prompt, the candidates it lists, and why these."""

    text: str
    messages: tuple[Message, ...]
    candidates: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class Item:
    """A recommended item and its evidence. asked marks the values that the request names."""

    item_id: int
    title: str
    among_candidates: bool
    attributes: tuple[tuple[str, str], ...]
    asked: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The item as it stands in `--json`."""
        evidence = [{"relation": r, "value": v, "asked": v in self.asked} for r, v in self.attributes]
        return {**vars(self), "attributes": evidence, "asked": list(self.asked)}


@dataclass(frozen=True)
class Answer:
    """What the model said. unknown: titles that are in no catalogue."""

    ask: Ask
    response: str
    reasoning: str
    items: tuple[Item, ...]
    unknown: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())

    def to_json(self, titles: Sequence[str]) -> dict[str, Any]:
        """The answer as one JSON object."""
        return {
            "request": self.ask.text,
            "candidates": [titles[item] for item in self.ask.candidates],
            "candidates_from": self.ask.reason,
            "reasoning": self.reasoning,
            "items": [item.to_json() for item in self.items],
            "unknown": list(self.unknown),
            "notes": list(self.notes),
            "response": self.response,
        }


def build_messages(
    source: str, text: str, candidates: Sequence[str], history: Sequence[str], item: str = "item"
) -> tuple[Message, ...]:
    """The prompt in the form that the dataset's own queries have, by its `data_source`."""
    if source == DEMO_SOURCE:
        from rerec_engine.data.demo import build_prompt

        return tuple(build_prompt(text, list(candidates), list(history)))
    from rerec_engine.data.prompts import chat_prompt

    return chat_prompt(text, candidates=candidates, history=history, item=item)


def read_answer(catalogue: Catalogue, response: str, candidates: Sequence[int] = ()) -> list[tuple[int, str]]:
    """The entries of a response's last box in rank order, read as the reward reads them: (item, text) each.

    Item -1: the text names none of the catalogue, or several. No entry: no answer.
    """
    entries = _core.read_answer(response, catalogue.core, catalogue.candidate_ids(candidates), _core.Which.last)
    return [(item, text.decode("utf-8", errors="replace")) for item, text in entries]


class Assistant:
    """Answers requests about one dataset.

    tokenizer, encode_prompt and stream: of a `Policy` and its `Sampler`.
    """

    def __init__(
        self,
        dataset: Dataset,
        tokenizer: Any,
        encode_prompt: Callable[[Sequence[Message]], list[int]],
        stream: Callable[[Sequence[int], Sampling], Iterator[int]],
        sampling: Sampling,
    ) -> None:
        self.dataset = dataset
        self._tokenizer, self._encode, self._stream = tokenizer, encode_prompt, stream
        self._sampling = sampling
        self._shortlister = Shortlister(dataset)

    @cached_property
    def _queries(self) -> list[Query]:
        return [query for split in self.dataset.splits for query in self.dataset.queries(split)]

    @cached_property
    def _style(self) -> tuple[str, str]:
        """data_source of the dataset, and what its prompts call an item."""
        table = pq.read_table(
            self.dataset.path / f"{self.dataset.splits[0]}.parquet", columns=["data_source", "prompt"]
        )
        if not table.num_rows:
            return "", "item"
        row = table.slice(0, 1).to_pylist()[0]
        named = re.search(r"the one (\w+) that you recommend", row["prompt"][0]["content"])
        return row["data_source"], named[1] if named else "item"

    def prepare(self, text: str, candidates: Sequence[str] | None = None, user: int | None = None) -> Ask:
        """Choose candidates and make the prompt. candidates: titles. Raises UserError for a title or user unknown."""
        text = " ".join(text.split())
        if not text or len(text) > MAX_REQUEST:
            raise UserError(f"a request has 1 to {MAX_REQUEST} characters, got {len(text)}")
        history = self._history(user)
        known, same = (None, False) if candidates else find_query(self._queries, text)
        if candidates:
            chosen = Shortlist(tuple(dict.fromkeys(self._resolve(candidates))), "as given")
        elif known is not None and known.candidates:
            how = "the same as" if same else "close to"
            chosen = Shortlist(known.candidates, f"those of query {known.id}, whose request is {how} this one")
            if same and user is None:
                return Ask(text, known.messages, chosen.items, chosen.reason)
        else:
            chosen = self._shortlister.choose(text, history)
        source, noun = self._style
        titles = [self.dataset.titles[item] for item in chosen.items]
        told = [self.dataset.titles[item] for item in history]
        return Ask(text, build_messages(source, text, titles, told, noun), chosen.items, chosen.reason)

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
        reasoning = response.partition(_BOX)[0].strip()
        return Answer(ask, response, reasoning, items[:top_k], unknown, tuple(notes))

    def _items(self, entries: Sequence[tuple[int, str]], ask: Ask) -> tuple[Item, ...]:
        """The items of an answer with their attributes, in its order."""
        request = f" {' '.join(words_of(ask.text))} "
        items = []
        for item in dict.fromkeys(item for item, _ in entries if item >= 0):
            attributes = tuple(self.dataset.attributes.attributes_of(item))
            asked = tuple(v for _, v in attributes if f" {' '.join(words_of(v))} " in request)
            items.append(Item(item, self.dataset.titles[item], item in ask.candidates, attributes, asked))
        return tuple(items)

    def _resolve(self, titles: Sequence[str]) -> list[int]:
        items = [self.dataset.catalogue.match(title) for title in titles]
        unknown = [title for title, item in zip(titles, items, strict=True) if item < 0]
        if unknown:
            raise UserError(f"--candidates: {'; '.join(unknown)}: in no catalogue, or ambiguous (add the year)")
        return items

    def _history(self, user: int | None) -> tuple[int, ...]:
        if user is None:
            return ()
        users = self.dataset.interactions.shape[0]
        if not 0 <= user < users:
            raise UserError(f"--user must be in 0..{users - 1}, got {user}")
        row = self.dataset.interactions[[user]]
        return tuple(int(item) for item in row.indices[-_HISTORY:])


class TextStream:
    """Token ids in, text out in pieces: whole characters only, and nothing of the answer's box."""

    def __init__(self, tokenizer: Any, write: Callable[[str], None]) -> None:
        self._tokenizer, self._write = tokenizer, write
        self._ids: list[int] = []
        self._text = ""
        self._shown = 0

    def feed(self, token: int) -> None:
        """Take one token and write what has become certain."""
        self._ids.append(token)
        self._text = decode(self._tokenizer, self._ids)
        self._show(len(self._text.rstrip("\ufffd")))

    def close(self) -> str:
        """Write what is left of the reasoning; returns the whole response."""
        self._show(len(self._text), last=True)
        return self._text

    def _show(self, end: int, last: bool = False) -> None:
        box = self._text.find(_BOX)
        if box >= 0:
            end = min(end, box)
        elif not last:
            held = next((n for n in range(len(_BOX) - 1, 0, -1) if self._text[:end].endswith(_BOX[:n])), 0)
            end -= held
        if end > self._shown:
            self._write(self._text[self._shown : end])
            self._shown = end
