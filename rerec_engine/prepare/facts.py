"""Facts in the prompts of queries that others wrote: what these ask about and name is read from their words, by the
assistant's rules, as it will be when the model is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rerec_engine.data.assemble import Prepared
    from rerec_engine.graph.attributes import AttributeGraph
    from rerec_engine.types import Query


def with_facts(prepared: Prepared, facts: str) -> Prepared:
    """With `asked` and `named` of every query, and its prompt made anew. facts: one of `description.FACTS`."""
    if facts == "none":
        return prepared
    import numpy as np

    from rerec_engine.assistant.parse import RequestParser
    from rerec_engine.assistant.style import Style
    from rerec_engine.data.dataset import Dataset
    from rerec_engine.data.knowledge import Knowledge
    from rerec_engine.data.prompter import Prompter

    items, graph = prepared.items, prepared.graph
    data = Dataset(
        path=Path(),
        titles=tuple(items.titles),
        years=tuple(items.years),
        attributes=graph,
        interactions=prepared.interactions,
        item_embeddings=np.zeros((len(items.titles), 1), np.float32),
        description=replace(prepared.description, facts=facts),
        numbers=prepared.numbers,
        texts=tuple(prepared.texts),
    )
    style, prompter = Style(data), Prompter(Knowledge.of(data, users=False))
    parser = RequestParser(data, style.kinds)

    def shown(query: Query) -> Query:
        named = parser.read(query.request).titles
        asked = style.asked(parser.parse(query.request), query.request, (), ())
        told = replace(query, named=named, asked=asked or _of_items(graph, named))
        prepared.counts.note("queries of which no relation, number or title is read", int(not told.asked))
        return replace(told, messages=prompter.messages(told))

    splits = {split: [shown(query) for query in queries] for split, queries in prepared.splits.items()}
    return replace(prepared, splits=splits, description=data.description)


def _of_items(graph: AttributeGraph, items: Sequence[int]) -> tuple[str, ...]:
    """The relations of what the items have in common."""
    from rerec_engine.data.facts import asked_order

    shared = graph.shared_by(items) if items else ()
    return asked_order(graph, (graph.relations[a] for a in shared))
