from __future__ import annotations

from dataclasses import replace

from rerec_engine.assistant.conditions import Request
from rerec_engine.assistant.exchange import Ask
from rerec_engine.assistant.reading import items_of, read_box, read_response
from rerec_engine.data.dataset import Dataset

ASK = Ask("x", (), (0, 6), "as given")


def test_last_box_is_read_in_its_order(films: Dataset) -> None:
    response = "\\boxed{Alien}, no: \\boxed{Alien (1979); No Such Film; Heat}"
    assert read_box(films.catalogue, response) == [(6, "Alien (1979)"), (-1, "No Such Film"), (0, "Heat")]
    assert read_box(films.catalogue, "Alien") == []


def test_items_come_once_and_say_whether_they_were_candidates(films: Dataset) -> None:
    items = items_of(films, ASK, [6, -1, 5, 6])
    assert [(item.title, item.among_candidates) for item in items] == [("Alien (1979)", True), ("Amélie (2001)", False)]


def test_no_more_items_than_were_asked_for(films: Dataset) -> None:
    response = "\\boxed{Heat; Alien; Stalker}"
    assert len(read_response(films, ASK, response).items) == 3
    assert len(read_response(films, ASK, response, top_k=2).items) == 2
    one = replace(ASK, request=Request(count=1))
    assert len(read_response(films, one, response, top_k=2).items) == 1
    assert read_response(films, ASK, response).notes == ("not among the candidates: Stalker (1979)",)
