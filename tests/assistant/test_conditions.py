"""Conditions as masks over the films, and what a follow-up makes of the request before it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.assistant.conditions import KIND, YEAR, Condition, Request, merge, satisfied
from rerec_engine.data.dataset import Dataset
from rerec_engine.graph.attributes import AttributeGraph

RELATIONS = {"Crime": "Genre", "Drama": "Genre", "Horror": "Genre", "Romance": "Genre"}


def having(films: Dataset, *values: str, excluded: bool = False) -> Condition:
    relation = RELATIONS.get(values[0], "Directed_by")
    ids = tuple(films.attributes.find(relation, value) for value in values)
    assert min(ids) >= 0
    return Condition(("not " if excluded else "") + " or ".join(values), relation, ids, excluded=excluded)


def years(*spans: tuple[int, int], excluded: bool = False) -> Condition:
    return Condition(str(spans), YEAR, years=spans, excluded=excluded)


def titles(films: Dataset, mask: np.ndarray) -> set[str]:
    assert mask.dtype == bool
    assert mask.shape == (len(films.titles),)
    return {films.titles[i][:-7] for i in mask.nonzero()[0]}


def unknown_year(films: Dataset, item: int) -> Dataset:
    """With neither year nor bracketed year in the title."""
    years = tuple(0 if i == item else year for i, year in enumerate(films.years))
    return replace(films, years=years, titles=tuple(t[:-7] if i == item else t for i, t in enumerate(films.titles)))


def test_any_of_the_attributes_is_enough(films: Dataset) -> None:
    assert titles(films, having(films, "Crime").mask(films)) == {"Heat", "Collateral"}
    assert titles(films, having(films, "Crime", "Romance").mask(films)) == {"Heat", "Collateral", "Amélie"}
    assert titles(films, having(films, "Crime", excluded=True).mask(films)) == {film[:-7] for film in films.titles} - {
        "Heat",
        "Collateral",
    }


def test_without_attributes_nothing_satisfies_and_everything_the_exclusion(films: Dataset) -> None:
    assert not Condition("Genre: western", "Genre").mask(films).any()
    assert Condition("not Genre: western", "Genre", excluded=True).mask(films).all()


def test_both_ends_of_a_range_are_in_it(films: Dataset) -> None:
    assert titles(films, years((1979, 1995)).mask(films)) == {"Heat", "It", "Alien", "Stalker"}
    assert titles(films, years((1972, 1972), (2004, 2010)).mask(films)) == {"Solaris", "Collateral"}


def test_an_unknown_year_satisfies_no_range_but_an_excluded_one(films: Dataset) -> None:
    dataset = unknown_year(films, 0)
    assert not years((0, 9999)).mask(dataset)[0]
    assert years((0, 9999), excluded=True).mask(dataset)[0]
    assert years((0, 9999)).evidence(dataset, 0) == ()
    assert years((0, 9999)).evidence(films, 0) == ((YEAR, "1995"),)


def test_evidence_is_what_was_asked_or_what_is_there_instead(films: Dataset) -> None:
    assert having(films, "Crime", "Drama").evidence(films, 0) == (("Genre", "Crime"),)
    assert having(films, "Horror", excluded=True).evidence(films, 0) == (("Genre", "Crime"),)
    assert having(films, "Horror").evidence(films, 0) == ()


def test_the_kind_needs_no_evidence_unless_it_is_excluded(films: Dataset) -> None:
    ids = (films.attributes.find("Genre", "Crime"),)
    assert Condition("film", KIND, ids).evidence(films, 0) == ()
    assert Condition("not film", KIND, ids, excluded=True).evidence(films, 1) == (("Genre", "Drama"),)


def test_wanted_and_excluded_and_the_last_of_a_relation(films: Dataset) -> None:
    crime, drama, no = having(films, "Crime"), having(films, "Drama"), having(films, "Horror", excluded=True)
    request = Request((crime, no, drama))
    assert request.wanted == (crime, drama)
    assert request.excluded == (no,)
    assert request.needs("Genre") is drama
    assert request.needs("Directed_by") is None
    assert Request((no,)).needs("Genre") is None


def test_all_conditions_together(films: Dataset) -> None:
    asked = [having(films, "Michael Mann"), having(films, "Drama", excluded=True), years((2000, 2010))]
    assert titles(films, satisfied(films, asked)) == {"Collateral"}
    assert satisfied(films, []).all()


@given(st.lists(st.sampled_from(sorted(RELATIONS)), max_size=4), st.lists(st.booleans(), min_size=4, max_size=4))
def test_satisfied_is_the_intersection_and_an_exclusion_the_rest(
    films: Dataset, values: list[str], excluded: list[bool]
) -> None:
    asked = [having(films, value, excluded=no) for value, no in zip(values, excluded, strict=False)]
    found = satisfied(films, asked)
    for item, title in enumerate(films.titles):
        (genre,) = (v for r, v in films.attributes.attributes_of(item) if r == "Genre")
        expected = all((genre == value) != no for value, no in zip(values, excluded, strict=False))
        assert found[item] == expected, title


def test_a_new_value_of_a_relation_replaces_or_is_added(films: Dataset) -> None:
    crime, drama, mann = having(films, "Crime"), having(films, "Drama"), having(films, "Michael Mann")
    earlier = Request((crime, mann))
    assert merge(earlier, Request((drama,)), False, films).conditions == (mann, drama)
    assert merge(earlier, Request((drama,)), True, films).conditions == (crime, mann, drama)
    assert merge(earlier, Request((crime,)), True, films).conditions == (crime, mann)  # once


def test_new_years_replace_earlier_ones_even_where_added(films: Dataset) -> None:
    seventies, nineties, crime = years((1970, 1979)), years((1990, 1999)), having(films, "Crime")
    earlier = Request((seventies, crime))
    assert merge(earlier, Request((nineties,)), True, films).conditions == (crime, nineties)
    assert merge(earlier, Request((years((1990, 1999), excluded=True),)), False, films).conditions[0] == crime
    assert merge(earlier, Request(), False, films).conditions == (seventies, crime)


def test_what_is_excluded_is_no_longer_wanted_and_the_other_way_round(films: Dataset) -> None:
    either, crime = having(films, "Crime", "Drama"), having(films, "Crime")
    no_crime, no_horror = having(films, "Crime", excluded=True), having(films, "Horror", excluded=True)
    assert merge(Request((crime,)), Request((no_crime,)), False, films).conditions == (no_crime,)
    assert merge(Request((either,)), Request((no_crime,)), False, films).conditions == (either, no_crime)
    assert merge(Request((no_crime, no_horror)), Request((crime,)), False, films).conditions == (no_horror, crime)


def test_titles_add_up(films: Dataset) -> None:
    earlier = Request(liked=(1, 2), left_out=(3,), count=5, notes=("an old note",))
    assert merge(earlier, Request(liked=(4,)), False, films).liked == (4,)
    assert merge(earlier, Request(liked=(2, 4)), True, films).liked == (1, 2, 4)
    own = Request(left_out=(5, 3), count=2, notes=("a note",))
    merged = merge(earlier, own, False, films)
    assert (merged.liked, merged.left_out) == ((1, 2), (3, 5))
    assert (merged.count, merged.notes, merged.follows) == (2, ("a note",), True)
    assert not earlier.follows


@pytest.fixture(scope="module")
def two_kinds(films: Dataset) -> Dataset:
    """The first six are films, by a director; the others are books, by a writer."""
    triples = [(i, "Directed_by" if i < 6 else "Written_by", "Mann" if i % 2 else "Scott") for i in range(11)]
    triples += [(i, "Medium", "Film" if i < 6 else "Book") for i in range(11)]
    return replace(films, attributes=AttributeGraph.from_triples(triples, 11))


def test_another_kind_drops_what_none_of_it_can_satisfy(two_kinds: Dataset) -> None:
    find = two_kinds.attributes.find
    film = Condition("film", KIND, (find("Medium", "Film"),))
    book = Condition("book", KIND, (find("Medium", "Book"),))
    directed = Condition("Directed by: Mann", "Directed_by", (find("Directed_by", "Mann"),))
    no_director = Condition("not Scott", "Directed_by", (find("Directed_by", "Scott"),), excluded=True)
    no_writer = Condition("not writer Scott", "Written_by", (find("Written_by", "Scott"),), excluded=True)
    old = years((1970, 1980))
    earlier = Request((film, directed, no_director, no_writer, old))
    assert merge(earlier, Request((book,)), False, two_kinds).conditions == (no_writer, old, book)
    same = merge(earlier, Request((film,)), True, two_kinds)
    assert same.conditions == (directed, no_director, no_writer, old, film)
