"""Years and numbers in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.data.description import Number
from rerec_engine.worlds.catalogue.amounts import best, is_price, spanned
from rerec_engine.worlds.catalogue.conditions import Span
from rerec_engine.worlds.catalogue.english import Atom, joined

YEAR, PRICE, PAGES = Number("", "year"), Number("euros", "price"), Number("pages", "pages")
PLAYERS, MINUTES, AGE = Number("players", "players"), Number("minutes", "playing time"), Number("years", "age")


@pytest.mark.parametrize(
    ("field", "number", "span", "expected"),
    [
        ("year", YEAR, Span("decade", 1990, 1999), "from the 1990s / from the nineties / made in the nineties"),
        ("year", YEAR, Span("decade", 1900, 1909), "from 1900 to 1909 / made between 1900 and 1909"),
        ("year", YEAR, Span("after", 2005), "made after 2005 / newer than 2005 / that came out after 2005"),
        ("year", YEAR, Span("before", 2005), "made before 2005 / from before 2005 / older than 2005"),
        ("year", YEAR, Span("between", 1990, 1995), "from 1990 to 1995 / made between 1990 and 1995"),
        ("year", YEAR, Span("exactly", 2005, 2005), "from 2005 / made in 2005 / that came out in 2005"),
        ("price", PRICE, Span("under", 30), "under 30 euros / for less than 30 euros / cheaper than 30 euros"),
        ("price", PRICE, Span("over", 9.95), "over 9.95 euros / for more than 9.95 euros"),
        ("price", PRICE, Span("between", 20, 30), "priced between 20 and 30 euros / that costs between 20"
         " and 30 euros"),
        ("price", Number("", "price"), Span("under", 30), "with a price under 30 / with a price of less than 30"),
        ("players", PLAYERS, Span("exactly", 4, 4), "for 4 players / for four players"),
        ("players", PLAYERS, Span("exactly", 1, 1), "for 1 player / for one player"),
        ("pages", PAGES, Span("under", 300), "with fewer than 300 pages / with under 300 pages"),
        ("pages", PAGES, Span("over", 300), "with more than 300 pages / with over 300 pages"),
        ("pages", PAGES, Span("between", 100, 300), "with 100 to 300 pages / with between 100 and 300 pages"),
        ("pages", PAGES, Span("exactly", 12, 12), "with 12 pages / with twelve pages"),
        ("time", MINUTES, Span("between", 60, 90), "with a playing time between 60 and 90 minutes"),
        ("age", AGE, Span("over", 8), "with an age over 8 years / with an age of more than 8 years"),
        ("age", AGE, Span("exactly", 1, 1), "with an age of 1 year / with an age of one year"),
    ],
)  # fmt: skip
def test_numbers_are_said(field: str, number: Number, span: Span, expected: str) -> None:
    said = [joined(way) for way in spanned(field, number, span, plural=False)]
    assert said[0] == expected.split(" / ")[0]
    assert [way for way in expected.split(" / ") if way not in said] == []


def test_several_items_cost_and_one_costs() -> None:
    said = {plural: [joined(way) for way in spanned("price", PRICE, Span("under", 9), plural)] for plural in (0, 1)}
    assert "that costs less than 9 euros" in said[0]
    assert "that cost less than 9 euros" in said[1]
    assert not any("costs" in way for way in said[1])


@pytest.mark.parametrize(
    ("field", "number", "how", "expected"),
    [
        ("year", YEAR, "most", ("the newest", "")),
        ("year", YEAR, "least", ("the oldest", "")),
        ("price", PRICE, "most", ("the most expensive", "")),
        ("price", PRICE, "least", ("the cheapest", "")),
        ("pages", PAGES, "most", ("the", "with the most pages")),
        ("pages", PAGES, "least", ("the", "with the fewest pages")),
        ("time", MINUTES, "most", ("the", "with the highest playing time")),
        ("age", AGE, "least", ("the", "with the lowest age")),
    ],
)
def test_superlatives_are_said(field: str, number: Number, how: str, expected: tuple[str, str]) -> None:
    assert tuple(map(joined, best(field, number, Span(how)))) == expected


@pytest.mark.parametrize(
    ("role", "expected"), [("price", True), ("list price", True), ("cost", True), ("costume", False), ("pages", False)]
)
def test_a_price_is_told_by_its_role(role: str, expected: bool) -> None:
    assert is_price(Number("euros", role)) is expected


@given(
    st.sampled_from([("year", YEAR), ("price", PRICE), ("pages", PAGES), ("time", MINUTES)]),
    st.sampled_from(["under", "over", "between", "before", "after"]),
    st.integers(1900, 1999),
    st.integers(1, 90),
    st.booleans(),
)
def test_every_way_names_the_limits_as_pieces_of_their_own(
    field: tuple[str, Number], how: str, first: int, gap: int, plural: bool
) -> None:
    if how != "between":
        how = {"under": "before", "over": "after"}.get(how, how) if field[0] == "year" else how
        how = {"before": "under", "after": "over"}.get(how, how) if field[0] != "year" else how
    span = Span(how, first, first + gap if how == "between" else 0)
    limits = [str(first), str(first + gap)] if how == "between" else [str(first)]
    for way in spanned(*field, span, plural):
        assert [piece for piece in way if isinstance(piece, Atom)] == limits
