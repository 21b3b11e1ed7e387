"""Groups of users, from what is known of them, and what each chooses more than others do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import scipy.sparse as sp

from rerec_engine.data.articles import article
from rerec_engine.data.profiles import age_group
from rerec_engine.worlds.catalogue.shelf import Shelf

FEWEST = 10
"""Members of a group."""
OFTEN = 0.03
"""Share of a group's choices that have what it likes, at least."""


@dataclass(frozen=True, eq=False)
class Group:
    """name: as in "I am ...". members [m]: users."""

    name: str
    attribute: int
    members: np.ndarray


def find_groups(shelf: Shelf) -> list[Group]:
    """By part, and pair of parts, of the users' profiles; none where no profile is known."""
    own = shelf.knowledge
    members: dict[tuple[str, ...], list[int]] = {}
    for user, profile in enumerate(own.profiles):
        parts = tuple(_grouped(part.strip()) for part in profile.split(",") if part.strip())
        if user < len(own.histories) and len(own.histories[user]):
            for size in (1, 2):
                for group in combinations(parts, size):
                    members.setdefault(group, []).append(user)
    groups = {group: np.array(users) for group, users in members.items() if len(users) >= FEWEST}
    if not groups:
        return []
    lengths = [len(items) for items in own.histories]
    chosen = sp.csr_matrix(
        (np.ones(sum(lengths), np.float32), np.concatenate(own.histories), np.cumsum([0, *lengths])),
        (len(lengths), shelf.size),
    )
    belongs = sp.csr_matrix(
        (
            np.ones(sum(map(len, groups.values())), np.float32),
            np.concatenate([*groups.values()]),
            np.cumsum([0, *map(len, groups.values())]),
        ),
        (len(groups), len(lengths)),
    )
    taken = belongs @ chosen  # [G, N], how often each group chose each item; sparse, as groups may be thousands
    sizes = np.maximum(np.asarray(taken.sum(1)).ravel(), 1)
    fit = np.flatnonzero(shelf.fit & (shelf.counts > 1))
    features = shelf.graph.item_attributes[:, fit].astype(np.float32)
    overall = np.asarray(chosen.sum(0)).ravel() @ features / max(chosen.nnz, 1)  # [F]
    had = sp.csr_matrix(taken @ features)  # [G, F]
    had.sort_indices()
    found = []
    for g, (group, users) in enumerate(groups.items()):
        own_features = had.indices[had.indptr[g] : had.indptr[g + 1]]
        shares = had.data[had.indptr[g] : had.indptr[g + 1]] / sizes[g]
        lift = np.where(shares >= OFTEN, shares / np.maximum(overall[own_features], 1e-9), 0)
        if len(lift) and lift.max() > 1:
            found.append(Group(said_of(group), int(fit[own_features[lift.argmax()]]), users))
    return found


def _grouped(part: str) -> str:
    """An age in years as the group that it belongs to: groups of one year are small. Other parts stay."""
    age = re.fullmatch(r"(\d+) years old", part)
    return f"{age_group(int(age[1]))} years old" if age else part


def said_of(parts: tuple[str, ...]) -> str:
    """What a user says of himself.

    >>> said_of(("25-34 years old", "programmer")), said_of(("male",)), said_of(("female", "sales or marketing"))
    ('a programmer, 25 to 34 years old', 'a man', 'a woman in sales or marketing')
    >>> said_of(("25-34 years old", "from France")), said_of(("female", "from France"))
    ('from France, 25 to 34 years old', 'a woman from France')
    """
    ages = [re.sub(r"(\d)-(\d)", r"\1 to \2", part) for part in parts if part.endswith("years old")]
    ages = [age.replace("under 18", "not yet 18") for age in ages]
    sex = next((part for part in parts if part in _PERSONS), "")
    home = next((part for part in parts if part.startswith("from ")), "")
    rest = [part for part in parts if part not in (*_PERSONS, home) and not part.endswith("years old")]
    work = rest[0] if rest else ""
    if work in _FIELDS:
        first = f"{_PERSONS[sex]} in {_FIELDS[work]}" if sex else f"in {_FIELDS[work]}"
    elif work in _STATES:
        first = f"{_PERSONS[sex]} and {work}" if sex else work
    elif work:
        first = f"{article(sex or work)} {sex} {work}".replace("  ", " ")
    else:
        first = _PERSONS.get(sex, "")
    return ", ".join(filter(None, [f"{first} {home}".strip(), *rest[1:], *ages]))


_PERSONS = {"male": "a man", "female": "a woman"}
_STATES = ("retired", "unemployed", "self-employed")
_FIELDS = {
    "clerical or administrative": "clerical or administrative work",
    "customer service": "customer service",
    "doctor or health care": "health care",
    "entertainment": "entertainment",
    "healthcare": "healthcare",
    "marketing": "marketing",
    "sales or marketing": "sales or marketing",
}
"""Occupations of MovieLens that are no nouns for a person."""
