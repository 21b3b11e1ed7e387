from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.data.candidates import find_candidates, find_request
from rerec_engine.data.prompts import chat_prompt

FILMS = [
    "Usual Suspects, The (1995)",
    "Heat (1995)",
    "L'Associé; or not (1982)",
    "Crouching Tiger, Hidden Dragon (2000)",
]


def resolve(title: str) -> int:
    return FILMS.index(title) if title in FILMS else -1


@pytest.mark.parametrize(
    "prompt",
    [
        "Recommend from the candidates:\n" + "\n".join(f"- {t}" for t in FILMS) + "\n\nAnswer in a box.",
        "Candidate items:\n\n" + "\n".join(f"{i}. {t}" for i, t in enumerate(FILMS, 1)),
        f"The candidate movies are: {FILMS!r}. Choose one.",
        f"Choose one of the candidates [{', '.join(repr(t) for t in FILMS)}]",
        "Candidate list: " + " [SEP] ".join(FILMS) + "\nThink first.",
        "Candidate list: " + ", ".join(FILMS) + ".\nThink first.",
        "Candidates:\n" + "\n".join(FILMS) + "\nPick one.",
        "Candidates:\n" + "\n".join(FILMS) + "\nWhich one do you recommend?\nHeat (1995) was seen.",
        "Candidates:\n" + "\n".join(FILMS) + "\nHistory:\nHeat (1995)",
        "Candidates:\n" + "\n".join(f"* {t}" for t in FILMS) + "\nAnswer with a title",
        "Pick one candidate: any.\nHistory:\nFargo (1996)\n\nCandidates:\n" + "\n".join(FILMS),
    ],
)
def test_candidates_are_read_out_of_a_prompt(prompt: str) -> None:
    assert find_candidates(prompt, resolve) == FILMS


def test_an_unknown_candidate_is_not_lost() -> None:
    titles = [*FILMS, "Nothing (1900)"]
    assert find_candidates("Candidates:\n" + "\n".join(titles), resolve) == titles


@pytest.mark.parametrize(
    "prompt", ["", "Any film?", "candidates", "Candidates:\nHeat (1995)", "Candidates: [", "Candidates:[[[["]
)
def test_a_prompt_without_a_list_is_open(prompt: str) -> None:
    assert find_candidates(prompt, resolve) == []


@given(st.text(st.sampled_from("candidates:[]'\n,;() H1")) | st.text())
def test_any_prompt_is_read_without_a_crash(prompt: str) -> None:
    assert all(isinstance(title, str) for title in find_candidates("candidates: " + prompt, resolve))


@pytest.mark.parametrize(
    ("prompt", "request_"),
    [
        ("A film? Candidates:\nHeat (1995)\nFargo (1996)", "A film?"),
        (
            "Be brief. Something slow. Choose among these candidates: A; B",
            "Be brief. Something slow.",
        ),
        ("You are kind.\n\nRequest: A film like Heat.\nOr two.\n\nHistory:\n- Fargo", "A film like Heat.\nOr two."),
        ("Query: a war film\nCandidate list: [1, 2]", "a war film"),
        ("Query: a war film candidates: [1, 2]", "a war film"),
        ("Recommend from the candidates:\n- A", "Recommend from the candidates:\n- A"),
        ("  Any film?  ", "Any film?"),
        ("", ""),
    ],
)
def test_request_is_read_out_of_a_prompt(prompt: str, request_: str) -> None:
    assert find_request(prompt) == request_


def test_request_of_the_chat_form_is_found() -> None:
    for options in ({"candidates": FILMS}, {"profile": "25-34 years old"}, {"history": FILMS}, {}):
        (message,) = chat_prompt(" A slow one: by Mann? ", **options)
        assert find_request(message["content"]) == "A slow one: by Mann?"


@given(st.text(st.sampled_from("requst: candidates:[\n.?")) | st.text())
def test_a_request_is_part_of_its_prompt(prompt: str) -> None:
    assert find_request(prompt) in prompt
