"""Conditions on numbers, on games with prices, players, minutes and ratings."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.assistant.numbers import NumberSpan, find_numbers
from rerec_engine.assistant.units import Fields
from rerec_engine.data.dataset import Dataset
from rerec_engine.data.description import DatasetDescription, Number
from rerec_engine.worlds.catalogue import amounts
from rerec_engine.worlds.catalogue.conditions import Span


@pytest.fixture(scope="module")
def fields(games: Dataset) -> Fields:
    return Fields(games.numbers, games.description.numbers)


UNDER_30, OVER_30 = "price: under 30 euros", "price: over 30 euros"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("under 30 euros", UNDER_30),
        ("below €30", UNDER_30),
        ("for less than 30", UNDER_30),
        ("under 30€", UNDER_30),
        ("cheaper than 30 euros", UNDER_30),
        ("less expensive than 30", UNDER_30),
        ("under 30 EUR, please", UNDER_30),
        ("that costs less than 30 euros", UNDER_30),
        ("priced under 30", UNDER_30),
        ("a price below 30", UNDER_30),
        ("for under 30", UNDER_30),
        ("under thirty euros", UNDER_30),
        ("something under 30", UNDER_30),
        ("at most 20", "price: at most 20 euros"),
        ("no more than 20 euros", "price: at most 20 euros"),
        ("20 euros or less", "price: at most 20 euros"),
        ("max. 20 euros", "price: at most 20 euros"),
        ("a maximum of 20 euros", "price: at most 20 euros"),
        ("20 euros tops", "price: at most 20 euros"),
        ("I have 20 euros", "price: at most 20 euros"),
        ("my budget is 20 euros", "price: at most 20 euros"),
        ("a budget of 20", "price: at most 20 euros"),
        ("up to 20 euros", "price: up to 20 euros"),
        ("between 20 and 40 euros", "price: 20 to 40 euros"),
        ("between 20 and 40", "price: 20 to 40 euros"),
        ("from 20 to 40 euros", "price: 20 to 40 euros"),
        ("€20-€40", "price: 20 to 40 euros"),
        ("priced between 40 and 20 euros", "price: 20 to 40 euros"),
        ("20€ - 40€", "price: 20 to 40 euros"),
        ("over 30 euros", OVER_30),
        ("more expensive than 30 euros", OVER_30),
        ("for more than 30 euros", OVER_30),
        ("at least 30 euros", "price: at least 30 euros"),
        ("30 euros or more", "price: at least 30 euros"),
        ("around 30 euros", "price: about 30 euros"),
        ("about 30 euros", "price: about 30 euros"),
        ("for 30 euros", "price: about 30 euros"),
        ("a 30-euro game", "price: about 30 euros"),
        ("exactly 30 euros", "price: 30 euros"),
        ("under 24.95 euros", "price: under 24.95 euros"),
        ("for four players", "players: 4"),
        ("a card game for four", "players: 4"),
        ("for the four of us", "players: 4"),
        ("a 4-player game", "players: 4"),
        ("four-player games", "players: 4"),
        ("for my four kids", "players: 4"),
        ("for 2-4 players", "players: 2 to 4"),
        ("for two to four players", "players: 2 to 4"),
        ("up to six players", "players: up to 6"),
        ("for 2 or 3 players", "players: 2 or 3"),
        ("for half a dozen", "players: 6"),
        ("4+ players", "players: at least 4"),
        ("at least 4 players", "players: at least 4"),
        ("for more than 4 players", "players: over 4"),
        ("fewer than 4 players", "players: under 4"),
        ("four or more players", "players: at least 4"),
        ("a single-player game", "players: 1"),
        ("for around 4 players", "players: 4"),
        ("for at most 4", "players: at most 4"),
        ("under an hour", "playing time: under 60 minutes"),
        ("over two hours", "playing time: over 120 minutes"),
        ("no longer than 90 minutes", "playing time: at most 90 minutes"),
        ("a 90 minute game", "playing time: about 90 minutes"),
        ("less than half an hour", "playing time: under 30 minutes"),
        ("shorter than 45 minutes", "playing time: under 45 minutes"),
        ("with a playing time under 60 minutes", "playing time: under 60 minutes"),
        ("we have 90 minutes", "playing time: at most 90 minutes"),
        ("30 to 60 min", "playing time: 30 to 60 minutes"),
        ("with a rating over 8", "rating: over 8"),
        ("rated above 8", "rating: over 8"),
        ("a rating of 8.2", "rating: 8.2"),
        ("with a rating of at least 7.5", "rating: at least 7.5"),
        ("a rating between 7 and 8", "rating: 7 to 8"),
        ("under 2000 euros", "price: under 2000 euros"),
        ("≤ 30 euros", "price: at most 30 euros"),
    ],
)
def test_conditions(fields: Fields, text: str, said: str) -> None:
    spans = find_numbers(text, fields)
    assert [span.said for span in spans] == [said]
    assert spans[0].note == ""


@pytest.mark.parametrize(
    "text",
    [
        "under 1990",
        "from 1990",
        "between 1970 and 1980",
        "in the 80s",
        "Heat (1995)",
        "I am under 30",
        "children under 10",
        "anyone over 40",
        "I paid 30 euros for it",
        "give me up to five",
        "show me three",
        "a story about two people",
        "in my 30s",
        "over 30 countries",
        "30",
        "two games",
        "I liked 3 of them",
        "",
        "one under the other",
    ],
)
def test_what_is_none(fields: Fields, text: str) -> None:
    assert find_numbers(text, fields) == []


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("at most 30 euros", ((-np.inf, 30),)),
        ("at least 30 euros", ((30, np.inf),)),
        ("around 30 euros", ((27, 33),)),
        ("for 2 or 3 players", ((2, 2), (3, 3))),
        ("up to six players", ((6, 6),)),
        ("for 2-4 players", ((2, 4),)),
    ],
)
def test_ranges_have_both_ends(fields: Fields, text: str, ranges: tuple[tuple[float, float], ...]) -> None:
    (span,) = find_numbers(text, fields)
    assert span.ranges == ranges
    assert span.holding == ("players" in text)


def test_a_strict_limit_leaves_the_limit_out(fields: Fields) -> None:
    ((low, high),) = find_numbers("under 30 euros", fields)[0].ranges
    assert (low, high < 30, high > 29.999) == (-np.inf, True, True)
    ((low, high),) = find_numbers("over 30 euros", fields)[0].ranges
    assert (high, low > 30, low < 30.001) == (np.inf, True, True)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("under 30 dollars", 'prices are in euros: "under 30 dollars" was not read'),
        ("under $30", 'prices are in euros: "under $30" was not read'),
        ("over 300 pages", 'no numbers of pages are known: "over 300 pages" was not read'),
    ],
)
def test_what_cannot_be_read_is_told(fields: Fields, text: str, note: str) -> None:
    assert [(span.field, span.note) for span in find_numbers(text, fields)] == [(None, note)]


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("a film under 30 euros", 'no prices are known: "under 30 euros" was not read'),
        ("cheaper than 30", 'no prices are known: "cheaper than 30" was not read'),
        ("for four players", 'no numbers of players are known: "for four players" was not read'),
        ("under two hours", 'no durations are known: "under two hours" was not read'),
        ("a film about two players", ""),
        ("under 30", ""),
        ("for four", ""),
        ("at most 20", ""),
        ("for four people", ""),
        ("a film with a budget of 20 million", ""),
        ("over 300 pages", 'no numbers of pages are known: "over 300 pages" was not read'),
        ("he steals 30 dollars", ""),
        ("set over 20 years", ""),
        ("three films from before 1990", ""),
    ],
)
def test_without_numbers_only_units_are_told(text: str, note: str) -> None:
    assert [span.note for span in find_numbers(text, Fields({}, {}))] == ([note] if note else [])


def test_a_limit_alone_is_told_where_there_is_no_price(games: Dataset) -> None:
    rest = {name: own for name, own in games.numbers.items() if name != "price"}
    (span,) = find_numbers("under 30", Fields(rest, games.description.numbers))
    assert span.note == '"under 30" was not read: of what? (playing time, rating, players)'
    two = {"teaching": games.numbers["playing_time"], **rest}
    said = {"teaching": Number("minutes", "teaching time"), **games.description.numbers}
    (span,) = find_numbers("under 30 minutes", Fields(two, said))
    assert span.note == '"under 30 minutes" was not read: it may be teaching time or playing time'
    (span,) = find_numbers("with a teaching time under 30 minutes", Fields(two, said))
    assert span.said == "teaching time: under 30 minutes"


SPANS = [Span("under", 30), Span("over", 30), Span("between", 20, 40)]


@pytest.mark.parametrize("name", ["price", "playing_time", "rating", "players"])
@pytest.mark.parametrize("span", [*SPANS, Span("exactly", 4, 4)])
def test_all_wordings_of_made_requests_are_read(games: Dataset, fields: Fields, name: str, span: Span) -> None:
    description: DatasetDescription = games.description
    number = description.numbers[name]
    if name == "price" and span.how == "exactly":
        return  # is not said of prices
    for plural in (False, True):
        for pieces in amounts.spanned(name, number, span, plural):
            (found,) = find_numbers(f"Find a board game {' '.join(pieces)}.", fields)
            assert found.field is not None, pieces
            assert found.field.name == name
            low, high = span.bounds
            if span.how == "exactly" and name == "playing_time":
                low, high = low - low / 10, high + high / 10
            assert found.ranges == ((low, high),), pieces


WORDS = (
    "under over between and 30 20 euros € $ four players for up to at most or less 2-4 - a dozen half an hour minutes"
    " the price rating of is about 1990 pages cheaper than no not , . ( )"
).split()


@given(st.one_of(st.text(max_size=100), st.lists(st.sampled_from(WORDS), max_size=20).map(" ".join)))
def test_any_text_gives_spans_in_order(games: Dataset, text: str) -> None:
    spans = find_numbers(text, Fields(games.numbers, games.description.numbers))
    assert all(0 <= s.start < s.end <= len(text) for s in spans)
    assert all(a.end <= b.start for a, b in pairwise(spans))
    assert all(bool(s.note) == (s.field is None) and (s.field is None or s.ranges) for s in spans)


@pytest.mark.parametrize(
    "piece", ["30 ", "under 30 euros ", "about ", "1, ", "2 or ", "a dozen ", "€", "for the ", "-", "1-"]
)
def test_work_grows_with_the_length(fields: Fields, piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from rerec_engine.assistant import amounts

    looked = 0
    real = amounts.Amounts.words

    def words(self: amounts.Amounts, first: int, stop: int) -> tuple[str, ...]:
        nonlocal looked
        looked += 1
        return real(self, first, stop)

    monkeypatch.setattr(amounts.Amounts, "words", words)
    counts = []
    for length in (500, 1000):
        looked = 0
        spans: list[NumberSpan] = find_numbers(piece * length, fields)
        assert len(spans) <= length
        counts.append(looked)
    assert counts[1] <= 2.2 * counts[0] + 100
