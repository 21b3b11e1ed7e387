from __future__ import annotations

import numpy as np
import pytest

from rerec_engine.assistant.units import MASS, PRICE, SEATS, TIME, Fields, known_unit
from rerec_engine.data.dataset import Dataset
from rerec_engine.data.description import Number
from rerec_engine.graph.numbers import ItemNumbers


def number(*values: float) -> ItemNumbers:
    return ItemNumbers(np.array(values), np.array(values))


@pytest.mark.parametrize(
    ("word", "said", "family"),
    [
        ("€", "euros", "euros"),
        ("eur", "euros", "euros"),
        ("$", "dollars", "dollars"),
        ("bucks", "dollars", "dollars"),
        ("£", "pounds", "pounds"),
        ("quid", "pounds", "pounds"),
        ("mins", "minutes", TIME),
        ("hour", "hours", TIME),
        ("players", "players", SEATS),
        ("kids", "people", SEATS),
        ("page", "pages", "pages"),
        ("kilos", "kg", MASS),
    ],
)
def test_units_by_how_they_are_written(word: str, said: str, family: str) -> None:
    unit = known_unit(word)
    assert unit is not None
    assert (unit.said, unit.family) == (said, family)


def test_no_unit() -> None:
    assert known_unit("crows") is None
    assert known_unit("in") is None


def test_fields_by_role_unit_and_kind(games: Dataset) -> None:
    fields = Fields(games.numbers, games.description.numbers)
    time = fields.called(("playing", "time"))
    assert time is not None
    assert (time.name, time.unit.said, time.amount(90.0)) == ("playing_time", "minutes", "90 minutes")
    assert fields.called(("rating",)) is not None
    assert fields.called(("weight",)) is None
    assert [field.name for field in fields.about(PRICE)] == ["price"]
    assert fields.seats is not None
    assert fields.seats.amount(4.0) == "4"
    hours = fields.unit(("hours",))
    assert hours is not None
    assert [field.name for field in fields.of(hours)] == ["playing_time"]


def test_a_price_without_a_unit_takes_any_currency() -> None:
    fields = Fields({"Price": number(3, 20)}, {})
    for sign in ("€", "$"):
        unit = fields.unit((sign,))
        assert unit is not None
        assert [field.name for field in fields.of(unit)] == ["Price"]


def test_of_several_prices_the_one_that_is_called_so() -> None:
    said = {"price": Number("euros", "price"), "shipping": Number("euros", "shipping cost")}
    fields = Fields({"shipping": number(1, 2), "price": number(3, 20)}, said)
    assert [field.name for field in fields.about(PRICE)] == ["price"]


def test_pounds_of_a_weight_are_no_currency() -> None:
    fields = Fields({"weight": number(3, 20)}, {"weight": Number("pounds", "weight")})
    assert not fields.about(PRICE)
    assert [field.name for field in fields.about(MASS)] == ["weight"]


def test_years_belong_to_the_catalogue() -> None:
    assert Fields({"year": number(1990, 2000)}, {}).all == []
