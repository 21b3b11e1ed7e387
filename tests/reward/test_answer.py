"""Boxes and lists: what a response recommends."""

from __future__ import annotations

import time

import numpy as np
import pytest
import reward_reference as reference
from hypothesis import given
from hypothesis import strategies as st
from reward_reference import TITLES

from rerec_engine import _core
from rerec_engine.graph.catalogue import Catalogue

NOBODY = np.zeros(0, dtype=np.int32)
FIRST, LAST = _core.Which.first, _core.Which.last
CATALOGUE = Catalogue(TITLES)
REFERENCE = reference.ReferenceCatalogue(TITLES)

PIECES = [
    "\\boxed{", "{", "}", "}", "\\{", "\\}", "\\", "\\text{", "\\textbf{", "\n", "\r\n", "[SEP]", ";", "; ",
    "1. ", "(2) ", "12) ", "3.", "- ", "* ", "•", "\"", "“", "”", "'", "**", "(500) ", " ", "\t", ".", ",",
    "Heat (1995)", "heat", "The Usual Suspects", "Et Dieu; créa la femme (1956)", "Et Dieu", "créa la femme", "Hamlet",
    "(1990)", "Nobody Knows", "nobody  knows!", "x", "é", "\x00",
]  # fmt: skip
answers = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)
texts = answers | answers.map(lambda text: f"Think {{\n\\boxed{{{text}}}\nDone") | st.text(max_size=20)


def boxed(text: str, which: _core.Which = LAST) -> str | None:
    found = _core.boxed(text, which)
    return None if found is None else found[1].decode()


def read(text: str, which: _core.Which = LAST, candidates: np.ndarray = NOBODY) -> list[tuple[int, str]]:
    found = _core.read_answer(text, CATALOGUE.core, candidates, which)
    return [(item, entry.decode("utf-8", "replace")) for item, entry in found]


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("\\boxed{A} then \\boxed{B}", "A", "B"),
        ("\\boxed{A {B} C}", "A {B} C", "A {B} C"),
        ("\\boxed{A} and \\boxed{B", "A", "A"),
        ("\\boxed{A", None, None),
        ("\\boxed{A { }", None, None),
        ("{ \\boxed{A}", "A", "A"),
        ("\\boxed{a \\} b}", "a \\} b", "a \\} b"),
        ("\\boxed{\\boxed{A}}", "\\boxed{A}", "A"),
        ("\\boxed{A \\boxed{B}", "B", "B"),
        ("\\\\boxed{A}", "A", "A"),
        ("\\boxed{}", "", ""),
        ("boxed{A} \\boxed A", None, None),
        ("", None, None),
    ],
)
def test_boxes(text: str, first: str | None, last: str | None) -> None:
    assert (boxed(text, FIRST), boxed(text, LAST)) == (first, last)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("Heat (1995)", [0]),
        ("  heat. ", [0]),
        ("\\text{Heat (1995)}", [0]),
        ("\\boxed{\\textbf{Heat}}", [0]),
        ("\\text{Heat} (1995)", [-1]),
        ("\\text{Heat \\\\} (1995)}", [0]),
        ('1. Heat\n2. Amélie (2001)\n3) "Seven"', [0, 9, 2]),
        ("- *Heat*\r\n• “Seven (1995)”", [0, 2]),
        ("Heat; Seven [SEP] Hamlet (1996)", [0, 2, 4]),
        ("Heat; Heat (1995); HEAT", [0]),
        ("Et Dieu; créa la femme (1956)", [7]),
        ("Heat; Et Dieu; créa la femme (1956); Seven", [0, 7, 2]),
        ("et dieu, crea la femme", [7]),
        ("Nobody Knows; nobody  knows!; Heat", [-1, 0]),
        ("Hamlet", [-1]),
        ("; ;\n ", []),
        ("", []),
        ("...", []),
        ("Heat (1995) - a fine film", [0]),
        ("2010", [10]),
        ("2010 (1984)", [10]),
    ],
)
def test_entries(content: str, expected: list[int]) -> None:
    assert [item for item, _ in read(f"So:\n\\boxed{{{content}}}", FIRST)] == expected


def test_candidates_decide_what_is_ambiguous() -> None:
    assert read("\\boxed{Hamlet}", candidates=np.array([0, 4], dtype=np.int32)) == [(4, "Hamlet")]
    assert read("\\boxed{Hamlet}", candidates=np.array([3, 4], dtype=np.int32)) == [(-1, "Hamlet")]


def test_the_entries_read_are_limited() -> None:
    found = read("\\boxed{" + ";".join(f"film {i}" for i in range(3000)) + "}")
    assert len(found) == 1000
    assert found[999] == (-1, "film 999")


@given(texts)
def test_boxes_equal_the_reference(text: str) -> None:
    found = reference.boxes(text)
    for which, choose in ((FIRST, min), (LAST, max)):
        want = choose(found) if found else None
        assert boxed(text, which) == (None if want is None else text[want[1] : want[2]])


@given(texts, st.booleans(), st.sets(st.integers(0, len(TITLES) - 1), max_size=4))
def test_answers_equal_the_reference(text: str, first: bool, among: set[int]) -> None:
    expected = reference.read_answer(text, REFERENCE, sorted(among), first)
    assert read(text, FIRST if first else LAST, np.array(sorted(among), dtype=np.int32)) == expected.entries


@given(texts, st.sets(st.integers(0, len(TITLES) - 1), max_size=4))
def test_matches_equal_the_reference(text: str, among: set[int]) -> None:
    assert CATALOGUE.match(text, sorted(among)) == REFERENCE.match(text, sorted(among))


HOSTILE = [
    "\\boxed{",
    "\n",
    "\\boxed{}",
    "{",
    "}",
    "\\",
    "a;",
    "(",
    "[",
    "[SEP]",
    "()",
    "'",
    "1. ",
    "\\text{",
    "é;x ",
    "\x00",
]


@pytest.mark.slow
@pytest.mark.parametrize("piece", HOSTILE)
def test_a_megabyte_is_read_in_linear_time(piece: str) -> None:
    """Quadratic work on 1 MB would take minutes; the bound is loose so that a busy machine passes."""
    size = 1_000_000 // len(piece)
    start = time.process_time()
    for text in (piece * size, "\\boxed{" + piece * size + "}", "\\boxed{" + piece * size + "}" * size):
        read(text)
        _core.boxed(text, FIRST)
    assert time.process_time() - start < 20


@pytest.mark.parametrize("data", [b"\xff\\boxed{\xc3Heat (1995)\x00}\xf0\x9f", b"\\boxed{Heat\xed\xa0\x80}"])
def test_bytes_that_are_no_text(data: bytes) -> None:
    assert [item for item, _ in _core.read_answer(data, CATALOGUE.core, NOBODY, LAST)] == [0]
