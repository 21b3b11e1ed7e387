"""Requests of which a part follows from items: the designer of X, what two liked ones share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rerec_engine.worlds.catalogue.conditions import Condition
from rerec_engine.worlds.catalogue.drafts import Draft, Picker, how_many
from rerec_engine.worlds.catalogue.shelf import MOST
from rerec_engine.worlds.catalogue.told import draw_excluded

EXCLUDING = 0.2
"""Share of the implicit requests that also exclude something."""
MOST_SHARED = 2
PAIRS = 8
"""Pairs of one user's items that are tried."""


def draw_implicit(picker: Picker, rng: np.random.Generator) -> Draft | None:
    """A value is that of another item."""
    hop = _hop(picker, rng)
    if hop is None:
        return None
    condition, target, via = hop
    told = _told(picker, rng, target, condition.attributes, how_many(rng, (0.3, 0.5, 0.2)) - 1)
    excluded = None
    if rng.random() < EXCLUDING:
        excluded = draw_excluded(picker, rng, (*told, condition), target, (via,))
    wish = (*told, excluded) if excluded else told
    form = "exclusion" if excluded else "plain"
    return Draft("implicit", form, (*wish, condition), target, inferred=len(wish), via=via)


def draw_misinformed(picker: Picker, rng: np.random.Generator) -> Draft | None:
    """The same, with a false claim about that item."""
    hop = _hop(picker, rng)
    if hop is None:
        return None
    condition, target, via = hop
    values = picker.shelf.by_relation[condition.name]
    false = int(values[rng.integers(len(values))])
    if false in condition.attributes:
        return None
    told = _told(picker, rng, target, (*condition.attributes, false), how_many(rng, (0.3, 0.5, 0.2)) - 1)
    return Draft("misinformed", "plain", (*told, condition), target, inferred=len(told), via=via, false=false)


def draw_interest(picker: Picker, rng: np.random.Generator) -> Draft | None:
    """What two liked items share, of one user's where there are users."""
    user, liked = _liked(picker, rng)
    if len(liked) < 2:
        return None
    shelf = picker.shelf
    shared = shelf.graph.shared_by(liked)
    shared = shared[shelf.counts[shared] <= MOST * shelf.size]
    if not 1 <= len(shared) <= MOST_SHARED or not shelf.fit[shared].all():
        return None
    right = np.setdiff1d(shelf.graph.items_with(shared), liked)
    if not len(right):
        return None
    target = int(right[rng.integers(len(right))])
    told = _told(picker, rng, target, tuple(shared.tolist()), int(rng.random() < 0.4))
    conditions = (*told, *(picker.condition(int(a)) for a in shared))
    return Draft("interest", "plain", conditions, target, inferred=len(told), liked=liked, user=user)


def draw_demographics(picker: Picker, rng: np.random.Generator) -> Draft | None:
    """What a group of users chooses more than others do."""
    group = picker.groups[int(rng.integers(len(picker.groups)))]
    target = picker.holder(rng, group.attribute)
    told = _told(picker, rng, target, (group.attribute,), how_many(rng, (0.1, 0.6, 0.3)) - 1)
    conditions = (*told, picker.condition(group.attribute))
    user = int(group.members[rng.integers(len(group.members))])
    draft = Draft("demographics", "plain", conditions, target, inferred=len(told), group=group.name)
    return replace(draft, user=user)


def _hop(picker: Picker, rng: np.random.Generator) -> tuple[Condition, int, int] | None:
    """A condition on any of the values that an item has of a relation; another item that satisfies it; that item."""
    shelf = picker.shelf
    attribute = picker.attribute(rng)
    items = shelf.holders(attribute)
    if len(items) < 2:
        return None
    target, via = (int(items[i]) for i in rng.permutation(len(items))[:2])
    name = shelf.graph.relations[attribute]
    values = tuple(a for a in shelf.graph.ids_of(via).tolist() if shelf.graph.relations[a] == name)
    condition = Condition(name, values)
    if not shelf.fit[list(values)].all() or shelf.mask(condition).sum() > MOST * shelf.size:
        return None
    return condition, target, via


def _told(
    picker: Picker, rng: np.random.Generator, target: int, taken: tuple[int, ...], count: int
) -> tuple[Condition, ...]:
    chosen: list[int] = []
    while len(chosen) < count and (more := picker.further(rng, target, (*taken, *chosen))) >= 0:
        chosen.append(more)
    return tuple(picker.condition(a) for a in chosen)


def _liked(picker: Picker, rng: np.random.Generator) -> tuple[int, tuple[int, ...]]:
    """A user (-1: none) and two items; none where no pair was found."""
    shelf = picker.shelf
    histories = shelf.knowledge.histories
    if len(histories):
        user = int(rng.integers(len(histories)))
        own = histories[user]
        for _ in range(PAIRS if len(own) > 1 else 0):
            a, b = (int(own[rng.integers(len(own))]) for _ in range(2))
            shared = np.intersect1d(shelf.graph.ids_of(a), shelf.graph.ids_of(b), assume_unique=True)
            shared = shared[shelf.counts[shared] <= MOST * shelf.size]
            if a != b and 1 <= len(shared) <= MOST_SHARED and shelf.counts[shared].min() > 2:
                return user, (a, b)
    if len(histories) and rng.random() < 0.5:
        return -1, ()
    items = shelf.holders(picker.attribute(rng))
    return -1, tuple(int(items[i]) for i in rng.permutation(len(items))[:2])
