from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rerec_engine.assistant.stream import TextStream, before_box


class ByteTokenizer:
    """Token id = byte."""

    def decode(self, ids: list[int], **_: object) -> str:
        return bytes(ids).decode("utf-8", errors="replace")


@settings(max_examples=200)
@given(st.text(alphabet="ab\\boxed{} é漢🎬\n", max_size=40))
def test_stream_writes_the_text_before_the_box_once(text: str) -> None:
    stream = TextStream(ByteTokenizer())
    pieces = [stream.feed(byte) for byte in text.encode()]
    assert "\ufffd" not in "".join(pieces)
    pieces.append(stream.close())
    assert (stream.text, stream.tokens) == (text, len(text.encode()))
    assert "".join(pieces) == text.partition("\\boxed")[0]


def test_reasoning_is_what_stands_before_the_box() -> None:
    assert before_box(" Because.\n\\boxed{Heat} and \\boxed{Alien}") == "Because."
    assert before_box("no box ") == "no box"
