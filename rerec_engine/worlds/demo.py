"""The demo's dataset directory: world, queries of all five kinds, and the warm start's reasoning traces."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from rerec_engine.data.dataset import write_dataset
from rerec_engine.data.traces import Trace, write_traces
from rerec_engine.errors import UserError
from rerec_engine.graph.attributes import AttributeGraph
from rerec_engine.types import CATEGORIES, Query
from rerec_engine.worlds.movielens import movielens_world, next_item
from rerec_engine.worlds.requests import Beliefs, DemoQuery, build_prompt, draw_query, personal, trace
from rerec_engine.worlds.world import RELATIONS, World, make_world

DATA_SOURCE = "rerec_engine/demo"
__all__ = ["DATA_SOURCE", "build_prompt", "write_demo"]


def write_demo(
    output: Path,
    seed: int = 0,
    *,
    films: int = 200,
    books: int = 100,
    users: int = 300,
    train_queries: int = 960,
    val_queries: int = 200,
    test_queries: int = 500,
    candidates: int = 20,
    short_traces: int = 14000,
    medium_traces: int = 3000,
    full_traces: int = 7000,
    biased_traces: int = 2000,
    belief_share: float = 0.6,
    belief_rate: float = 0.65,
    embedding_epochs: int = 30,
    domain: str = "",
    taste: str = "",
    movielens: str | Path = "",
    min_ratings: int = 50,
    task: str = "",
    history: int = 10,
) -> None:
    """Generate the demo of `seed` as a dataset directory.

    short, medium, full traces: reasoning traces for the warm start over about 5, 10 and all candidates, by a teacher
    that knows the catalogue (short lists first: the skill is learned several times faster so). biased: over all
    candidates, by one that takes each of `belief_share` of the genres for another in `belief_rate` of the mentions.
    No condition set of val or test occurs in train or in a trace. domain: of all queries, film or book. taste: told or
    untold, all queries are of the interest kind, with candidates that satisfy what is asked but not the taste.
    movielens: the folder of a MovieLens copy, whose films and users take the place of the invented ones
    (`min_ratings` of each film). task: next item, every query asks for what a user took after the last `history` items.
    """
    if domain not in ("", *RELATIONS) or taste not in ("", "told", "untold"):
        raise UserError(f"domain is film or book and taste told or untold, got {domain!r} and {taste!r}")
    if task not in ("", "next item") or (movielens and domain) or (task and (taste or not movielens)):
        raise UserError("task is `next item`, with movielens and without taste; domain is of invented items")
    from rerec_engine.graph.lightgcn import item_embeddings

    world = movielens_world(Path(movielens), min_ratings) if movielens else make_world(seed, films, books, users)
    rng = np.random.default_rng([seed, 1])
    counts = {"train": train_queries, "val": val_queries, "test": test_queries}
    drawn = {
        split: [next_item(world, split, user, rng, candidates, history) for user in _users(world, count, rng)]
        if task
        else [_draw(world, split, i, seed, rng, candidates, domain, taste) for i in range(count)]
        for split, count in counts.items()
    }
    splits = {
        split: [_query(world, query, f"{split}-{i}") for i, query in enumerate(queries)]
        for split, queries in drawn.items()
    }
    extra = {
        f"{split}-{i}": {"conditions": [f"{r}={v}" for r, v in sorted(query.conditions.items())]}
        for split, queries in drawn.items()
        for i, query in enumerate(queries)
    }
    beliefs = Beliefs.about(world, belief_share, belief_rate, seed)
    phases = (
        ("short", short_traces, min(5, candidates), Beliefs()),
        ("medium", medium_traces, min(10, candidates), Beliefs()),
        ("full", full_traces, candidates, Beliefs()),
        ("biased", biased_traces, candidates, beliefs),
    )
    rng = np.random.default_rng([seed, 2])
    traces = [_trace(world, seed, i, *phase, rng) for phase in phases for i in range(phase[1])]
    graph = AttributeGraph.from_triples(
        ((item, relation, value) for item, facts in enumerate(world.facts) for relation, value in facts.items()),
        len(world.titles),
    )
    write_dataset(
        output,
        titles=world.titles,
        years=world.years,
        relations=graph.relations,
        values=graph.values,
        item_attributes=graph.item_attributes,
        interactions=world.interactions(),
        item_embeddings=item_embeddings(world.interactions(), dim=32, epochs=embedding_epochs, seed=seed, threads=1),
        splits=splits,
        data_source=DATA_SOURCE,
        extra_info=extra,
        files={"vocabulary.json": json.dumps(_vocabulary(world, drawn, traces, candidates), indent=0)},
    )
    write_traces(Path(output) / "warm_start.parquet", traces)


def _users(world: World, count: int, rng: np.random.Generator) -> list[int]:
    """So many users in random order, everyone as often as any other."""
    number = len(world.history)
    return [int(u) for _ in range(0, count, number) for u in rng.permutation(number)][:count]


def _draw(
    world: World, split: str, i: int, seed: int, rng: np.random.Generator, candidates: int, domain: str, taste: str
) -> DemoQuery:
    while True:
        query, _ = draw_query(world, "interest" if taste else CATEGORIES[i % 5], split, seed, rng, candidates)
        if domain in ("", world.domain[query.target]):
            return personal(world, query, rng, taste == "told", candidates) if taste else query


def _query(world: World, query: DemoQuery, name: str) -> Query:
    history = query.liked if query.category == "sequential" else world.history[query.user_id][-10:]
    return Query(
        id=name,
        messages=tuple(build_prompt(query.text, [world.titles[i] for i in query.candidates])),
        ground_truth=(query.target,),
        candidates=query.candidates,
        category=query.category,
        condition_num=len(query.conditions),
        user_id=query.user_id,
        history=history,
        request=query.text,
    )


def _trace(
    world: World, seed: int, i: int, phase: str, _: int, candidates: int, beliefs: Beliefs, rng: np.random.Generator
) -> Trace:
    spread = 0 if phase in ("full", "biased") else candidates // 3
    count = candidates + int(rng.integers(-spread, spread + 1))
    query, believed = draw_query(world, CATEGORIES[i % 5], "train", seed, rng, count, beliefs)
    if phase in ("short", "medium"):  # in any order, so that every relation is asked often
        names = list(believed)
        believed = {names[k]: believed[names[k]] for k in rng.permutation(len(names))}
    prompt = build_prompt(query.text, [world.titles[c] for c in query.candidates])
    return Trace(phase, prompt, trace(world, query, believed, rng, beliefs))


def _vocabulary(world: World, drawn: dict[str, list[DemoQuery]], traces: list[Trace], candidates: int) -> list[str]:
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
