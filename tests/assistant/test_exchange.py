"""The answer as JSON, and the notes with what cut it off."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from rerec_engine.assistant.conditions import Condition, Request
from rerec_engine.assistant.exchange import Answer, Ask, Item
from rerec_engine.assistant.grounding import Evidence, Unmet

TITLES = ("Heat (1995)", "Alien (1979)", "Amélie (2001)")
REQUEST = Request((Condition("Genre: Crime", "Genre", (0,)),), liked=(2,), follows=True)
ASK = Ask("another", (), (1, 0), "the request", REQUEST, "a crime film. another")
ITEM = Item(
    0,
    TITLES[0],
    True,
    (("Genre", "Crime"), ("Directed_by", "Michael Mann")),
    ("Crime",),
    (Evidence("Genre: Crime", "Genre", "Crime"),),
    ("before 1990",),
)
ANSWER = Answer(ASK, "Mann. \\boxed{Heat}", "Mann.", (ITEM,), ("No Film",), ("a note",), (Unmet("before 1990", "why"),))


def test_answer_as_json() -> None:
    told = ANSWER.to_json(TITLES)
    assert json.loads(json.dumps(told)) == told
    item = told.pop("items")[0]
    assert told == {
        "request": "another",
        "prompted": "a crime film. another",
        "follows": True,
        "conditions": ["Genre: Crime"],
        "liked": ["Amélie (2001)"],
        "candidates": ["Alien (1979)", "Heat (1995)"],
        "candidates_from": "the request",
        "thinking": "",
        "reasoning": "Mann.",
        "unmet": [{"condition": "before 1990", "why": "why"}],
        "unknown": ["No Film"],
        "notes": ["a note"],
        "response": "Mann. \\boxed{Heat}",
    }
    assert item == {
        "item_id": 0,
        "title": "Heat (1995)",
        "among_candidates": True,
        "attributes": [
            {"relation": "Genre", "value": "Crime", "asked": True},
            {"relation": "Directed_by", "value": "Michael Mann", "asked": False},
        ],
        "asked": ["Crime"],
        "evidence": [{"condition": "Genre: Crime", "relation": "Genre", "value": "Crime"}],
        "missed": ["before 1990"],
    }


def test_a_request_that_is_prompted_as_it_is_stands_there_twice() -> None:
    plain = replace(ANSWER, ask=Ask("a drama", (), (), "nothing named"))
    told = plain.to_json(TITLES)
    assert (told["request"], told["prompted"], told["follows"]) == ("a drama", "a drama", False)
    assert told["candidates"] == told["liked"] == told["conditions"] == []


@pytest.mark.parametrize(
    ("finish", "remedy", "notes"),
    [
        ("stop", "", ["a note"]),
        ("stop", "--max-new-tokens", ["a note"]),
        ("length", "", ["cut off after 7 tokens", "a note"]),
        ("length", "--max-new-tokens", ["cut off after 7 tokens (--max-new-tokens)", "a note"]),
    ],
)
def test_that_it_was_cut_off_is_the_first_note(finish: str, remedy: str, notes: list[str]) -> None:
    answer = replace(ANSWER, finish=finish, new_tokens=7)
    assert answer.all_notes(remedy) == answer.to_json(TITLES, remedy)["notes"] == notes
    assert answer.notes == ("a note",)
