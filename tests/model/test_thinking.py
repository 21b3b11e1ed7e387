"""Blocks of reasoning kept apart from the answer, at once and as a text comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.model.thinking import CLOSE, OPEN, Splitter, answer, blocks, spans, thoughts

BOX = r"\boxed{A}"


@pytest.mark.parametrize(
    ("text", "opened", "thinking", "said"),
    [
        ("", False, "", ""),
        (f"a {BOX}", False, "", f"a {BOX}"),
        (f"<think>\nhm {BOX}\n</think>\n\nSo \\boxed{{B}}", False, f"hm {BOX}", "\n\nSo \\boxed{B}"),
        (f"hm\n</think>\n{BOX}", False, "hm", f"\n{BOX}"),
        (f"hm\n</think>\n{BOX}", True, "hm", f"\n{BOX}"),
        (f"hm {BOX}", True, f"hm {BOX}", ""),
        (f"<think> never closed {BOX}", False, f"never closed {BOX}", ""),
        (f"<think>a</think>{BOX}<think>b", False, "a\n\nb", BOX),
        ("<think>a</think>b<think>c</think>d", False, "a\n\nc", "bd"),
        ("<think></think>b", False, "", "b"),
        ("<think>a <think> b</think>c", False, "a <think> b", "c"),
        ("<think>a</think>b</think>c", False, "a\n\nb", "c"),
        ("<think >a</ think>", False, "", "<think >a</ think>"),
    ],
)
def test_what_is_thought_and_what_is_said(text, opened, thinking, said):
    assert (thoughts(text, opened), answer(text, opened)) == (thinking, said)


PIECES = st.lists(st.sampled_from(["a", "<", "<th", "ink>", "</", "think>", OPEN, CLOSE, "é\n", "<think"]), max_size=12)


@given(PIECES, st.booleans(), st.data())
def test_parts_are_the_text_without_the_marks(pieces, opened, data):
    text = "".join(pieces)
    assert [text[begin:end] for _, begin, end in spans(text, opened)] == [part for _, part in blocks(text, opened)]
    assert CLOSE not in answer(text, opened)
    assert answer(answer(text, opened)) == answer(text, opened) or OPEN in answer(text, opened)
    known = text.count(CLOSE) <= text.count(OPEN) + opened and CLOSE not in "".join(
        part for kind, part in Splitter(opened).feed(text, last=True) if not kind
    )
    splitter, found = Splitter(opened), {False: "", True: ""}
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        for kind, part in splitter.feed(text[begin:end], last=end == len(text) and begin == ([0, *cuts])[-1]):
            assert part
            found[kind] += part
    if known:
        assert found[False] == answer(text, opened)
        assert found[True] == "".join(part for kind, part in blocks(text, opened) if kind)


def test_a_part_is_given_as_soon_as_it_is_certain():
    splitter = Splitter()
    fed = [list(splitter.feed(piece)) for piece in ("a <", "b<th", "ink>c</thin", "k>", "d<think")]
    assert fed == [[(False, "a ")], [(False, "<b")], [(True, "c")], [], [(False, "d")]]
    assert list(splitter.feed("", last=True)) == [(False, "<think")]
