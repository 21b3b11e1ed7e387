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
    "\\boxed{", "{", "}", "}", "\\{", "\\}", "\\", "\\text{", "\\textbf{", "\n", "\r\n", "[SEP]", ";", "; ", "1. ",
    "(2) ", "12) ", "3.", "- ", "* ", "•", "\"", "“", "”", "'", "**", "(500) ", " ", "\t", ".", ",", "\\boxed \n{",
    "\\text ", "\\textcolor{red}{", "\\begin{array}{l}", "\\end{array}", "\\\\", "&", "\\;", "\\,", "\\ ", "\\&",
    "\\(", "\\)", "\\[", "\\]", "$", "\\item ", "\\quad", "\\'", '\\"', "\\n", "\\frac", "\\bf ", "^", "~",
    "\\boxed", "\\o", "；", "，", "、", "：", "（", "）", "【", "】", "「", "」", "　", "１", "３．", "①", "⑴",
    "#1 ", "#", "No. 2 ", "nr 3: ", "[1] ", "[2]", "1: ", "24: ", "1 - ", "2 – ", "Item 3) ", "a) ", "(iv) ", "B. ",
    "1\ufe0f\u20e3", "№", "（1990）", "（1995年）", "(1990, A B)", "(Mann 1995)", "(a remake of the 1990 film)",
    "(1990s)", "(in ", "1996", "from 1990", ", 1995 film", "(or 1996)", "Heat", "Heat (1995)", "heat",
    "The Usual Suspects", "Et Dieu; créa la femme (1956)", "Et Dieu", "créa la femme", "Hamlet", "(1990)",
    "Nobody Knows", "nobody  knows!", "x", "é", "\x00",
]  # fmt: skip
answers = st.lists(st.sampled_from(PIECES), max_size=10).map("".join)
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
        ("\\boxed {A} \\boxed \n\t{B}", "A", "B"),
        ("\\boxed \\boxed {A}", "A", "A"),
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


FILMS = [
    "Heat (1995)", "Psycho (1998)", "Alien (1979)", "東京物語 (1953)", "羅生門 (1950)", "Amélie (2001)", "8½ (1963)",
    "Ocean's Eleven (2001)", "28 Days Later (2002)", "Thelma & Louise (1991)", "Alien³ (1992)",
    "#1 Cheerleader Camp (2010)", "300: Rise of an Empire (2014)", "Legacy (2010)", "3:10 to Yuma (1957)",
    "Usual Suspects, The (1995)", "No. 9 Hotel (2001)", "10: The Reckoning (2009)", "A Separation (2011)",
    "12 Angry Men (1957)",
]  # fmt: skip
BY_NAME = {
    "heat": 0, "psycho": 1, "alien": 2, "tokyo": 3, "rashomon": 4, "amelie": 5, "8": 6, "oceans": 7, "28": 8,
    "thelma": 9, "alien3": 10, "camp": 11, "300": 12, "legacy": 13, "yuma": 14, "suspects": 15, "hotel": 16, "10": 17,
    "separation": 18, "12": 19, "none": -1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        # LaTeX
        ("\\text{Heat} (1995)", "heat"),
        ("\\text{Heat}; \\text{Alien}", "heat alien"),
        ("\\textit{Heat}\\; (1995)", "heat"),
        ("\\textbf{\\textit{Heat}} \\mathrm{(1995)}", "heat"),
        ("\\mathrm{Heat\\ (1995)}", "heat"),
        ("\\mbox{Heat}~(1995)", "heat"),
        ("\\text {Heat (1995)}", "heat"),
        ("\\text\n{Heat (1995)}", "heat"),
        ("\\underline{\\emph{Heat}}\\,(1995)", "heat"),
        ("$\\text{Heat}$ (1995)", "heat"),
        ("\\(\\text{Heat (1995)}\\)", "heat"),
        ("\\[ \\text{Heat} \\]", "heat"),
        ("Heat \\(1995\\)", "heat"),
        ("{\\bf Heat} (1995)", "heat"),
        ("{{Heat} {(1995)}}", "heat"),
        ("\\textcolor{red}{Heat (1995)}", "heat"),
        ("\\fbox{Heat (1995)}", "heat"),
        ("\\\\text{Heat} (1995)", "heat"),
        ("\\large Heat \\left(1995\\right)", "heat"),
        ("\\text{Heat}\\quad\\text{(1995)}", "heat"),
        ("\\text{Heat \\\\ Alien}", "heat alien"),
        ("Heat\\nAlien", "heat alien"),
        ("\\begin{array}{l}\\text{Heat (1995)}\\\\ \\text{Alien (1979)}\\end{array}", "heat alien"),
        ("\\begin{itemize}\\item Heat\\item Alien\\end{itemize}", "heat alien"),
        ("\\begin{aligned}&\\text{Heat}\\\\&\\text{Alien}\\end{aligned}", "heat alien"),
        ("Thelma \\& Louise (1991)", "thelma"),
        ("\\#1 Cheerleader Camp", "camp"),
        ("Am\\'elie", "amelie"),
        ("Am\\'{e}lie (2001)", "amelie"),
        ("Ocean\\'s Eleven", "oceans"),
        ("8\\frac{1}{2}", "8"),
        ("Alien^{3} (1992)", "alien3"),
        ("Alien\\textsuperscript{3}", "alien3"),
        ("\\Heat", "heat"),
        ("Heat \\foo (1995)", "none"),
        # Brackets, blanks and signs of other scripts
        ("東京物語（1953）", "tokyo"),
        ("東京物語（１９５３）", "tokyo"),
        ("東京物語（1953年）", "tokyo"),
        ("東京物語【1953】", "tokyo"),
        ("「東京物語」", "tokyo"),
        ("『東京物語』（1953）", "tokyo"),
        ("《東京物語》　（1953）", "tokyo"),
        ("Heat（1995）", "heat"),
        ("Ｈｅａｔ　（１９９５）", "heat"),
        ("東京物語；羅生門", "tokyo rashomon"),
        ("Heat； Alien", "heat alien"),
        ("300：Rise of an Empire", "300"),
        ("Usual Suspects，The（1995）", "suspects"),
        ("東京物語（1950）", "none"),
        ("東京物語（1950年、小津安二郎）", "none"),
        # Numerals
        ("Ocean's 11", "oceans"),
        ("Oceans XI (2001)", "oceans"),
        ("Twenty-Eight Days Later", "28"),
        ("Twelve Angry Men", "12"),
        ("XII Angry Men", "12"),
        # Numbering
        ("#1 Heat", "heat"),
        ("#1: Heat; #2: Alien", "heat alien"),
        ("# 1. Heat", "heat"),
        ("[1] Heat\n[2] Alien", "heat alien"),
        ("1: Heat\n2: Alien", "heat alien"),
        ("① Heat ② Alien", "none"),
        ("①Heat\n②Alien", "heat alien"),
        ("⑴ Heat", "heat"),
        ("⒈Heat", "heat"),
        ("１．東京物語", "tokyo"),
        ("1、東京物語", "tokyo"),
        ("（1）東京物語", "tokyo"),
        ("【1】東京物語", "tokyo"),
        ("1 - Heat", "heat"),
        ("1 – Heat (1995)", "heat"),
        ("(1)Heat", "heat"),
        ("1] Heat", "heat"),
        ("No. 1 Heat", "heat"),
        ("No. 1: Heat", "heat"),
        ("Nr 2: Alien", "alien"),
        ("№1 Heat", "heat"),
        ("Item 3: Heat", "heat"),
        ("Option 3) Heat", "heat"),
        ("a) Heat\nb) Alien", "heat alien"),
        ("(a) Heat", "heat"),
        ("(ii) Heat", "heat"),
        ("1\ufe0f\u20e3 Heat", "heat"),
        ("**1.** Heat", "heat"),
        ("1: 12 Angry Men", "12"),
        ("a) A Separation", "separation"),
        ("Thelma \\\\& Louise", "thelma"),
        # ... that belongs to the title
        ("#1 Cheerleader Camp", "camp"),
        ("#1 cheerleader camp", "camp"),
        ("cheerleader camp", "none"),
        ("300: rise of an empire", "300"),
        ("24: Legacy", "none"),
        ("#24 Legacy", "legacy"),
        ("3:10 to yuma", "yuma"),
        ("no. 9 hotel", "hotel"),
        ("10: the reckoning", "10"),
        ("#1 Cheerleader Camp (1999)", "none"),
        # Quotes
        ("'Heat'", "heat"),
        ("«Heat» (1995)", "heat"),
        ('"Heat" (1995)', "heat"),
    ],
)
def test_ways_to_write_an_answer(content: str, expected: str) -> None:
    wanted = [BY_NAME[name] for name in expected.split()]
    for text in (f"So:\n\\boxed{{{content}}}", f"\\boxed {{{content}}}", f"\\boxed\n{{ {content} }} fine."):
        found = _core.read_answer(text, Catalogue(FILMS).core, NOBODY, LAST)
        assert [item for item, _ in found] == wanted


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
