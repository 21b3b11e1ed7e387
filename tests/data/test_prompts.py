from __future__ import annotations

import pytest

from rerec_engine.data.description import DatasetDescription
from rerec_engine.data.prompts import FORMS, chat_prompt, sentence_prompt

LEAD = (
    "You are a recommendation assistant. Reason about the candidates line by line, then end with the one movie that "
    "you recommend as \\boxed{Title (Year)}, written exactly as in the list."
)


def test_chat_form() -> None:
    (message,) = chat_prompt(
        " A slow one? ", candidates=["A (1999)", "B"], history=["C", "D"], profile="25-34 years old", item="movie"
    )
    assert message["role"] == "user"
    assert message["content"].split("\n\n") == [
        LEAD,
        "Request: A slow one?",
        "The user: 25-34 years old",
        "Recently chosen by the user, oldest first:\n- C\n- D",
        "Candidates:\n- A (1999)\n- B",
    ]


def test_facts_of_candidates_come_before_the_title_in_a_chat_and_after_it_in_sentences() -> None:
    told = {"candidates": ["A", "B"], "facts": ["by Jo", ""]}
    (chat,), (sentence,) = chat_prompt("x", **told), sentence_prompt("x", **told)
    assert chat["content"].endswith("Candidates, each after what is known of it:\n- by Jo: A\n- B")
    assert sentence["content"] == "x\n1) A : by Jo\n2) B"
    assert chat_prompt("x", candidates=["A"], facts=[""]) == chat_prompt("x", candidates=["A"])
    with pytest.raises(ValueError, match="zip"):
        chat_prompt("x", candidates=["A", "B"], facts=["by Jo"])


def test_what_is_known_of_items_told_of_follows_their_title() -> None:
    told = {"candidates": ["A"], "history": ["C", "D"], "history_facts": ["", "by Bo"], "named": {"B": "by Jo"}}
    (chat,), (sentence,) = chat_prompt("like B", **told), sentence_prompt("like B", **told)
    assert chat["content"].split("\n\n")[1:] == [
        "Request: like B",
        "What is known of the titles named:\n- B: by Jo",
        "Recently chosen by the user, oldest first, each before what is known of it:\n- C\n- D: by Bo",
        "Candidates:\n- A",
    ]
    assert sentence["content"] == "like B\n B : by Jo\n1) A"
    with pytest.raises(ValueError, match="zip"):
        chat_prompt("x", history=["A", "B"], history_facts=["by Jo"])


def test_a_title_named_that_stands_in_the_history_is_told_of_there_alone() -> None:
    told = {"history": ["C"], "history_facts": ["by Jo"], "named": {"C": "by Jo"}}
    (message,) = chat_prompt("like C", **told)
    assert message["content"].count("by Jo") == 1
    assert "titles named" not in message["content"]


def test_chat_form_without_candidates_is_open() -> None:
    (message,) = chat_prompt("A slow one?")
    assert message["content"] == (
        "You are a recommendation assistant. Reason line by line about what would fit, then end with the item that you "
        "recommend as \\boxed{Title (Year)}.\n\nRequest: A slow one?"
    )


def test_sentence_form_is_the_request_and_its_candidates_alone() -> None:
    (message,) = sentence_prompt("Find a drama", candidates=["A", "B"], history=["C"], profile="old", item="movie")
    assert message == {"role": "user", "content": "Find a drama\n1) A\n2) B"}


@pytest.mark.parametrize("form", FORMS)
def test_a_dataset_asks_in_its_form(form: str) -> None:
    dataset = DatasetDescription(noun="film", form=form)
    built = FORMS[form].build("x", candidates=["A"], history=["B"], item="film")
    assert dataset.prompt("x", candidates=["A"], history=["B"]) == built
    assert dataset.prompt("x", noun="book") == FORMS[form].build("x", item="book")
