from __future__ import annotations

from dataclasses import replace

import pytest

from rerec_engine.assistant.prepare import MAX_REQUEST, Preparer
from rerec_engine.data.dataset import Dataset
from rerec_engine.errors import RequestError


def test_candidates_come_from_the_request_the_query_or_the_rule(films: Dataset) -> None:
    who = Preparer(films)
    given_ = who.prepare("x", candidates=["Alien", "heat (1995)", "Heat"])
    assert [films.titles[i] for i in given_.candidates] == ["Alien (1979)", "Heat (1995)"]
    close = who.prepare("Something quiet and slow about space and a memory")
    assert close.candidates == films.queries("train")[1].candidates
    assert "query b" in close.reason
    text = close.messages[0]["content"]
    assert "Request: Something quiet and slow about space and a memory" in text
    assert "the one movie that you recommend" in text
    free = who.prepare("I want a drama")
    assert len(free.candidates) == 11
    assert "Drama" in free.reason


def test_users_history_is_told_and_left_out(films: Dataset) -> None:
    who = Preparer(films)
    ask = who.prepare("anything at all", user=1)
    assert not {6, 7, 10} & set(ask.candidates)
    assert "- Gladiator (2000)" in ask.messages[0]["content"]


@pytest.mark.parametrize(
    ("text", "settings_", "field", "message"),
    [
        (" \n", {}, "request", "a request has 1 to"),
        ("x" * (MAX_REQUEST + 1), {}, "request", "a request has 1 to"),
        ("x", {"user": 2}, "user", r"user '2' is not known: give a row, 0 to 1"),
        ("x", {"user": -1}, "user", r"user '-1' is not known"),
        ("x", {"candidates": ["Heat", "Hear"]}, "candidates", "^Hear: in no catalogue"),
        ("x", {"candidates": ["Solaris"]}, "candidates", "ambiguous"),
    ],
)
def test_bad_requests_are_refused(
    films: Dataset, text: str, settings_: dict[str, object], field: str, message: str
) -> None:
    who = Preparer(films)
    with pytest.raises(RequestError, match=message) as caught:
        who.prepare(text, **settings_)  # type: ignore[arg-type]
    assert caught.value.field == field


def test_request_close_to_a_query_but_for_a_value_is_not_that_query(films: Dataset) -> None:
    who = Preparer(films)
    text = "Something slow and quiet about space and memory"
    assert "query b" in who.prepare(text).reason
    assert "query b" not in who.prepare(f"{text} drama").reason


def prompt_of(films: Dataset, text: str, facts: str = "asked", **settings: object) -> str:
    """The prompt where `dataset.json` asks for facts."""
    told = replace(films, description=replace(films.description, facts=facts))
    return Preparer(told).prepare(text, **settings).messages[0]["content"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("I want a drama", "- Drama: The Room (2003)"),
        ("Something by Ridley Scott", "- directed by Ridley Scott: Alien (1979)"),
        ("a film from the 90s, but not by Michael Mann", "- directed by Tommy Lee Wallace; of 1990: It (1990)"),
        ("a film by Nobody Known", "- directed by Tommy Lee Wallace: It (1990)"),
        ("anything like Stalker (1979)", "- directed by Andrei Tarkovsky; Science fiction: Solaris (1972)"),
    ],
)
def test_facts_of_what_the_request_is_about(films: Dataset, text: str, line: str) -> None:
    assert line in prompt_of(films, text).split("\n")
    assert ": " not in prompt_of(films, text, "none").split("Candidates:\n")[1]


def test_all_facts_whatever_is_asked(films: Dataset) -> None:
    assert "- Drama; directed by Tommy Wiseau: The Room (2003)" in prompt_of(films, "anything at all", "all").split(
        "\n"
    )


def test_facts_of_the_titles_that_the_words_name(films: Dataset) -> None:
    named = "What is known of the titles named:\n- Stalker (1979): directed by Andrei Tarkovsky; Science fiction\n"
    assert named in prompt_of(films, "anything like Stalker (1979)")
    assert "titles named" not in prompt_of(films, "anything like Stalker (1979)", "none")
    offered = prompt_of(films, "anything like Stalker (1979)", candidates=["Stalker", "Heat"])
    assert "titles named" not in offered


def test_facts_of_a_users_history(films: Dataset) -> None:
    lines = prompt_of(films, "I want a drama", user=1).split("\n")
    assert "- Gladiator (2000): Drama" in lines
    assert "- Gladiator (2000)" in prompt_of(films, "I want a drama", "none", user=1).split("\n")


def test_facts_of_given_candidates(films: Dataset) -> None:
    lines = prompt_of(films, "a horror film", candidates=["Alien", "Heat"]).split("\n")
    assert lines[-2:] == ["- Horror: Alien (1979)", "- Crime: Heat (1995)"]
