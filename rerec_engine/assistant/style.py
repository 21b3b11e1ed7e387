"""The words of the prompt: a request as the dataset's own queries would say it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property

from rerec_engine.assistant.conditions import KIND, Condition, Request
from rerec_engine.data.articles import article, with_article
from rerec_engine.data.dataset import Dataset
from rerec_engine.data.description import VOCABULARY
from rerec_engine.data.facts import asked_order, clean_names


class Style:
    """How one dataset speaks, by its `dataset.json`."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._description = dataset.description

    @cached_property
    def kinds(self) -> dict[str, tuple[int, ...]]:
        """Noun -> the attributes that tell such an item; empty where all items are of one kind."""
        graph = self._dataset.attributes
        pairs = list(enumerate(zip(graph.relations, graph.values, strict=True)))
        return {
            noun: tuple(a for a, (r, value) in pairs if r == kind.relation and kind.value in ("", value))
            for noun, kind in self._description.kinds.items()
        }

    def kind_of_item(self, item: int) -> str:
        """The item's kind, "" for none."""
        own = set(self._dataset.attributes.ids_of(item).tolist())
        return next((noun for noun, ids in self.kinds.items() if own & set(ids)), "")

    def say(self, request: Request, text: str, items: Sequence[int], history: Sequence[int]) -> str:
        """The request in the prompt. A model of a closed form knows its training's sentences alone: other words are put
        into them, exclusions, years and numbers left to the shortlist. Other models read the user's words, in a
        follow-up after all that is asked so far."""
        if self._rewords(request, text):
            return self._sentence(request, items, history)
        if not request.follows or self._description.prompt_form.closed:
            return text
        noun = self._description.noun
        parts = [f"I am looking for {article(noun)} {noun}"]
        if request.wanted:
            parts.append("with " + "; ".join(c.text for c in request.wanted))
        if request.excluded:
            parts.append("but " + "; ".join(c.text for c in request.excluded))
        if request.liked:
            parts.append("like " + ", ".join(self._dataset.titles[i] for i in request.liked))
        if request.order:
            parts.append(f"the {request.order.text} first")
        return f"{', '.join(parts)}. {text}"

    def asked(self, request: Request, text: str, items: Sequence[int], history: Sequence[int]) -> tuple[str, ...]:
        """Names of the relations and numbers that `say` asks about; where it names none, of what the items liked have
        in common with the first candidate."""
        wanted = self._names_in(request.wanted) + ([request.order.field] if request.order else [])
        excluded = self._names_in(request.excluded)
        if self._rewords(request, text) or not wanted + excluded:
            wanted, excluded = list(self._chosen(request, items, history)), []
        return asked_order(self._dataset.attributes, wanted, excluded)

    def _names_in(self, conditions: Sequence[Condition]) -> list[str]:
        """Of the relations and numbers that they are about."""
        relations = self._dataset.attributes.relations
        return [
            name
            for c in conditions
            if c.relation != KIND
            for name in [relations[a] for a in c.attributes] or [c.relation]
        ]

    def _rewords(self, request: Request, text: str) -> bool:
        """Whether the user's words are put into the dataset's sentences."""
        if not self._description.prompt_form.closed:
            return False
        plain = not request.follows and not request.excluded and request.order is None
        plain = plain and not any(c.measured for c in request.conditions)
        return not (plain and self._is_known(text))

    def _sentence(self, request: Request, items: Sequence[int], history: Sequence[int]) -> str:
        said, names = self._description, self._names
        kind = request.needs(KIND)
        noun = kind.text if kind else self.kind_of_item(items[0]) if items else ""
        noun = noun or next(iter(self.kinds), said.noun)
        asked = self._chosen(request, items, history)
        before = {relation for relation in asked if not said.wording(relation).clause}
        order = [relation for relation in self._order if relation in asked]
        parts = [f" {names[a]}" for r in order if r in before for a in asked[r]]
        parts += [f" {noun}"]
        parts += [f" {said.wording(r).clause} {names[a]}" for r in order if r not in before for a in asked[r]]
        opening = with_article(said.openings[0], "".join(parts))
        if self._phrases and opening.endswith(" an") and " an" not in self._phrases:
            opening = said.openings[0]  # words that its model does not know help less than a wrong article
        return opening + "".join(parts)

    def _chosen(self, request: Request, items: Sequence[int], history: Sequence[int]) -> dict[str, tuple[int, ...]]:
        """The attributes that a sentence asks for, by relation."""
        graph, said = self._dataset.attributes, self._description
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
            owned = [int(a) for i in history for a in graph.ids_of(i)]
            liked = Counter(a for a in owned if not said.wording(graph.relations[a]).clause)
            asked = {graph.relations[a]: (a,) for a, _ in liked.most_common(1)}
        return asked

    @cached_property
    def _order(self) -> tuple[str, ...]:
        """The relations, as a sentence names them one after the other."""
        return tuple(dict.fromkeys([*self._description.relations, *self._dataset.attributes.relations]))

    @cached_property
    def _names(self) -> tuple[str, ...]:
        """The attributes' values as prompts show them, [A]."""
        return clean_names(self._dataset.attributes.values, self._dataset.titles)

    def _is_known(self, text: str) -> bool:
        """Whether the text consists of phrases of the dataset's vocabulary."""
        for phrase in self._phrases:
            text = text.replace(phrase, "\n")
        opening, _, rest = text.strip("\n").partition("\n")
        return (opening in self._openings or not opening) and not rest.strip()

    @cached_property
    def _phrases(self) -> list[str]:
        with suppress(OSError, ValueError):
            phrases = json.loads((self._dataset.path / VOCABULARY).read_text(encoding="utf-8"))
            return sorted((p for p in phrases if p.startswith(" ") and p.strip()), key=len, reverse=True)
        return []

    @cached_property
    def _openings(self) -> frozenset[str]:
        return frozenset({"I", *(opening.split()[0] for opening in self._description.openings)})
