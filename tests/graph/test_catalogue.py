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


PSYCHOS = ["Psycho (1960)", "Psycho (1998)"]
OLD, NEW, NONE = 0, 1, -1


@pytest.mark.parametrize(
    ("title", "item"),
    [
        ("Psycho (1960, Alfred Hitchcock)", OLD),
        ("Psycho (1960; dir. Alfred Hitchcock)", OLD),
        ("Psycho (Hitchcock 1960)", OLD),
        ("Psycho (Hitchcock, 1960)", OLD),
        ("Psycho [Hitchcock 1960]", OLD),
        ("Psycho (directed by Alfred Hitchcock in 1960)", OLD),
        ("Psycho (Gus Van Sant's 1998 remake)", NEW),
        ("Psycho (1998 remake of the 1960 film)", NEW),
        ("Psycho (a remake of the 1960 film, 1998)", NEW),
        ("Psycho (from 1960)", OLD),
        ("Psycho (1960 film)", OLD),
        ("Psycho (released June 16, 1960)", OLD),
        ("Psycho (16 June 1960)", OLD),
        ("Psycho (1960-06-16)", OLD),
        ("Psycho (USA) (1960)", OLD),
        ("Psycho (Hitchcock) (USA, 1960, b/w)", OLD),
        ("Psycho (Hitchcock 1960) - a classic", OLD),
        ("Psycho（1960）", OLD),
        ("Psycho（1960年、ヒッチコック）", OLD),
        ("Psycho [1960]", OLD),
        ("Psycho 【1960】", OLD),
        ("Psycho 1960", OLD),
        ("Psycho, 1960", OLD),
        ("Psycho - 1960", OLD),
        ("Psycho – 1960 film", OLD),
        ("Psycho from 1960", OLD),
        ("Psycho, the film from 1960", OLD),
        ("Psycho 1960)", OLD),
        ("Psycho (1961, Alfred Hitchcock)", OLD),  # one apart, as "(1961)" is
        # Another year is another film, one that is not clear is none.
        ("Psycho (1978, Alfred Hitchcock)", NONE),
        ("Psycho (someone 1978)", NONE),
        ("Psycho 1978", NONE),
        ("Psycho from 1997", NONE),  # without a bracket the years must be equal
        ("Psycho (a remake of the 1960 film)", NONE),
        ("Psycho (a remake of Psycho, 1960)", NONE),
        ("Psycho (based on the 1959 novel)", NONE),
        ("Psycho (not the 1960 one)", NONE),
        ("Psycho (1960 or 1998)", NONE),
        ("Psycho (1960s)", NONE),
        ("Psycho (Hitchcock 1960), Psycho (Van Sant 1998)", NONE),
        ("Psycho", NONE),
        ("Psycho (Hitchcock)", NONE),
    ],
)
def test_a_year_that_is_told_in_other_words(title: str, item: int) -> None:
    both = Catalogue(PSYCHOS)
    assert both.match(title) == item
    assert both.match(title.lower()) == item
    undated = title.startswith("Psycho") and title in ("Psycho", "Psycho (Hitchcock)")
    for i, year in enumerate(("1960", "1998")):
        alone = Catalogue([f"Psycho ({year})"])
        assert alone.match(title) == (0 if item == i or undated else -1)
        assert both.match(title, [i]) == (i if item == i or undated else item)


@pytest.mark.parametrize(
    ("titles", "title", "item"),
    [
        (["2001: A Space Odyssey (1968)"], "2001: A Space Odyssey (1968)", 0),
        (["2001: A Space Odyssey (1968)"], "2001: a space odyssey", 0),
        (["2001: A Space Odyssey (1968)"], "2001: A Space Odyssey (Kubrick 1968)", 0),
        (["2001: A Space Odyssey (1968)"], "2001: A Space Odyssey (2001)", -1),
        (["1984 (1984)"], "1984", 0),
        (["1984 (1984)"], "1984 (Michael Radford 1984)", 0),
        (["1984 (1984)"], "1984 (1956)", -1),
        (["Blade Runner 2049 (2017)", "Blade Runner (1982)"], "Blade Runner 2049", 0),
        (["Blade Runner (1982)"], "Blade Runner 2049", -1),
        (["Class of 1984 (1982)", "Class (1984)"], "class of 1984", 0),
        (["Class (1984)"], "Class of 1984", -1),
        (["Airport 1975 (1974)"], "Airport 1975", 0),
        (["Airport (1970)"], "Airport 1975", -1),
        (["Nineteen (Class of 1984) (1982)"], "nineteen (class of 1984)", 0),
        (["Nineteen (Class of 1984) (1982)"], "Class of 1984", 0),
        # The catalogue may tell its years in other words too.
        (["Psycho (1998, Gus Van Sant)"], "Psycho (1960)", -1),
        (["Psycho (1998, Gus Van Sant)"], "Psycho (1998)", 0),
        (["Psycho (1998, Gus Van Sant)"], "Psycho", 0),
        (["Psycho (a remake of the 1960 film)"], "Psycho (1960)", -1),
        (["Emma (published in 1815)", "Emma (1996)"], "Emma (Jane Austen 1815)", 0),
        (["東京物語（1953年）"], "東京物語 (1953)", 0),
        (["東京物語（1953年）"], "東京物語 (1963)", -1),
        (["Emma"], "Emma (Douglas McGrath 1996)", 0),
        # Numerals
        (["Ocean's Eleven (2001)"], "Ocean's 11", 0),
        (["Ocean's Thirteen (2007)"], "Oceans XIII", 0),
        (["Friday the 13th: Chapter XIV"], "Friday the Thirteenth: Chapter Fourteen", 0),
        (["Rocky XX (2050)"], "Rocky Twenty", 0),
        (["28 Days Later (2002)"], "Twenty Eight Days Later", 0),
        (["Thirty-Nine Steps, The (1935)"], "The 39 Steps", 0),
        (["21 (2008)"], "Twenty-One", -1),
        (["13 (2006)"], "XIII", -1),
        (["xXx: State of the Union (2005)"], "30: State of the Union", -1),
    ],
)
def test_years_and_numerals_in_names(titles: list[str], title: str, item: int) -> None:
    assert Catalogue(titles).match(title) == item


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
