"""The catalogue's matches are the reference's, in small catalogues whose titles differ in little."""

from __future__ import annotations

import random
from collections import Counter

import pytest
import reward_reference as reference

from rerec_engine.graph.catalogue import Catalogue

_ARTICLES = ["{}", "{}", "The {}", "{}, The", "A {}", "{}, A", "An {}", "La {}"]
_NAMES = ["Heat", "heat!", "Rocky II", "Rocky 2", "Help: Part One", "Help 1", "Seven", "A", "Émile", "Emile"]
_NOTES = ["", "", "", "", " ({})", " (a.k.a. {})", ": {}", " ({}) (aka {})"]
_YEARS = ["", "", " (199{})", " (199{})", " [199{} film]", " (TV, 199{})", " (TV 199{}-1999)", " (X Y, 199{})"]
_TAILS = ["", "", "", "", " - a film", " (TV, 1991)"]


def _title(rng: random.Random) -> str:
    name = rng.choice(_ARTICLES).format(rng.choice(_NAMES))
    note = rng.choice(_NOTES)
    note = note.format(*[rng.choice(_ARTICLES).format(rng.choice(_NAMES)) for _ in range(note.count("{}"))])
    return name + note + rng.choice(_YEARS).format(rng.choice("1123")) + rng.choice(_TAILS)


@pytest.mark.slow
def test_matches_are_the_references() -> None:
    rng, rules = random.Random(0), Counter[str]()
    for _ in range(400):
        titles = [_title(rng) for _ in range(rng.randint(1, 12))]
        years = rng.choice([None, [rng.choice([0, 1991, 1992]) for _ in titles]])
        catalogue, slow = Catalogue(titles, years), reference.ReferenceCatalogue(titles, years)
        for _ in range(10):
            asked = _title(rng) if rng.random() < 0.8 else rng.choice(titles)
            candidates = rng.choice([[], sorted(rng.sample(range(len(titles)), rng.randint(1, len(titles))))])
            match = catalogue.explain(asked, candidates)
            assert match.item_id == slow.match(asked, candidates), (asked, candidates, titles, years, match)
            rules[match.rule] += 1
    assert min(rules.values()) >= 10 and len(rules) == len(reference.RULES), rules
