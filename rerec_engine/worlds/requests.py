"""The requests of a made world, of RecBench+'s five kinds.

Every query boils down to a set of conditions (relation = value). The kinds differ in what has to be inferred:
explicit: all are told; implicit: one is that of another item (two hops); misinformed: one is told with a false claim
about another item, whose true value counts; interest: one is what two liked items share; demographics: the genre is the
one that the user's group likes.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rerec_engine.data.articles import with_article
from rerec_engine.data.prompts import OPENINGS
from rerec_engine.errors import UserError
from rerec_engine.types import CATEGORIES
from rerec_engine.worlds.beliefs import Beliefs
from rerec_engine.worlds.world import WORDING, World

MOST_DRAWS = 10_000
"""Of a request, before it is given up: one in some ten falls into val, and not each can be said."""


@dataclass(frozen=True)
class DemoQuery:
    """A request with what is behind it."""

    category: str
    text: str
    conditions: dict[str, str]  # what the answer must satisfy, in the order in which a trace checks it
    inference: str  # the trace's lines before the candidates are checked; "" where nothing is inferred
    target: int
    candidates: tuple[int, ...]
    user_id: int
    liked: tuple[int, ...] = ()


def split_of(conditions: dict[str, str], seed: int) -> str:
    """The split that a condition set belongs to: no set of val or test ever occurs in train."""
    key = f"{seed}|" + "|".join(f"{r}={v}" for r, v in sorted(conditions.items()))
    bucket = zlib.crc32(key.encode()) % 100
    return "test" if bucket < 15 else "val" if bucket < 25 else "train"


def _conditions(world: World, target: int, category: str, rng: np.random.Generator) -> dict[str, str]:
    facts = world.facts[target]
    _, second, third = world.relations[world.domain[target]]
    other = second if rng.random() < 0.6 or third not in facts else third
    names = ["Genre", other]
    if category == "explicit":
        draw = rng.random()
        names = [other] if draw < 0.05 else ["Genre", second, third] if draw < 0.25 else names
    return {r: facts[r] for r in names if r in facts}


def _candidates(
    world: World, target: int, conditions: dict[str, str], rng: np.random.Generator, count: int
) -> tuple[int, ...]:
    """The target and count - 1 items that miss some condition, up to 40 % of them hard: they satisfy another."""
    pool = rng.permutation(world.domain_items[world.domain[target]])
    hits = world.matches(pool, conditions)
    hard = pool[(hits > 0) & (hits < len(conditions))][: int(0.4 * count)]
    rest = pool[(hits < len(conditions)) & ~np.isin(pool, hard)]
    chosen = np.concatenate([[target], hard, rest[: count - 1 - len(hard)]])
    return tuple(int(i) for i in rng.permutation(chosen))


def _wish(opening: str, conditions: dict[str, str], noun: str) -> str:
    genre = f" {conditions['Genre']}" if "Genre" in conditions else ""
    rest = "".join(f" {WORDING[r].clause} {v}" for r, v in conditions.items() if r != "Genre")
    told = f"{genre} {noun}{rest}"
    return with_article(opening, told) + told


def liked_text(world: World, liked: Sequence[int], wish: str) -> str:
    """A wish for something like the liked items."""
    return f"I liked {' and '.join(world.titles[i] for i in liked)} . {wish} like them"


def _pick(items: list[int], rng: np.random.Generator) -> int:
    return items[int(rng.integers(len(items)))]


def _phrase(
    world: World, category: str, target: int, conditions: dict[str, str], rng: np.random.Generator, beliefs: Beliefs
) -> tuple[str, str, dict[str, str], tuple[int, ...]] | None:
    """Text, inference lines, conditions as the teacher believes them, liked items; None where the world lacks items."""
    noun, opening = world.domain[target], OPENINGS[int(rng.integers(len(OPENINGS)))]
    believed = dict(conditions)
    if category == "explicit":
        return _wish(opening, conditions, noun), "", believed, ()
    peers = [int(i) for i in world.domain_items[noun] if i != target]
    relation = next(r for r in conditions if r != "Genre")
    rest = {r: v for r, v in conditions.items() if r != relation}
    same = [i for i in peers if world.facts[i].get(relation) == conditions[relation]]
    if category == "implicit":
        hop = "Genre" if rng.random() < 0.25 else relation
        same = [i for i in peers if world.facts[i].get(hop) == conditions[hop]]
        if not same:
            return None
        via = _pick(same, rng)
        told = {r: v for r, v in conditions.items() if r != hop}
        believed[hop] = beliefs.tell(world, via, hop, rng)
        text = f"{_wish(opening, told, noun)} with the {WORDING[hop].role} of {world.titles[via]}"
        return text, f" {world.titles[via]} {believed[hop]}\n", believed, ()
    if category == "misinformed":
        wrong = [i for i in peers if world.facts[i].get(relation, conditions[relation]) != conditions[relation]]
        if not same or not wrong:
            return None
        via, false = _pick(same, rng), world.facts[_pick(wrong, rng)][relation]
        text = f"{_wish(opening, rest, noun)} {WORDING[relation].clause} {false} as in {world.titles[via]}"
        return text, f" {world.titles[via]} {conditions[relation]} not {false}\n", believed, ()
    if category == "interest":
        others = [r for r in world.relations[noun] if r != relation]
        for _ in range(20):
            if len(same) < 2:
                return None
            a, b = (same[i] for i in rng.permutation(len(same))[:2])
            if not any(r in world.facts[a] and world.facts[a][r] == world.facts[b].get(r) for r in others):
                text = liked_text(world, (a, b), _wish(opening, rest, noun))
                both = f" {conditions[relation]}\n"
                return text, f" {world.titles[a]}{both} {world.titles[b]}{both}", believed, (a, b)
        return None
    groups = [g for g, genre in world.group_genre.items() if genre == conditions["Genre"]]
    if not groups:
        return None
    age, job = groups[int(rng.integers(len(groups)))]
    told = {r: v for r, v in conditions.items() if r != "Genre"}
    text = f"I am a {age} {job} . {_wish(opening, told, noun)} for people like me"
    return text, f" {age} {job} {conditions['Genre']}\n", believed, ()


def draw_query(
    world: World, category: str, split: str, seed: int, rng: np.random.Generator, candidates: int = 20,
    beliefs: Beliefs | None = None,
) -> tuple[DemoQuery, dict[str, str]]:  # fmt: skip
    """A query of the split, and its conditions as the teacher with `beliefs` understands them.

    Raises UserError where the world has none: say, where no two items share a year.
    """
    if category not in CATEGORIES:
        raise ValueError(f"category must be one of {CATEGORIES}, got {category!r}")
    for _ in range(MOST_DRAWS):
        target = int(rng.integers(len(world.titles)))
        conditions = _conditions(world, target, category, rng)
        if split_of(conditions, seed) != split:
            continue
        phrase = _phrase(world, category, target, conditions, rng, beliefs or Beliefs())
        if phrase is None:
            continue
        text, inference, believed, liked = phrase
        chosen = _candidates(world, target, conditions, rng, candidates)
        user = _user_for(world, category, text, liked, rng)
        return DemoQuery(category, text, conditions, inference, target, chosen, user, liked), believed
    items = f"too few of the {len(world.titles)} items share a value"
    raise UserError(f"no {category} request of the {split} split can be made: {items}")


def personal(world: World, query: DemoQuery, rng: np.random.Generator, told: bool, count: int = 20) -> DemoQuery:
    """An interest query whose wrong candidates, as far as there are any, are of the genre asked for but not what the
    liked items share. told: whether the prompt tells what was liked."""
    pool = rng.permutation(world.domain_items[world.domain[query.target]])
    genre = {"Genre": query.conditions["Genre"]}
    missed = world.matches(pool, query.conditions) < len(query.conditions)
    tempting = pool[missed & (world.matches(pool, genre) == 1)][: (count - 1) // 2]
    rest = pool[missed & ~np.isin(pool, tempting)][: count - 1 - len(tempting)]
    chosen = rng.permutation(np.concatenate([[query.target], tempting, rest]))
    text = query.text if told else query.text.partition(" . ")[2].removesuffix(" like them")
    return replace(query, text=text, candidates=tuple(int(i) for i in chosen))


def _user_for(world: World, category: str, text: str, liked: tuple[int, ...], rng: np.random.Generator) -> int:
    if category == "demographics":
        group = tuple(text.split()[3:5])
        members = [u for u, g in enumerate(world.user_group) if g == group]
        if members:
            return _pick(members, rng)
    if liked:
        overlap = [len(set(liked) & set(h)) for h in world.history]
        most = max(overlap)
        return _pick([u for u, n in enumerate(overlap) if n == most], rng)
    return int(rng.integers(len(world.history)))
