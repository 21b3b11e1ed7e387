from __future__ import annotations

from dataclasses import replace

from rerec_engine.assistant.exchange import Answer, Ask
from rerec_engine.assistant.grounding import Unmet
from rerec_engine.assistant.reading import read_response
from rerec_engine.assistant.text import as_text, plain, titles_in
from rerec_engine.data.dataset import Dataset

ASK = Ask("a drama", (), (0, 1), "as given")


def test_items_then_what_is_to_be_said(films: Dataset) -> None:
    answer = replace(
        read_response(films, ASK, "Mann.\n\\boxed{Heat (1995); No Such Film}"),
        unmet=(Unmet("before 1950", "nothing in the catalogue"),),
        finish="length",
        new_tokens=7,
    )
    assert as_text(answer, "--limit").splitlines() == [
        "1. Heat (1995)",
        "     Genre: Crime",
        "     Directed by: Michael Mann",
        "not met: before 1950: nothing in the catalogue",
        "note: cut off after 7 tokens (--limit)",
        "note: in no catalogue, so left out: No Such Film",
    ]
    assert titles_in(as_text(answer)) == ["Heat (1995)"]


def test_what_was_asked_for_is_marked_and_what_is_missed_told(films: Dataset) -> None:
    item = read_response(films, ASK, "\\boxed{Heat (1995)}").items[0]
    answer = Answer(ASK, "", "", (replace(item, asked=("Crime",), missed=("before 1990",)),), ())
    text = as_text(answer)
    assert "   * Genre: Crime\n" in text
    assert "   - before 1990: no\n" in text
    assert text.endswith("   (* asked for)")


def test_control_characters_never_reach_the_terminal() -> None:
    assert plain("a\x1b[2Jb\tc\nd\x07é\u202e") == "a[2Jb\tc\ndé"
    assert as_text(Answer(ASK, "", "", (), (), notes=("a\x1b[2Jb",))) == "note: a[2Jb"
