"""Numbers, orders and years of whole requests: parsed, in the shortlist, in the evidence."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerec_engine.assistant.conditions import Order, Request
from rerec_engine.assistant.grounding import Evidence, evidence_of, unmet_by
from rerec_engine.assistant.parse import Earlier, RequestParser
from rerec_engine.assistant.prepare import Preparer
from rerec_engine.assistant.shortlist import Shortlister
from rerec_engine.assistant.style import Style
from rerec_engine.data.dataset import Dataset

AMBER, BRIDGE, COPPER, DRAGON, EVENING, FOREST, GHOST = range(7)


@pytest.fixture(scope="module")
def parser(games: Dataset) -> RequestParser:
    return RequestParser(games)


@pytest.mark.parametrize(
    ("text", "told", "items"),
    [
        ("a game for four under 30 euros", ["players: 4", "price: under 30 euros"], {BRIDGE, DRAGON}),
        ("a game, not over 20 euros", ["not price: over 20 euros"], {DRAGON, EVENING}),
        ("nothing under 20 euros", ["not price: under 20 euros"], {AMBER, BRIDGE, COPPER, GHOST}),
        ("that does not cost more than 20 euros", ["not price: over 20 euros"], {DRAGON, EVENING}),
        ("under 20 euros or over 50 euros", ["price: under 20 euros or over 50 euros"], {COPPER, DRAGON, EVENING}),
        ("for 2 or 6 players", ["players: 2 or 6"], {BRIDGE, COPPER, DRAGON, EVENING, FOREST, GHOST}),
        ("for 2-4 players", ["players: 2 to 4"], {BRIDGE, COPPER, DRAGON, FOREST}),
        ("for four, not a two-player game", ["players: 4", "not players: 2"], {AMBER, GHOST}),
        ("from before 2010 under 40 euros", ["before 2010", "price: under 40 euros"], {AMBER, BRIDGE, GHOST}),
        ("under 2000 euros", ["price: under 2000 euros"], {AMBER, BRIDGE, COPPER, DRAGON, EVENING, GHOST}),
        ("cheaper than Bridge Builders", ["price: under 24.95 euros"], {DRAGON, EVENING}),
        ("over an hour", ["playing time: over 60 minutes"], {AMBER, COPPER, GHOST}),
    ],
)
def test_requests(games: Dataset, parser: RequestParser, text: str, told: list[str], items: set[int]) -> None:
    request = parser.parse(text)
    assert request.told == told
    assert request.notes == ()
    assert set(Shortlister(games, parser).choose(text, request=request).items) == items


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("the newest game", [FOREST, DRAGON, EVENING]),
        ("the oldest game", [AMBER, BRIDGE, GHOST]),
        ("the cheapest game for four players", [DRAGON, BRIDGE, GHOST]),
        ("the most expensive game", [COPPER, AMBER, GHOST]),
        ("the highest rated game under 40 euros", [BRIDGE, EVENING, AMBER]),
    ],
)
def test_an_order_is_that_of_the_shortlist(games: Dataset, parser: RequestParser, text: str, first: list[int]) -> None:
    chosen = Shortlister(games, parser).choose(text)
    assert list(chosen.items[:3]) == first
    order = parser.parse(text).order
    assert order is not None
    assert f"the {order.text} first" in chosen.reason


def test_unknown_numbers_come_last_in_an_order(games: Dataset, parser: RequestParser) -> None:
    assert Shortlister(games, parser).choose("the cheapest").items[-1] == FOREST


def test_of_two_orders_the_first_counts(parser: RequestParser) -> None:
    request = parser.parse("the newest and the cheapest")
    assert request.order == Order("newest", "year", True)
    assert request.notes == ('"cheapest" was not read: the order is "newest"',)


def test_evidence_tells_the_number(games: Dataset, parser: RequestParser) -> None:
    request = parser.parse("the cheapest game for four under 30 euros")
    evidence, missed = evidence_of(games, request, DRAGON)
    assert evidence == (
        Evidence("players: 4", "players", "2 to 6 players"),
        Evidence("price: under 30 euros", "price", "12 euros"),
        Evidence("cheapest", "price", "12 euros"),
    )
    assert missed == ()
    assert evidence_of(games, request, BRIDGE)[1] == ("cheapest",)
    (unmet,) = unmet_by(games, request, [BRIDGE], [BRIDGE, DRAGON])
    assert str(unmet) == "cheapest: not the answer, Dragon Dice (2019) comes before it"
    assert unmet_by(games, request, [DRAGON], [BRIDGE, DRAGON]) == ()


def test_several_of_an_order(games: Dataset, parser: RequestParser) -> None:
    request = parser.parse("give me two of the newest games")
    assert request.count == 2
    assert evidence_of(games, request, DRAGON)[0] == (Evidence("newest", "year", "2019"),)
    assert evidence_of(games, request, EVENING)[1] == ("newest",)


def test_a_number_of_players_is_no_count(parser: RequestParser) -> None:
    assert parser.parse("give me 4 player games").count is None
    assert parser.parse("give me three games under 30 euros").count == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("something cheaper", ["players: 4", "price: under 30 euros"]),
        ("under 20 euros", ["players: 4", "price: under 20 euros"]),
        ("for two players", ["players: 2"]),
        ("the newest", ["players: 4", "newest"]),
        ("newer", ["players: 4", "2010 or later"]),
        ("a longer one", ["players: 4", "playing time: over 90 minutes"]),
        ("okay, but not over 20 euros", ["players: 4", "not price: over 20 euros"]),
        ("another", ["players: 4"]),
    ],
)
def test_follow_ups(parser: RequestParser, text: str, told: list[str]) -> None:
    request = parser.parse(text, Earlier(parser.parse("a game for four"), (GHOST,), (GHOST,)))
    assert request.follows
    assert request.told == told


def test_an_order_stays_until_another_comes(parser: RequestParser) -> None:
    first = parser.parse("the newest game")
    again = parser.parse("another", Earlier(first, (FOREST,), (FOREST,)))
    assert again.order == first.order
    assert parser.parse("the cheapest", Earlier(first, (FOREST,), (FOREST,))).order == Order("cheapest", "price", False)


def test_comparison_with_nothing_is_told(parser: RequestParser) -> None:
    note = '"cheaper" compares with nothing: no item with a known price was named before'
    assert parser.parse("something cheaper").notes == (note,)


def test_films_without_numbers_are_asked_as_before(films: Dataset) -> None:
    parser = RequestParser(films)
    assert parser.parse("under 30, at most 20, for four, between 5 and 6").notes == ()
    assert parser.parse("a drama under 30 euros").notes == ('no prices are known: "under 30 euros" was not read',)
    assert parser.parse("the newest drama").told == ["Genre: Drama", "newest"]


def test_numbers_are_left_to_the_shortlist_where_sentences_are_closed(games: Dataset) -> None:
    ask = Preparer(games).prepare("the newest game under 30 euros")
    assert ask.prompted == "the newest game under 30 euros"
    assert "price: under 30 euros" in ask.reason
    assert Style(games).asked(ask.request, ask.text, ask.candidates, ()) == ("price", "year")


WORDS = (
    "a game for four players under over 30 euros 20 cheaper newest the not or and no between 2-4 older than Ghost Manor"
    " (2009) before 2010 give me three hour , . rating most"
).split(" ")


@settings(max_examples=150)
@given(st.one_of(st.text(max_size=120), st.lists(st.sampled_from(WORDS), max_size=20).map(" ".join)), st.booleans())
def test_any_request_is_read(games: Dataset, text: str, later: bool) -> None:
    parser = RequestParser(games)
    earlier = Earlier(Request(), (0,), (0,)) if later else None
    request = parser.parse(text, earlier)
    items = Shortlister(games, parser).choose(text, request=request).items
    assert len(set(items)) == len(items)
    for condition in request.conditions:
        mask = condition.mask(games)
        assert not (condition.relation == "price" and mask[FOREST])  # its price is unknown
        assert all(len(shown) == 2 for item in items for shown in condition.evidence(games, item))
    assert all("\n" not in note for note in request.notes)
