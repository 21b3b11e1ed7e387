from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.assistant.superlatives import find_best, find_better
from rerec_engine.assistant.units import Fields
from rerec_engine.data.dataset import Dataset


@pytest.fixture(scope="module")
def fields(games: Dataset) -> Fields:
    return Fields(games.numbers, games.description.numbers)


@pytest.mark.parametrize(
    ("text", "field", "most"),
    [
        ("the newest board game", "year", True),
        ("your latest games, please", "year", True),
        ("the most recent one", "year", True),
        ("newest first", "year", True),
        ("the oldest trade game", "year", False),
        ("Which is the cheapest?", "price", False),
        ("the least expensive game", "price", False),
        ("the most expensive", "price", True),
        ("the longest game", "playing_time", True),
        ("the shortest of them", "playing_time", False),
        ("the highest rated game", "rating", True),
        ("with the lowest rating", "rating", False),
        ("with the most players", "players", True),
        ("with the fewest players", "players", False),
        ("the newest ___ game", "year", True),
        ("his latest", "year", True),
    ],
)
def test_orders(fields: Fields, text: str, field: str, most: bool) -> None:
    assert [(b.field, b.most, b.note) for b in find_best(text, fields, True, ["game"])] == [(field, most, "")]


@pytest.mark.parametrize(
    "text",
    ["the oldest son of a king", "my oldest", "from 1990 at the latest", "not the newest", "at least", "most of all"],
)
def test_no_order(fields: Fields, text: str) -> None:
    assert find_best(text, fields, True, ["game"]) == []


def test_orders_that_cannot_be_read_are_told() -> None:
    none = Fields({}, {})
    assert [b.note for b in find_best("the cheapest film", none, True, [])] == [
        'no prices are known: "cheapest" was not read'
    ]
    assert [b.note for b in find_best("the newest film", none, False, [])] == [
        'no years are known: "newest" was not read'
    ]
    assert find_best("the longest film", none, True, []) == []


@pytest.mark.parametrize(
    ("text", "field", "most"),
    [
        ("something cheaper", "price", False),
        ("a more expensive one", "price", True),
        ("less expensive, please", "price", False),
        ("a longer game", "playing_time", True),
        ("shorter than that", "playing_time", False),
    ],
)
def test_comparisons(fields: Fields, text: str, field: str, most: bool) -> None:
    ((better, between),) = find_better(text, fields, lambda _, __: (2.0, 3.0))
    assert better.field is not None
    assert (better.field.name, better.most, better.note, between) == (field, most, "", (2.0, 3.0))
    ((better, between),) = find_better(text, fields, lambda _, __: None)
    assert "compares with nothing" in better.note
    assert between is None


def test_comparisons_without_a_field(fields: Fields) -> None:
    none = Fields({}, {})
    assert find_better("no longer", fields, lambda _, __: None) == []
    assert find_better("something longer", none, lambda _, __: None) == []
    assert find_better("cheaper", none, lambda _, __: None)[0][0].note == 'no prices are known: "cheaper" was not read'


WORDS = (
    "the newest most expensive cheapest cheaper longer than more my at latest highest rated rating game _ , .".split()
)


@given(st.one_of(st.text(max_size=80), st.lists(st.sampled_from(WORDS), max_size=15).map(" ".join)))
def test_any_text(games: Dataset, text: str) -> None:
    fields = Fields(games.numbers, games.description.numbers)
    found = [*find_best(text, fields, True, []), *(b for b, _ in find_better(text, fields, lambda _, __: None))]
    assert all(0 <= b.start < b.end <= len(text) for b in found)
