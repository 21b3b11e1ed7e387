"""The demo's world: an invented catalogue of films and books, users with tastes, and their histories, from a seed.

Its structure is that of RecBench+ (arXiv 2503.09382): items with relations to attributes, users in demographic groups.
Names are built from word lists; no real person or work is meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from rerec_engine.data.description import Wording
from rerec_engine.errors import UserError

GENRES = ("drama", "comedy", "thriller", "western", "romance", "fantasy", "mystery", "war")
PLACES = ("Norway", "Brazil", "Kenya", "Japan", "Canada", "Italy")
AGES = ("young", "middle-aged", "senior")
OCCUPATIONS = ("engineer", "teacher", "farmer", "student", "nurse", "lawyer")
FIRST = (
    "Ann",
    "Bo",
    "Carl",
    "Dee",
    "Eli",
    "Fay",
    "Gus",
    "Hal",
    "Ida",
    "Jon",
    "Kim",
    "Lea",
    "Max",
    "Nia",
    "Otto",
    "Pia",
)
LAST = ("Bell", "Lind", "Moss", "Fox", "Hart", "Stone", "Wolfe", "Reyes", "Okoro", "Tanaka", "Novak", "Quist", "Ferro")
ADJECTIVES = (
    "Silent", "Iron", "Golden", "Broken", "Hidden", "Crimson", "Distant", "Frozen", "Hollow", "Burning",
    "Gentle", "Restless", "Pale", "Secret", "Wandering", "Last", "Bitter", "Painted", "Endless", "Quiet",
)  # fmt: skip
NOUNS = (
    "River", "Garden", "Harbour", "Winter", "Mirror", "Orchard", "Station", "Mountain", "Lantern", "Bridge",
    "Voyage", "Kingdom", "Letter", "Island", "Shadow", "Summer", "Railway", "Castle", "Desert", "Melody",
)  # fmt: skip
WORDING = {
    "Genre": Wording("", "genre"),
    "Directed_by": Wording("directed by", "director"),
    "Starring": Wording("starring", "star"),
    "Written_by": Wording("written by", "writer"),
    "Set_in": Wording("set in", "place"),
    "Made_in": Wording("from", "year"),
    "Second_genre": Wording("that is also", "second genre"),
}
RELATIONS = {"film": ("Genre", "Directed_by", "Starring"), "book": ("Genre", "Written_by", "Set_in")}


@dataclass(frozen=True)
class World:
    """The catalogue and its users. N items, U users."""

    titles: tuple[str, ...]  # [N], with the year
    years: tuple[int, ...]  # [N]
    domain: tuple[str, ...]  # [N], film or book
    relations: Mapping[str, tuple[str, str, str]]  # of a domain's items; Genre is the first
    genres: tuple[str, ...]
    facts: tuple[dict[str, str], ...]  # [N], relation -> value; only Genre and the second relation need be there
    group_genre: dict[tuple[str, str], str]  # (age, occupation) -> the genre that the group likes
    user_group: tuple[tuple[str, str], ...]  # [U]
    history: tuple[tuple[int, ...], ...]  # [U], item ids, oldest first
    held_out: tuple[tuple[int, int], ...] = ()  # [U], what each user took after that: for val and for test
    source_ids: tuple[str, ...] = ()  # [N], of a world that is not invented; user_ids [U] likewise
    user_ids: tuple[str, ...] = ()

    @cached_property
    def domain_items(self) -> dict[str, np.ndarray]:
        """Item ids by domain, int64."""
        return {d: np.array([i for i, own in enumerate(self.domain) if own == d]) for d in self.relations}

    @cached_property
    def _values(self) -> dict[str, np.ndarray]:
        relations = {r for f in self.facts for r in f}
        return {r: np.array([f.get(r, "") for f in self.facts]) for r in relations}

    def matches(self, items: np.ndarray, conditions: dict[str, str]) -> np.ndarray:
        """How many of the conditions each item satisfies: [len(items)] int64."""
        return sum(
            ((self._values[r][items] == v).astype(np.int64) for r, v in conditions.items()), np.zeros(1, np.int64)
        )

    def interactions(self) -> sp.csr_matrix:
        """User-item matrix [U, N] float32 of ones."""
        users = np.repeat(np.arange(len(self.history)), [len(h) for h in self.history])
        items = np.concatenate([np.asarray(h) for h in self.history])
        ones = np.ones(len(items), dtype=np.float32)
        return sp.csr_matrix((ones, (users, items)), shape=(len(self.history), len(self.titles)))


def _people(rng: np.random.Generator, count: int, taken: set[str]) -> list[str]:
    names = [f"{f} {last}" for f in FIRST for last in LAST if f"{f} {last}" not in taken]
    chosen = [names[i] for i in rng.permutation(len(names))[:count]]
    taken.update(chosen)
    return chosen


def make_world(seed: int, films: int = 200, books: int = 100, users: int = 300, history: int = 20) -> World:
    """Generate the world of `seed`. At most 400 items, since titles are pairs of words."""
    items = films + books
    if not (films >= 40 and books >= 40 and items <= len(ADJECTIVES) * len(NOUNS)):
        raise UserError(f"the demo takes 40 or more films and books and at most 400 items, got {films} + {books}")
    rng = np.random.default_rng(seed)
    taken: set[str] = set()
    values = {
        "Genre": list(GENRES),
        "Set_in": list(PLACES),
        "Directed_by": _people(rng, 12, taken),
        "Starring": _people(rng, 12, taken),
        "Written_by": _people(rng, 10, taken),
    }
    pairs = rng.permutation(len(ADJECTIVES) * len(NOUNS))[:items]
    years = tuple(int(y) for y in rng.integers(1950, 2020, items))
    titles = tuple(
        f"{'The ' if k % 2 else ''}{ADJECTIVES[k // len(NOUNS)]} {NOUNS[k % len(NOUNS)]} ({y})"
        for k, y in zip(pairs, years, strict=True)
    )
    domain = tuple("film" if i < films else "book" for i in range(items))
    facts = tuple({r: values[r][int(rng.integers(len(values[r])))] for r in RELATIONS[d]} for d in domain)
    groups = [(a, o) for a in AGES for o in OCCUPATIONS]
    group_genre = {g: GENRES[int(rng.integers(len(GENRES)))] for g in groups}
    user_group = tuple(groups[int(rng.integers(len(groups)))] for _ in range(users))
    histories = []
    for u in range(users):
        taste = {r: values[r][int(rng.integers(len(values[r])))] for r in values if r != "Genre"}
        taste["Genre"] = group_genre[user_group[u]]
        weight = np.array([1.0 + 6.0 * sum(f[r] == taste[r] for r in f) for f in facts])
        histories.append(tuple(int(i) for i in rng.choice(items, history, replace=False, p=weight / weight.sum())))
    return World(titles, years, domain, RELATIONS, GENRES, facts, group_genre, user_group, tuple(histories))
