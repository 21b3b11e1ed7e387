from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerec_engine.assistant.stream import TextStream, Thought, before_box
from rerec_engine.model.small_model import corpus_tokenizer


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
    fed = [*(stream.feed(byte) for byte in text.encode()), stream.close()]
    return ["".join(piece for piece in pieces if isinstance(piece, str)) for pieces in fed], stream


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
        ("hm \\boxed{A}? no; why \\boxed{B}", "hm \\boxed{A}? no; why"),
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


@pytest.mark.parametrize(
    ("response", "opened", "thoughts", "said"),
    [
        ("<think> \\boxed{A}? no </think>\n\nwhy \\boxed{B}", False, " \\boxed{A}? no ", "why "),
        ("é <b </think> why \\boxed{B}", True, "é <b ", "why "),
        ("never closed \\boxed{B}", True, "never closed \\boxed{B}", ""),
        ("a < b", False, "", "a < b"),
    ],
)
def test_a_block_of_reasoning_comes_as_thoughts(response: str, opened: bool, thoughts: str, said: str) -> None:
    stream = TextStream(ByteTokenizer(), opened)
    pieces = [piece for fed in (*map(stream.feed, response.encode()), stream.close()) for piece in fed]
    assert "".join(piece.text for piece in pieces if isinstance(piece, Thought)) == thoughts
    assert "".join(piece for piece in pieces if isinstance(piece, str)) == said
    assert stream.text == response


def test_the_first_box_is_held_until_another_one_is_closed() -> None:
    pieces, _ = shown("a \\boxed{A} b \\boxed{B} c")
    at = len("a \\boxed{A} b \\boxed{B}")
    assert "".join(pieces[: at - 1]) == "a "
    assert pieces[at - 1] == "\\boxed{A} b "
    assert "".join(pieces[at:]) == ""


def test_a_block_of_reasoning_whose_marks_are_special_tokens_is_told_apart() -> None:
    tokenizer = corpus_tokenizer(["so"], vocab_size=300)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<think>", "</think>"]})
    stream = TextStream(tokenizer)
    ids = tokenizer("<think>so</think>Heat\\boxed{Heat}", add_special_tokens=False)["input_ids"]
    pieces = [*(piece for id in ids for piece in stream.feed(id)), *stream.close()]
    assert "".join(piece.text for piece in pieces if isinstance(piece, Thought)) == "so"
    assert "".join(piece for piece in pieces if isinstance(piece, str)) == "Heat"
