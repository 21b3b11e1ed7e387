from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerec_engine.assistant.answer import MAX_REQUEST, Assistant, TextStream, build_messages
from rerec_engine.data.dataset import Dataset
from rerec_engine.errors import UserError
from rerec_engine.types import Message, Sampling


class ByteTokenizer:
    """Token id = byte."""

    def decode(self, ids: list[int], **_: object) -> str:
        return bytes(ids).decode("utf-8", errors="replace")


def assistant(films: Dataset, response: str, limit: int = 10_000) -> tuple[Assistant, list[Sequence[Message]]]:
    prompts: list[Sequence[Message]] = []

    def encode(messages: Sequence[Message]) -> list[int]:
        prompts.append(messages)
        return [0]

    def stream(prompt: Sequence[int], sampling: Sampling) -> Iterator[int]:
        yield from response.encode()[: sampling.max_new_tokens]

    return Assistant(films, ByteTokenizer(), encode, stream, Sampling(limit, temperature=0.0)), prompts


def test_reasoning_is_streamed_and_items_carry_their_evidence(films: Dataset) -> None:
    who, prompts = assistant(films, "Heat is a crime film.\nMann made it.\n\\boxed{Heat (1995); Alien}")
    ask = who.prepare("a crime film by Michael Mann please")
    pieces: list[str] = []
    answer = who.answer(ask, write=pieces.append)
    assert "".join(pieces) == "Heat is a crime film.\nMann made it.\n"
    assert len(pieces) > 10
    assert answer.reasoning == "Heat is a crime film.\nMann made it."
    assert [item.title for item in answer.items] == ["Heat (1995)", "Alien (1979)"]
    assert answer.items[0].attributes == (("Genre", "Crime"), ("Directed_by", "Michael Mann"))
    assert answer.items[0].asked == ("Crime", "Michael Mann")
    assert answer.items[1].asked == ()
    assert answer.notes == ()
    assert list(prompts[0]) == list(films.queries("train")[0].messages)  # the dataset's own prompt
    restored = json.loads(json.dumps(answer.to_json(films.titles)))
    assert restored["candidates"] == ["Heat (1995)", "Amélie (2001)", "Alien (1979)"]
    assert restored["items"][0]["attributes"][0] == {"relation": "Genre", "value": "Crime", "asked": True}


@pytest.mark.parametrize(
    ("response", "items", "unknown", "note"),
    [
        ("no idea", [], (), "no answer in a box"),
        ("", [], (), "no answer in a box"),
        ("hm \\boxed{}", [], (), "no answer in a box"),
        ("\\boxed{Hear (1995)}", [], ("Hear (1995)",), "in no catalogue, so left out: Hear (1995)"),
        ("\\boxed{Gladiator (2000)}", ["Gladiator (2000)"], (), "not among the candidates: Gladiator (2000)"),
        ("\\boxed{Heat; Heat (1995)}", ["Heat (1995)"], (), ""),
    ],
)
def test_an_answer_is_never_invented(
    films: Dataset, response: str, items: list[str], unknown: tuple[str, ...], note: str
) -> None:
    who, _ = assistant(films, response)
    answer = who.answer(who.prepare("x", candidates=["Heat", "Alien"]))
    assert [item.title for item in answer.items] == items
    assert answer.unknown == unknown
    assert note in " ".join(answer.notes)
    assert bool(note) == bool(answer.notes)


def test_cut_off_is_told_and_top_k_cuts(films: Dataset) -> None:
    who, _ = assistant(films, "\\boxed{Heat; Alien} and so on", limit=20)
    answer = who.answer(who.prepare("x"), top_k=1)
    assert len(answer.items) == 1
    assert "cut off after 20 tokens" in answer.notes[0]


def test_ambiguous_title_is_read_among_the_candidates(films: Dataset) -> None:
    who, _ = assistant(films, "\\boxed{Solaris}")
    ask = who.prepare("x", candidates=["Solaris (2002)", "Heat"])
    assert [item.title for item in who.answer(ask).items] == ["Solaris (2002)"]
    ask = who.prepare("x", candidates=["Alien", "Heat"])
    assert who.answer(ask).unknown == ("Solaris",)


def test_candidates_come_from_the_request_the_query_or_the_rule(films: Dataset) -> None:
    who, _ = assistant(films, "")
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
    who, _ = assistant(films, "")
    ask = who.prepare("anything at all", user=1)
    assert not {6, 7, 10} & set(ask.candidates)
    assert "- Gladiator (2000)" in ask.messages[0]["content"]


@pytest.mark.parametrize(
    ("text", "settings_", "message"),
    [
        (" \n", {}, "a request has 1 to"),
        ("x" * (MAX_REQUEST + 1), {}, "a request has 1 to"),
        ("x", {"user": 2}, r"--user must be in 0\.\.1, got 2"),
        ("x", {"user": -1}, r"--user must be in 0\.\.1, got -1"),
        ("x", {"candidates": ["Heat", "Hear"]}, "--candidates: Hear: in no catalogue"),
        ("x", {"candidates": ["Solaris"]}, "ambiguous"),
    ],
)
def test_bad_requests_are_refused(films: Dataset, text: str, settings_: dict[str, object], message: str) -> None:
    who, _ = assistant(films, "")
    with pytest.raises(UserError, match=message):
        who.prepare(text, **settings_)  # type: ignore[arg-type]


@settings(max_examples=200)
@given(st.text(alphabet="ab\\boxed{} é漢🎬\n", max_size=40))
def test_stream_writes_the_text_before_the_box_once(text: str) -> None:
    pieces: list[str] = []
    stream = TextStream(ByteTokenizer(), pieces.append)
    for byte in text.encode():
        stream.feed(byte)
        assert "\ufffd" not in "".join(pieces)
    assert stream.close() == text
    assert "".join(pieces) == text.partition("\\boxed")[0]


def test_demo_prompt_is_the_demos_own() -> None:
    from rerec_engine.data.demo import build_prompt

    expected = tuple(build_prompt("Find a drama", ["A", "B"], ["C"]))
    assert build_messages("rerec_engine/demo", "Find a drama", ["A", "B"], ["C"]) == expected
