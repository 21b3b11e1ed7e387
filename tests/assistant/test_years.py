from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.assistant.years import FIRST, LAST, find_years


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("before 1990", (FIRST, 1989)),
        ("until 1990", (FIRST, 1990)),
        ("older than the 80s", (FIRST, 1979)),
        ("after 1990", (1991, LAST)),
        ("since the nineties", (1990, LAST)),
        ("from 1990 on", (1990, LAST)),
        ("1990 or earlier", (FIRST, 1990)),
        ("between 1970 and 1980", (1970, 1980)),
        ("between 1980 and 1970", (1970, 1980)),
        ("1970-1979", (1970, 1979)),
        ("from the 60s to the 80s", (1960, 1989)),
        ("in 1994", (1994, 1994)),
        ("a 1994 film", (1994, 1994)),
        ("the 1980s", (1980, 1989)),
        ("80's films", (1980, 1989)),
        ("the late eighties", (1980, 1989)),
        ("the 00s", (2000, 2009)),
    ],
)
def test_years_are_read(text: str, years: tuple[int, int]) -> None:
    assert [span.years for span in find_years(text, lambda _: None)] == [years]


@pytest.mark.parametrize("text", ["Heat (1995)", "in my late 30s", "room 1408b", "12345", "90 minutes", ""])
def test_no_year_is_seen(text: str) -> None:
    assert find_years(text, lambda _: None) == []


def test_comparisons_need_something_to_compare_with() -> None:
    assert find_years("something older", lambda _: (1979, 1995))[0].years == (FIRST, 1978)
    assert find_years("something newer", lambda _: (1979, 1995))[0].years == (1996, LAST)
    assert find_years("something older", lambda _: None)[0].years is None


@given(st.text(alphabet="0123456789s'the -befor19 20andtl", max_size=40))
def test_spans_lie_in_the_text_without_overlap(text: str) -> None:
    spans = find_years(text, lambda _: (1990, 1990))
    assert all(0 <= s.start < s.end <= len(text) for s in spans)
    assert all(a.end <= b.start for a, b in pairwise(spans))
