"""MovieLens as a world of the demo: real films with genres and year, real users, and what they watched, in order."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np

from rerec_engine.data.counts import Counts
from rerec_engine.data.movielens import MIN_HISTORY, find_movielens
from rerec_engine.data.profiles import read_users
from rerec_engine.data.sources import read_items, read_ratings
from rerec_engine.errors import UserError
from rerec_engine.worlds.demo import DATA_SOURCE, draw_requests
from rerec_engine.worlds.options import FilmOptions, NextItemOptions
from rerec_engine.worlds.requests import DemoQuery, liked_text
from rerec_engine.worlds.world import World
from rerec_engine.worlds.writing import write_world

MOVIE = "movie"
RELATIONS = {MOVIE: ("Genre", "Made_in", "Second_genre")}
GROUP = 10  # members that a demographic group has at least
AGES = ((30, "young"), (50, "middle-aged"))
NOUNS = {
    "entertainment": "entertainer",
    "healthcare": "health-worker",
    "marketing": "marketer",
    "retired": "pensioner",
}  # of ML-100K's occupations that name no person


def movielens_world(folder: Path, min_ratings: int = 50) -> World:
    """The films with at least `min_ratings` ratings and a year; every rating is a choice, whatever its value.

    Genre and Second_genre are the first two that the catalogue names, where it names two. A user's last two films are
    held out, one for val and one for test; users with fewer than five are left out. Raises UserError where the ratings
    have no times.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such directory")
    sources = find_movielens(folder)
    if sources.interactions.suffix == ".txt":
        raise UserError(f"{sources.interactions}: has no times; needed is NAME.inter or ratings.dat")
    counts = Counts()
    items = read_items(sources.catalogue, counts)
    ratings = read_ratings(sources.interactions, items, counts)
    genres: list[list[str]] = [[] for _ in items.titles]
    for item, _, genre in items.triples:
        genres[item].append(genre.lower())
    often = np.bincount(ratings.item, minlength=len(items.titles)) >= min_ratings
    kept = [i for i, year in enumerate(items.years) if often[i] and year is not None and genres[i]]
    if len(kept) < 40:
        raise UserError(f"{folder}: {len(kept)} films have {min_ratings} ratings, a year and a genre; 40 are needed")
    new = {old: i for i, old in enumerate(kept)}
    facts = tuple(_facts(genres[old], items.years[old]) for old in kept)
    watched = [[new[i] for i in ratings.item[edges].tolist() if i in new] for edges in ratings.sequences()]
    profiles = read_users(sources.users, counts) if sources.users else {}
    groups = [_group(profiles.get(user, "")) for user in ratings.users]
    users = [u for u, own in enumerate(watched) if len(own) >= MIN_HISTORY + 2]
    history = tuple(tuple(watched[u][:-2]) for u in users)
    user_group = tuple(groups[u] for u in users)
    return World(
        titles=tuple(items.titles[old] for old in kept),
        years=tuple(items.years[old] or 0 for old in kept),
        domain=(MOVIE,) * len(kept),
        relations=RELATIONS,
        genres=tuple(sorted({fact["Genre"] for fact in facts})),
        facts=facts,
        group_genre=_favourites(facts, history, user_group),
        user_group=user_group,
        history=history,
        held_out=tuple((watched[u][-2], watched[u][-1]) for u in users),
        source_ids=tuple(items.source_ids[old] or "" for old in kept),
        user_ids=tuple(ratings.user_ids[u] for u in users),
    )


def write_film_requests(output: Path, options: FilmOptions) -> None:
    """The demo's kinds of requests over MovieLens. Raises UserError."""
    world = movielens_world(options.movielens, options.min_ratings)
    write_world(output, world, draw_requests(world, options), options, DATA_SOURCE)


def write_next_item(output: Path, options: NextItemOptions) -> None:
    """Every query asks for what a user took after the last films. Raises UserError."""
    world = movielens_world(options.movielens, options.min_ratings)
    rng = np.random.default_rng([options.seed, 1])
    drawn = {
        split: [next_item(world, split, u, rng, options.candidates, options.history) for u in _users(world, count, rng)]
        for split, count in options.counts.items()
    }
    write_world(output, world, drawn, options, DATA_SOURCE)


def next_item(
    world: World, split: str, user: int, rng: np.random.Generator, candidates: int = 20, length: int = 10
) -> DemoQuery:
    """What a user took after the last `length` films, among films never met. Train: at any place of the history."""
    sequence = (*world.history[user], *world.held_out[user])
    place = len(sequence) - {"test": 1, "val": 2}.get(split, 0)
    if split == "train":
        known = len(world.history[user])
        place = int(rng.integers(min(MIN_HISTORY, known - 1), known))
    liked = sequence[max(0, place - length) : place]
    never = np.setdiff1d(np.arange(len(world.titles)), sequence)
    chosen = rng.permutation([sequence[place], *rng.choice(never, candidates - 1, replace=False)])
    text = liked_text(world, liked, f"Find a {MOVIE}")
    return DemoQuery("sequential", text, {}, "", sequence[place], tuple(int(i) for i in chosen), user, liked)


def _users(world: World, count: int, rng: np.random.Generator) -> list[int]:
    """So many users in random order, everyone as often as any other."""
    number = len(world.history)
    return [int(u) for _ in range(0, count, number) for u in rng.permutation(number)][:count]


def _facts(genres: list[str], year: int | None) -> dict[str, str]:
    facts = {"Genre": genres[0], "Made_in": str(year)}
    return {**facts, "Second_genre": genres[1]} if len(genres) > 1 else facts


def _group(profile: str) -> tuple[str, str]:
    """("24 years old, male, technician") -> ("young", "technician"); empty where no occupation is told."""
    age, _, job = (*profile.split(", "), "", "")[:3]
    if not job:
        return "", ""
    years = int(re.findall(r"\d+", age)[0])  # of "25-34 years old" the first
    return next((name for limit, name in AGES if years < limit), "senior"), NOUNS.get(job, job)


def _favourites(
    facts: tuple[dict[str, str], ...], history: tuple[tuple[int, ...], ...], groups: tuple[tuple[str, str], ...]
) -> dict[tuple[str, str], str]:
    """The genre whose share in a group's films exceeds that in all films the most (as a ratio), by group."""
    sizes = Counter(group for group in groups if group[1])
    watched: dict[tuple[str, str], Counter[str]] = {group: Counter() for group, size in sizes.items() if size >= GROUP}
    overall: Counter[str] = Counter()
    for group, items in zip(groups, history, strict=True):
        own = Counter(facts[item]["Genre"] for item in items)
        overall += own
        if group in watched:
            watched[group] += own
    return {group: max(sorted(own), key=lambda g: own[g] / overall[g]) for group, own in watched.items() if own}
