from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.assistant.amounts import Amount, Amounts, tokens_of
from rerec_engine.assistant.units import Fields

NONE = Fields({}, {})


def amounts(text: str) -> list[Amount]:
    tokens, found, place = tokens_of(text), [], 0
    reader = Amounts(tokens, NONE)
    while place < len(tokens):
        amount = reader.at(place)
        found += [amount] if amount else []
        place = max(place + 1, amount.stop if amount else 0)
    return found


@pytest.mark.parametrize(
    ("text", "values", "unit"),
    [
        ("30 euros", (30,), "euros"),
        ("€30", (30,), "euros"),
        ("30€", (30,), "euros"),
        ("$30", (30,), "dollars"),
        ("EUR 30", (30,), "euros"),
        ("24.95 euros", (24.95,), "euros"),
        ("24,95 €", (24.95,), "euros"),
        ("1,500 pages", (1500,), "pages"),
        ("1.500 pages", (1500,), "pages"),
        ("four players", (4,), "players"),
        ("a two-player game", (2,), "players"),
        ("2-4 players", (2, 4), "players"),
        ("2 to 4 players", (2, 4), "players"),
        ("2 or 3 players", (2, 3), "players"),
        ("2, 3 or 4 players", (2, 3, 4), "players"),
        ("a dozen pages", (12,), "pages"),
        ("half a dozen players", (6,), "players"),
        ("two dozen pages", (24,), "pages"),
        ("half an hour", (0.5,), "hours"),
        ("an hour", (1,), "hours"),
        ("thirty euros", (30,), "euros"),
        ("forty-five minutes", (45,), "minutes"),
        ("a hundred pages", (100,), "pages"),
        ("three hundred pages", (300,), "pages"),
        ("20€ - 40€", (20, 40), "euros"),
        ("30 minutes to 2 hours", (0.5, 2), "hours"),
        ("single-player", (1,), "players"),
        ("90min", (90,), "minutes"),
        ("five of us", (5,), "people"),
        ("4 or more players", (4,), "players"),
        ("30", (30,), ""),
    ],
)
def test_amounts(text: str, values: tuple[float, ...], unit: str) -> None:
    (amount,) = amounts(text)
    assert amount.values == values
    assert (amount.unit.said if amount.unit else "") == unit


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("30 euros or less", "most"),
        ("4+ players", "least"),
        ("30 euros max", "most"),
        ("8 and up", "least"),
        ("30", ""),
    ],
)
def test_what_is_said_behind(text: str, how: str) -> None:
    assert amounts(text)[0].how == how


@pytest.mark.parametrize(
    "text",
    ["Heat (1995)", "the 80s", "80's films", "1408b", "7:30", "3/4", "B-52", "#5", "2nd", "x3", "9" * 40, "a film"],
)
def test_what_is_no_amount(text: str) -> None:
    assert amounts(text) == []


def test_units_that_do_not_agree_are_no_range() -> None:
    assert [amount.values for amount in amounts("30 euros to 4 players")] == [(30,), (4,)]


@given(st.text(max_size=60))
def test_tokens_lie_in_the_text(text: str) -> None:
    tokens = tokens_of(text)
    assert all(0 <= token.start < token.end <= len(text) for token in tokens)
    assert all(amount.stop > amount.first for amount in amounts(text))
