"""A made world as a dataset directory: its queries in the form of sentences, its vocabulary, its traces."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rerec_engine.data.dataset import write_dataset
from rerec_engine.data.description import VOCABULARY, DatasetDescription, Kind
from rerec_engine.data.traces import FILE as TRACES
from rerec_engine.data.traces import Trace, encode_traces
from rerec_engine.errors import UserError
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.types import Query
from rerec_engine.worlds.options import MadeOptions
from rerec_engine.worlds.requests import DemoQuery
from rerec_engine.worlds.traces import asked, make_traces
from rerec_engine.worlds.world import WORDING, World


def write_world(
    output: Path, world: World, drawn: Mapping[str, Sequence[DemoQuery]], options: MadeOptions, data_source: str
) -> None:
    """Write the queries of each split over the world, the traces, and all that a dataset directory has."""
    from rerec_engine.graph.lightgcn import item_embeddings

    if not 1 <= options.listed <= options.candidates:
        raise UserError(f"listed is 1 to the number of candidates ({options.candidates}), got {options.listed}")
    drawn = {
        split: [replace(query, text=asked(query.text, options.listed)) for query in queries]
        for split, queries in drawn.items()
    }
    named = {f"{split}-{i}": query for split, queries in drawn.items() for i, query in enumerate(queries)}
    traces = make_traces(world, options, options.candidates, options.seed)
    graph = AttributeGraph.from_triples(
        ((item, relation, value) for item, facts in enumerate(world.facts) for relation, value in facts.items()),
        len(world.titles),
    )
    description, matrix = describe(world), world.interactions()
    write_dataset(
        output,
        titles=world.titles,
        years=world.years,
        relations=graph.relations,
        values=graph.values,
        item_attributes=graph.item_attributes,
        interactions=matrix,
        item_embeddings=item_embeddings(matrix, dim=32, epochs=options.embedding_epochs, seed=options.seed, threads=1),
        splits={
            split: [_query(world, query, f"{split}-{i}", description) for i, query in enumerate(queries)]
            for split, queries in drawn.items()
        },
        data_source=data_source,
        description=description,
        source_ids=world.source_ids,
        user_ids=world.user_ids,
        extra_info={
            name: {"conditions": [f"{r}={v}" for r, v in sorted(query.conditions.items())]}
            for name, query in named.items()
        },
        files={
            VOCABULARY: json.dumps(_vocabulary(world, drawn, traces, options.candidates), indent=0),
            TRACES: encode_traces(traces),
        },
    )


def describe(world: World) -> DatasetDescription:
    """Where the world has items of several kinds, the second relation of a kind is its alone."""
    several = len(world.relations) > 1
    own = {relation for relations in world.relations.values() for relation in relations}
    return DatasetDescription(
        noun="item" if several else next(iter(world.relations)),
        form="sentences",
        kinds={noun: Kind(relations[1]) for noun, relations in world.relations.items()} if several else {},
        relations={relation: wording for relation, wording in WORDING.items() if relation in own},
        invented=not world.source_ids,
    )


def _query(world: World, query: DemoQuery, name: str, description: DatasetDescription) -> Query:
    history = query.liked if query.category == "sequential" else world.history[query.user_id][-10:]
    return Query(
        id=name,
        messages=description.prompt(query.text, candidates=[world.titles[i] for i in query.candidates]),
        ground_truth=(query.target,),
        candidates=query.candidates,
        category=query.category,
        condition_num=len(query.conditions),
        user_id=query.user_id,
        history=history,
        request=query.text,
    )


def _vocabulary(
    world: World, drawn: Mapping[str, Sequence[DemoQuery]], traces: Sequence[Trace], candidates: int
) -> list[str]:
    """Phrases that are one token each: titles, attribute values, line numbers, the words of queries and traces."""
    phrases = {f" {title}" for title in world.titles} | {f" {v}" for facts in world.facts for v in facts.values()}
    longest_first = sorted(phrases, key=len, reverse=True)
    words = {"\n", "\n\\boxed{", "}"} | {f"\n{number})" for number in range(1, candidates + 1)}
    texts = [query.text for queries in drawn.values() for query in queries[:200]]
    texts += [re.sub(r"\n\d+\)|\n\\boxed{|}", "", t.response) for t in traces[:200]]
    for text in texts:
        opening, _, rest = text.partition(" ")
        rest = f" {rest}"
        for phrase in longest_first:
            rest = rest.replace(phrase, "\n")
        words |= {f" {word}" for word in rest.split()} | ({opening} if opening.strip() else set())
    return sorted(phrases | words)
