"""The words of the prompt: a request as the dataset's own queries would say it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property

import pyarrow.parquet as pq

from rerec_engine.assistant.conditions import KIND, Request
from rerec_engine.data.dataset import Dataset
from rerec_engine.data.prompts import chat_prompt
from rerec_engine.types import Message
from rerec_engine.worlds.demo import DATA_SOURCE as DEMO_SOURCE
from rerec_engine.worlds.demo import build_prompt


def build_messages(
    source: str, text: str, candidates: Sequence[str], history: Sequence[str], item: str = "item"
) -> tuple[Message, ...]:
    """The prompt in the form that the dataset's own queries have, by its `data_source`."""
    if source == DEMO_SOURCE:
        return tuple(build_prompt(text, list(candidates), list(history)))
    return chat_prompt(text, candidates=candidates, history=history, item=item)


class Style:
    """How one dataset speaks: its `data_source`, and what its prompts call an item."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self.source, self.noun = _source(dataset)

    @cached_property
    def kinds(self) -> dict[str, tuple[int, ...]]:
        """Noun -> the attributes that tell such an item; empty where all items are of one kind."""
        if self.source != DEMO_SOURCE:
            return {}
        from rerec_engine.worlds.world import RELATIONS

        graph = self._dataset.attributes
        return {
            noun: tuple(a for a, relation in enumerate(graph.relations) if relation == own[1])
            for noun, own in RELATIONS.items()
        }

    def kind_of_item(self, item: int) -> str:
        """The item's kind, "" for none."""
        own = set(self._dataset.attributes.ids_of(item).tolist())
        return next((noun for noun, ids in self.kinds.items() if own & set(ids)), "")

    def say(self, request: Request, text: str, items: Sequence[int], history: Sequence[int]) -> str:
        """The request in the prompt. The demo's model knows its training's sentences alone: other words are put into
        them, its exclusions and years left to the shortlist. Other models read the user's words, in a follow-up after
        all that is asked so far."""
        if self.source == DEMO_SOURCE:
            plain = not request.follows and not request.excluded and not any(c.years for c in request.conditions)
            return text if plain and self._is_known(text) else self._demo(request, items, history)
        if not request.follows:
            return text
        parts = [f"I am looking for a {self.noun}"]
        if request.wanted:
            parts.append("with " + "; ".join(c.text for c in request.wanted))
        if request.excluded:
            parts.append("but " + "; ".join(c.text for c in request.excluded))
        if request.liked:
            parts.append("like " + ", ".join(self._dataset.titles[i] for i in request.liked))
        return f"{', '.join(parts)}. {text}"

    def _demo(self, request: Request, items: Sequence[int], history: Sequence[int]) -> str:
        from rerec_engine.worlds.requests import CLAUSE

        graph, noun = self._dataset.attributes, "film"
        kind = request.needs(KIND)
        noun = kind.text if kind else self.kind_of_item(items[0]) if items else noun
        wanted = [c for c in request.wanted if c.relation != KIND and c.attributes]
        if items:  # the first candidate satisfies most: what it does not, none does together with the rest
            wanted = [c for c in wanted if c.mask(self._dataset)[items[0]]] or wanted
        own = set(graph.ids_of(items[0]).tolist()) if items else set()
        asked: dict[str, tuple[int, ...]] = {}
        for condition in wanted:  # of alternatives, one: that of the first candidate
            ids = [a for a in condition.attributes if a in own] or condition.attributes
            relation = graph.relations[ids[0]]
            asked[relation] = tuple(a for a in ids if graph.relations[a] == relation)
        if not asked and request.liked and items:
            like = set(graph.ids_of(request.liked[0]).tolist())
            asked = {graph.relations[a]: (int(a),) for a in graph.ids_of(items[0]) if a in like}
        if not asked and history:
            genres = Counter(int(a) for i in history for a in graph.ids_of(i) if graph.relations[a] == "Genre")
            asked = {"Genre": tuple(a for a, _ in genres.most_common(1))}
        genre = "".join(f" {graph.values[a]}" for a in asked.get("Genre", ()))
        rest = "".join(
            f" {clause} {graph.values[a]}" for relation, clause in CLAUSE.items() for a in asked.get(relation, ())
        )
        return f"Find a{genre} {noun}{rest}"

    def _is_known(self, text: str) -> bool:
        """Whether the text consists of phrases of the demo's vocabulary."""
        for phrase in self._phrases:
            text = text.replace(phrase, "\n")
        opening, _, rest = text.strip("\n").partition("\n")
        return (opening in self._openings or not opening) and not rest.strip()

    @cached_property
    def _phrases(self) -> list[str]:
        with suppress(OSError, ValueError):
            phrases = json.loads((self._dataset.path / "vocabulary.json").read_text(encoding="utf-8"))
            return sorted((p for p in phrases if p.startswith(" ") and p.strip()), key=len, reverse=True)
        return []

    @cached_property
    def _openings(self) -> frozenset[str]:
        from rerec_engine.worlds.requests import OPENINGS

        return frozenset({"I", *(opening.split()[0] for opening in OPENINGS)})


def _source(dataset: Dataset) -> tuple[str, str]:
    table = pq.read_table(dataset.path / f"{dataset.splits[0]}.parquet", columns=["data_source", "prompt"])
    if not table.num_rows:
        return "", "item"
    row = table.slice(0, 1).to_pylist()[0]
    named = re.search(r"the (?:one )?(\w+) that you recommend", row["prompt"][0]["content"])
    return row["data_source"], named[1] if named else "item"
