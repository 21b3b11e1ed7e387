"""Which titles name which items: every rule, refusals, and the real answers of four models."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.errors import UserError
from rerec_engine.graph.catalogue import Catalogue, Match

TITLES = [
    "Usual Suspects, The (1995)",
    "Seven (Se7en) (1995)",
    "Hamlet (1990)",
    "Hamlet (1996)",
    "Godfather: Part II, The (1974)",
    "Hero (1992)",
    "Fargo (1996)",
    "Professional, The (a.k.a. Leon: The Professional) (1994)",
    "Shanghai Triad (Yao a yao yao dao waipo qiao) (1995)",
    "Misérables, Les (1995)",
    "Emma",
    "Boat, The (Das Boot) (1981)",
    "Bodyguard, The (1992)",
    "10 (1979)",
    "Brazil (1985) Director's Cut",
    "Brazil (1985)",
    "Heat (1995)",
    "Mad Max 2 (a.k.a. The Road Warrior) (1981)",
    "Monster, The (1994)",
    "Monster (2003)",
    "The Arrival",
]


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue(TITLES)


@pytest.mark.parametrize(
    ("title", "item", "rule"),
    [
        ("Usual Suspects, The (1995)", 0, "exact"),
        ("The Usual Suspects (1995)", 0, "article"),
        ("the usual suspects! [1995]", 0, "normalised"),
        ("Usual Suspects (1995)", 0, "normalised"),
        ("Se7en (1995)", 1, "alternative"),
        ("Seven (1995)", 1, "alternative"),
        ("Godfather 2 (1974)", 4, "numeral"),
        ("The Godfather: Part Two", 4, "missing_year"),
        ("The Usual Suspects", 0, "missing_year"),
        ("The Usual Suspects (1994)", 0, "adjacent_year"),
        ("The Usual Suspects (1995) - a great film", 0, "trailing_text"),
        ("The Usual Suspects (1995 film)", 0, "article"),
        ("Léon: The Professional (1994)", 7, "alternative"),
        ("Shanghai Triad", 8, "missing_year"),
        ("Les Miserables (1995)", 9, "normalised"),
        ("Emma", 10, "exact"),
        ("emma (1815)", 10, "missing_year"),
        ("Das Boot (The Boat) (1981)", 11, "alternative"),
        ("Unterseeboot (Das Boot) (1981)", 11, "alternative"),
        ("Brazil (1985) Director's Cut", 14, "exact"),
        ("brazil (1985) director's cut", 14, "normalised"),
        ("Brazil (1985): the final cut", 15, "trailing_text"),
        ("The Heat (1995)", 16, "normalised"),
        ("The Heat (1996)", 16, "adjacent_year"),
        ("Mad Max 2: The Road Warrior (1981)", 17, "alternative"),
        ("Mad Max 2 - The Road Warrior", 17, "missing_year"),
        ("The Monster", 18, "missing_year"),
        ("Monster", 19, "missing_year"),
        ("Monster, The (Roberto Benigni, 1994)", 18, "article"),
        ("Hamlet (Kenneth Branagh, 1996)", 3, "article"),
        ("The Arrival (1996)", 20, "missing_year"),
    ],
)
def test_rules(catalogue: Catalogue, title: str, item: int, rule: str) -> None:
    assert catalogue.explain(title) == Match(item, rule)  # type: ignore[arg-type]
    assert catalogue.match(title) == item


@pytest.mark.parametrize(
    ("title", "rule", "alternatives"),
    [
        ("Hamlet", "ambiguous", (2, 3)),
        ("Hamlet (2000)", "none", (2, 3)),
        ("Her", "none", ()),
        ("Argo (1996)", "none", ()),
        ("Yojimbo (The Bodyguard)", "none", ()),
        ("Yojimbo (The Bodyguard) (1961)", "none", ()),
        ("Ten", "none", ()),
        ("Fargo 2", "none", ()),
        ("Fargo (1996) and Hero (1992)", "none", ()),
        ("", "none", ()),
        ("...", "none", ()),
        ("(1995)", "none", ()),
        ("The Heat", "none", (16,)),
        ("A Monster", "none", (18, 19)),
        ("Usual Suspects", "none", (0,)),
        ("Arrival", "none", (20,)),
        ("Arrival (2016)", "none", (20,)),
        ("Fargo (TV Series, 2014)", "none", (6,)),
        ("Fargo (2014-2024)", "none", (6,)),
    ],
)
def test_refusals(catalogue: Catalogue, title: str, rule: str, alternatives: tuple[int, ...]) -> None:
    assert catalogue.explain(title) == Match(-1, rule, alternatives)  # type: ignore[arg-type]


def test_candidates_come_first(catalogue: Catalogue) -> None:
    assert catalogue.match("Hamlet", [3, 5]) == 3
    assert catalogue.match("Hamlet", [2, 3]) == -1
    assert catalogue.match("Fargo", [2, 3]) == 6
    # An exact year in the catalogue beats a neighbouring one among the candidates.
    near = Catalogue(["Cinderella (1950)", "Cinderella (1951)"])
    assert near.match("Cinderella (1951)", [0]) == 1
    twins = Catalogue(["Poems", "Poems"])
    assert twins.match("Poems") == -1
    assert twins.match("Poems", [1]) == 1


def test_articles(catalogue: Catalogue) -> None:
    """A candidate may have another article; an item with the same one comes first."""
    assert [catalogue.match(title, [0, 16, 20]) for title in ("The Heat", "Usual Suspects", "Arrival")] == [16, 0, 20]
    assert catalogue.match("The Heat", [0]) == -1
    assert catalogue.explain("The Heat", [16]) == Match(16, "missing_year")
    assert [catalogue.match(title, [18, 19]) for title in ("Monster", "The Monster", "A Monster")] == [19, 18, -1]
    assert catalogue.match("Monster", [18]) == 19
    same_year = Catalogue(["Monster, The (1994)", "Monster! (1994)", "Beast (The Monster) (1994)"])
    assert [same_year.match(title) for title in ("monster (1994)", "Monster (1995)")] == [1, 1]
    assert same_year.explain("the monster (1994)") == Match(0, "normalised")
    assert same_year.explain("A Monster (1994)") == Match(-1, "ambiguous", (0, 1))


def test_years_of_their_own() -> None:
    catalogue = Catalogue(["Heat", "Hamlet (1996)", "Emma"], [1995, None, 0])
    assert catalogue.years.tolist() == [1995, 1996, 0]
    assert [catalogue.match(t) for t in ("Heat (1995)", "Heat (1986)", "Hamlet (1996)", "Emma (1996)")] == [0, -1, 1, 2]
    with pytest.raises(UserError, match="needs as many years"):
        Catalogue(["Heat"], [1995, 1996])


def test_candidates_outside_the_catalogue(catalogue: Catalogue) -> None:
    with pytest.raises(UserError, match="candidate 99 "):
        catalogue.match("Hamlet", [2, 99])


def test_match_many(catalogue: Catalogue) -> None:
    found = catalogue.match_many(["Fargo", "Her", b"Misi\xc3\xa9rables\xff\x00"])
    assert found.dtype == np.int32
    assert found.tolist() == [6, -1, -1]


def test_empty_catalogue() -> None:
    assert Catalogue([]).match("Heat") == -1
    assert len(Catalogue([])) == 0


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=6, unique_by=lambda title: title.strip()))
def test_a_title_names_itself(titles: list[str]) -> None:
    found = Catalogue(titles).match_many(titles)
    wanted = [i if title.strip(" \t\n\v\f\r") else -1 for i, title in enumerate(titles)]
    # Titles that differ in blanks at their ends are the same title.
    stripped = Counter(title.strip(" \t\n\v\f\r") for title in titles)
    assert all(f == w for f, w, t in zip(found, wanted, titles, strict=True) if stripped[t.strip(" \t\n\v\f\r")] == 1)


def _movies(shared_data: Path) -> list[str]:
    lines = (shared_data / "ml-1m" / "movies.dat").read_text(encoding="latin-1").splitlines()
    return [line.split("::")[1] for line in lines]


def test_every_real_title_names_itself(shared_data: Path) -> None:
    titles = _movies(shared_data)
    assert Catalogue(titles).match_many(titles).tolist() == list(range(len(titles)))


def test_real_answers(shared_data: Path) -> None:
    """Where words and year agree with one item, it is found; no item is found whose year is more than one off."""
    titles = _movies(shared_data)
    catalogue = Catalogue(titles)
    named: Counter[str] = Counter()
    for path in sorted((shared_data / "recbenchplus" / "userbased_answers").iterdir()):
        for line in path.read_text(encoding="utf-8").splitlines():
            named.update(t for t in (part.strip() for part in json.loads(line)["response"].split("[SEP]")) if t)
    plain: dict[str, set[int]] = {}
    for item, title in enumerate(titles):
        plain.setdefault(_plain(title), set()).add(item)
    found = dict(zip(named, catalogue.match_many(list(named)).tolist(), strict=True))
    certain = {title: items for title in named if len(items := plain.get(_plain(title), set())) == 1}
    assert len(certain) > 300
    assert [(t, found[t]) for t, items in certain.items() if found[t] not in items] == []
    for title, item in found.items():
        year = re.search(r"\((\d{4})\)$", title)
        if item >= 0 and year:
            assert abs(int(year[1]) - int(catalogue.years[item])) <= 1, (title, titles[item])


def _plain(title: str) -> str:
    title = re.sub(r"^(.*), (The|A|An) (\(\d{4}\))$", r"\2 \1 \3", title)
    return " ".join(re.findall(r"[a-z0-9]+", title.lower()))
