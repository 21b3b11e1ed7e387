"""What an answer is worth on the films: evidence of what is satisfied, and why the rest is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.assistant.conditions import KIND, YEAR, Condition, Request
from rerec_engine.assistant.grounding import Evidence, Unmet, evidence_of, unmet_by
from rerec_engine.data.dataset import Dataset

HEAT, INSIDER, COLLATERAL, AMELIE, ALIEN, GLADIATOR = 0, 1, 2, 5, 6, 7


def value(films: Dataset, relation: str, name: str, excluded: bool = False) -> Condition:
    text = f"{'not ' if excluded else ''}{relation}: {name}"
    return Condition(text, relation, (films.attributes.find(relation, name),), excluded=excluded)


@pytest.fixture(scope="module")
def crime(films: Dataset) -> Condition:
    return value(films, "Genre", "Crime")


@pytest.fixture(scope="module")
def scott(films: Dataset) -> Condition:
    return value(films, "Directed_by", "Ridley Scott")


WESTERN = Condition("Genre: western", "Genre")
NINETIES = Condition("from 1990 to 1999", YEAR, years=((1990, 1999),))


def told(unmet: tuple[Unmet, ...]) -> list[str]:
    return [str(u) for u in unmet]


def test_evidence_and_what_is_missed(films: Dataset, crime: Condition, scott: Condition) -> None:
    evidence, missed = evidence_of(films, Request((crime, scott, NINETIES)), HEAT)
    assert evidence == (
        Evidence("Genre: Crime", "Genre", "Crime"),
        Evidence("from 1990 to 1999", YEAR, "1995"),
    )
    assert missed == ("Directed_by: Ridley Scott",)


def test_of_an_exclusion_what_is_there_instead_is_shown(films: Dataset) -> None:
    no = value(films, "Genre", "Crime", excluded=True)
    assert evidence_of(films, Request((no,)), INSIDER) == ((Evidence("not Genre: Crime", "Genre", "Drama"),), ())
    assert evidence_of(films, Request((no,)), HEAT) == ((), ("not Genre: Crime",))


def test_nothing_is_unmet_where_one_item_has_all(films: Dataset, crime: Condition) -> None:
    assert unmet_by(films, Request((crime, NINETIES)), [HEAT], [HEAT, AMELIE]) == ()
    assert unmet_by(films, Request(), [HEAT], []) == ()


def test_each_condition_may_be_met_by_another_item_but_all_by_one(films: Dataset) -> None:
    drama_scott = Request((value(films, "Genre", "Drama"), value(films, "Directed_by", "Ridley Scott")))
    found = told(unmet_by(films, drama_scott, [INSIDER, ALIEN], [INSIDER, ALIEN, GLADIATOR]))
    assert found == ["Genre: Drama + Directed_by: Ridley Scott: not the answer, though some candidate is all of this "
                     "at once"]  # fmt: skip
    found = told(unmet_by(films, drama_scott, [INSIDER, ALIEN], [INSIDER, ALIEN]))
    assert found == ["Genre: Drama + Directed_by: Ridley Scott: none of the candidates is all of this at once"]


def test_what_the_catalogue_does_not_have_is_told_first_and_leaves_the_rest(films: Dataset, crime: Condition) -> None:
    found = told(unmet_by(films, Request((crime, WESTERN)), [AMELIE], [AMELIE, HEAT, COLLATERAL]))
    assert found == [
        "Genre: Crime: not the answer, though 2 of the candidates would do",
        "Genre: western: nothing in the catalogue",
    ]
    assert told(unmet_by(films, Request((WESTERN,)), [], [])) == ["Genre: western: nothing in the catalogue"]


def test_candidates_that_would_do_are_counted(films: Dataset, crime: Condition) -> None:
    asked = Request((crime,))
    assert told(unmet_by(films, asked, [AMELIE], [AMELIE])) == ["Genre: Crime: none of the candidates"]
    assert told(unmet_by(films, asked, [AMELIE], [])) == [
        "Genre: Crime: not the answer, though 2 of the items of the catalogue would do"
    ]


def test_what_is_told_of_each_is_not_told_again_of_all(films: Dataset, crime: Condition) -> None:
    asked = Request((crime, value(films, "Directed_by", "Michael Mann")))
    assert told(unmet_by(films, asked, [AMELIE], [AMELIE, HEAT])) == [
        "Genre: Crime: not the answer, though 1 of the candidates would do",
        "Directed_by: Michael Mann: not the answer, though 1 of the candidates would do",
    ]


def test_what_excludes_itself_is_told_without_an_answer(films: Dataset, crime: Condition, scott: Condition) -> None:
    found = told(unmet_by(films, Request((crime, scott)), [], [HEAT]))
    assert found == ["Genre: Crime + Directed_by: Ridley Scott: nothing in the catalogue is all of this at once"]


def test_all_that_fits_was_named_before(films: Dataset, crime: Condition) -> None:
    asked = Request((crime, NINETIES), left_out=(HEAT,))
    found = told(unmet_by(films, asked, [COLLATERAL], [COLLATERAL, INSIDER]))
    assert found[-1] == "Genre: Crime + from 1990 to 1999: all that is so has been named before"


def test_a_kind_has_its_article_where_it_is_told_with_others(films: Dataset, scott: Condition) -> None:
    kind = Condition("crime story", KIND, (films.attributes.find("Genre", "Crime"),))
    (unmet,) = unmet_by(films, Request((kind, scott)), [HEAT, ALIEN], [])
    assert unmet == Unmet(
        "a crime story + Directed_by: Ridley Scott", "nothing in the catalogue is all of this at once"
    )


def test_fewer_items_than_asked_for(films: Dataset) -> None:
    asked = Request(count=3)
    assert told(unmet_by(films, asked, [HEAT], [])) == ["3 items: the answer names 1"]
    assert unmet_by(films, asked, [HEAT, INSIDER, ALIEN], []) == ()
    assert unmet_by(films, asked, [], []) == ()


ITEMS = st.lists(st.integers(0, 10), max_size=4, unique=True)


@given(ITEMS, ITEMS, st.sets(st.sampled_from(["Crime", "Drama", "Horror"]), max_size=2), st.booleans())
def test_silent_exactly_where_an_item_satisfies_everything(
    films: Dataset, items: list[int], candidates: list[int], genres: set[str], nineties: bool
) -> None:
    """One item alone: then no condition is met by another."""
    conditions = [*(value(films, "Genre", genre) for genre in sorted(genres)), *([NINETIES] if nineties else [])]
    for item in items:
        request = Request(tuple(conditions))
        missed = evidence_of(films, request, item)[1]
        assert bool(unmet_by(films, request, [item], candidates)) == bool(missed)
