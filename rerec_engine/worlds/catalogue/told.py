"""Explicit requests: all that is wanted is told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rerec_engine.worlds.catalogue.conditions import Condition, Span
from rerec_engine.worlds.catalogue.drafts import Draft, Picker, how_many
from rerec_engine.worlds.catalogue.shelf import YEAR
from rerec_engine.worlds.catalogue.spans import draw_span

SUPERLATIVES = 0.2
"""Share of the requests with numbers that ask for the newest, the cheapest."""
SEVERAL = (2, 3, 4, 5)


def draw_explicit(picker: Picker, rng: np.random.Generator) -> Draft | None:
    """One to three values."""
    conditions, target = picker.wish(rng, how_many(rng, (0.35, 0.45, 0.2)))
    return Draft("explicit", "plain", conditions, target)


def draw_exclusion(picker: Picker, rng: np.random.Generator) -> Draft | None:
    """What some item has that satisfies the rest is not wanted."""
    conditions, target = picker.wish(rng, how_many(rng, (0.7, 0.3)))
    excluded = draw_excluded(picker, rng, conditions, target)
    if excluded is None:
        return None
    if rng.random() < 0.2:
        second = draw_excluded(picker, rng, conditions, target)
        return Draft("explicit", "exclusion", tuple(dict.fromkeys((*conditions, excluded, second or excluded))), target)
    return Draft("explicit", "exclusion", (*conditions, excluded), target)


def draw_excluded(
    picker: Picker, rng: np.random.Generator, conditions: Sequence[Condition], target: int, banned: Sequence[int] = ()
) -> Condition | None:
    """An exclusion that the target meets, and that something else which satisfies the conditions does not."""
    shelf = picker.shelf
    others = np.flatnonzero(np.logical_and.reduce([shelf.mask(condition) for condition in conditions]))
    others = others[(others != target) & ~np.isin(others, banned)]
    own = shelf.graph.ids_of(target).tolist()
    relations = {shelf.graph.relations[a] for a in own}
    for _ in range(min(4, len(others))):
        ids = shelf.graph.ids_of(int(others[rng.integers(len(others))])).tolist()
        unlike = [a for a in ids if shelf.fit[a] and a not in own and shelf.graph.relations[a] in relations]
        if unlike:
            names = list(dict.fromkeys(shelf.graph.relations[a] for a in unlike))
            name = names[rng.integers(len(names))]
            values = [a for a in unlike if shelf.graph.relations[a] == name]
            return picker.condition(values[rng.integers(len(values))], excluded=True)
    return None


def draw_years(picker: Picker, rng: np.random.Generator) -> Draft | None:
    """A year, a decade, before or after, or the newest; mostly with a value or two."""
    return _draw_spans(picker, rng, [YEAR], "years")


def draw_numbers(picker: Picker, rng: np.random.Generator) -> Draft | None:
    """Prices, players, pages; sometimes two of them."""
    fields = [field for field in picker.shelf.numbers if field != YEAR]
    chosen = [fields[i] for i in rng.permutation(len(fields))[: how_many(rng, (0.75, 0.25))]]
    return _draw_spans(picker, rng, chosen, "numbers")


def _draw_spans(picker: Picker, rng: np.random.Generator, fields: Sequence[str], form: str) -> Draft | None:
    shelf = picker.shelf
    wish, target = picker.wish(rng, how_many(rng, (0.65, 0.35)))
    if rng.random() < SUPERLATIVES and not shelf.numbers[fields[0]].ranges:
        how = ("most", "least")[int(rng.random() < (0.3 if fields[0] == YEAR else 0.7))]
        best = Condition(fields[0], span=Span(how))
        found = np.flatnonzero(shelf.mask(best, np.logical_and.reduce([shelf.mask(condition) for condition in wish])))
        return Draft("explicit", form, (*wish, best), int(found[0])) if len(found) else None
    spans = [(field, draw_span(rng, field, shelf.numbers[field], target)) for field in fields]
    told = tuple(Condition(field, span=span) for field, span in spans if span is not None)
    if not told:
        return None
    return Draft("explicit", form, told if rng.random() < 0.15 else (*wish, *told), target)


def draw_several(picker: Picker, rng: np.random.Generator) -> Draft | None:
    """Two to five items."""
    conditions, target = picker.wish(rng, how_many(rng, (0.7, 0.3)))
    return Draft("explicit", "several", conditions, target, count=SEVERAL[how_many(rng, (0.3, 0.4, 0.2, 0.1)) - 1])
