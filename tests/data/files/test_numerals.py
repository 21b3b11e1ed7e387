from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.data.files import numerals
from rerec_engine.data.files.numerals import decimal_comma, parse_heading, parse_number


def test_examples() -> None:
    assert doctest.testmod(numerals).failed == 0


@pytest.mark.parametrize(
    ("text", "low", "high", "unit"),
    [
        ("€24.95", 24.95, 24.95, "euros"),
        ("24,95 €", 24.95, 24.95, "euros"),
        ("$19.99", 19.99, 19.99, "dollars"),
        ("$1,299.00", 1299, 1299, "dollars"),
        ("US$ 5", 5, 5, "dollars"),
        ("USD 19.99", 19.99, 19.99, "dollars"),
        ("1.234,56 EUR", 1234.56, 1234.56, "euros"),
        ("£3", 3, 3, "pounds"),
        ("CHF 1'250.50", 1250.5, 1250.5, "francs"),
        ("1 234", 1234, 1234, ""),
        ("1,234", 1234, 1234, ""),
        ("3,5", 3.5, 3.5, ""),
        ("0,5", 0.5, 0.5, ""),
        (".5", 0.5, 0.5, ""),
        ("-3", -3, -3, ""),
        ("2-4", 2, 4, ""),
        ("2–4 players", 2, 4, "players"),
        ("1 to 4", 1, 4, ""),
        ("$5-$7", 5, 7, "dollars"),
        ("5€ – 7€", 5, 7, "euros"),
        ("30-60 min", 30, 60, "minutes"),
        ("45 min.", 45, 45, "minutes"),
        ("1.5kg", 1.5, 1.5, "kg"),
        ("12%", 12, 12, "%"),
        ("from 12.99", 12.99, 12.99, ""),
        ("Free to Play", 0, 0, ""),
        ("1984", 1984, 1984, ""),
    ],
)
def test_numbers(text: str, low: float, high: float, unit: str) -> None:
    number = parse_number(text, decimal_comma([text]))
    assert number is not None
    assert number[:2] == (low, high)
    assert (number.open, number.unit) == (False, unit)


@pytest.mark.parametrize("text", ["14+", "14 +", "14 and up", "14 or more"])
def test_open_ranges(text: str) -> None:
    assert parse_number(text) == (14, 14, True, "")


@pytest.mark.parametrize(
    "text",
    ["", "None", "A4", "2019-03-01", "10 x 20", "4.5 out of 5 stars", "4-2", "1,23,4", "abc", "1.2.3", "€", "3 € 4 $"],
)
def test_no_numbers(text: str) -> None:
    assert parse_number(text) is None


@pytest.mark.parametrize(
    ("cells", "comma"),
    [
        (["24,95", "1.234"], True),
        (["24.95", "1,234"], False),
        (["1,234", "2,000"], False),
        (["1,234.50"], False),
        (["1.234,50"], True),
        (["3", "4"], False),
    ],
)
def test_a_column_decides_on_its_decimals(cells: list[str], comma: bool) -> None:
    assert decimal_comma(cells) == comma


@pytest.mark.parametrize(
    ("column", "name", "unit"),
    [
        ("price_eur", "price", "euros"),
        ("Price (EUR)", "Price", "euros"),
        ("price in euros", "price", "euros"),
        ("Weight [kg]", "Weight", "kg"),
        ("num_pages", "pages", "pages"),
        ("numPages", "pages", "pages"),
        ("page_count", "pages", "pages"),
        ("number_of_players", "players", "players"),
        ("players", "players", "players"),
        ("playing time (min)", "playing time", "minutes"),
        ("Price", "Price", ""),
        ("min_age", "min_age", ""),
        ("series", "series", ""),
        ("in stock", "in stock", ""),
    ],
)
def test_units_of_headers(column: str, name: str, unit: str) -> None:
    assert parse_heading(column) == (name, unit)


@given(st.decimals(0, 10**7, places=2), st.sampled_from(["€{}", "{} €", "EUR {}", "{} EUR"]), st.booleans())
def test_prices_are_read_as_written(price: object, form: str, comma: bool) -> None:
    text = f"{price:,.2f}"
    text = text.translate(str.maketrans(",.", ".,")) if comma else text
    number = parse_number(form.format(text), comma)
    assert number is not None
    assert (number.low, number.unit) == (float(str(price)), "euros")


@given(st.integers(0, 999), st.integers(0, 999), st.sampled_from(["-", " – ", " to ", "—"]))
def test_ranges_are_read_where_their_ends_are_in_order(low: int, high: int, mark: str) -> None:
    number = parse_number(f"{low}{mark}{high}")
    assert (number is not None) == (low <= high)
    assert number is None or number[:2] == (low, high)


@given(st.text(max_size=30))
def test_any_text_is_a_number_or_none(text: str) -> None:
    number = parse_number(text)
    assert number is None or number.low <= number.high
