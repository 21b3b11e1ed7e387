from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerec_engine.assistant.stream import TextStream, before_box


class ByteTokenizer:
    """Token id = byte."""

    def decode(self, ids: list[int], **_: object) -> str:
        return bytes(ids).decode("utf-8", errors="replace")


PIECES = [
    "\\boxed",
    "\\boxed{",
    "\\boxed {",
    "\\boxed\n{A",
    "{",
    "}",
    "}",
    "\\}",
    "\\",
    "b",
    "a",
    " ",
    "é",
    "漢",
    "🎬",
    "\n",
    "\ufffd",
]
texts = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


def shown(text: str) -> tuple[list[str], TextStream]:
    stream = TextStream(ByteTokenizer())
    return [*(stream.feed(byte) for byte in text.encode()), stream.close()], stream


@settings(max_examples=300)
@given(texts)
def test_stream_writes_the_text_before_the_answer_once(text: str) -> None:
    pieces, stream = shown(text)
    assert (stream.text, stream.tokens) == (text, len(text.encode()))
    assert "".join(pieces).strip() == before_box(text)


@pytest.mark.parametrize(
    ("response", "reasoning"),
    [
        (" Because.\n\\boxed{Heat}", "Because."),
        ("<think> \\boxed{A}? no </think> why \\boxed{B}", "<think> \\boxed{A}? no </think> why"),
        ("a \\boxed{A} b \\boxed{B} c \\boxed{C} d", "a \\boxed{A} b \\boxed{B} c"),
        ("a \\boxed{A} b \\boxed{B", "a"),  # the second one is cut off: the answer is the first
        ("a \\boxed {A} b \\boxed\n{B}", "a \\boxed {A} b"),
        ("why \\boxed{\\boxed{A}}", "why"),
        ("why \\boxed{\\text{\\boxed{A}} x}", "why"),
        ("the \\boxed format: \\boxed{A}", "the \\boxed format:"),
        ("give it as \\boxed{ and \\boxed{A}", "give it as \\boxed{ and"),
        ("é漢 \\boxed{A} é \\boxed{B}", "é漢 \\boxed{A} é"),
        ("no box ", "no box"),
        ("cut \\boxed{Heat", "cut"),
        ("cut \\boxed", "cut \\boxed"),
    ],
)
def test_reasoning_is_what_stands_before_the_answers_box(response: str, reasoning: str) -> None:
    assert before_box(response) == reasoning
    assert "".join(shown(response)[0]).strip() == reasoning


def test_the_first_box_is_held_until_another_one_is_closed() -> None:
    pieces, _ = shown("a \\boxed{A} b \\boxed{B} c")
    at = len("a \\boxed{A} b \\boxed{B}")
    assert "".join(pieces[: at - 1]) == "a "
    assert pieces[at - 1] == "\\boxed{A} b "
    assert "".join(pieces[at:]) == ""
