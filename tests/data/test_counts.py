from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.data.counts import EXAMPLES, Counts


def test_counts_that_do_not_add_up_are_refused() -> None:
    counts = Counts()
    counts.read("rows", 3)
    counts.keep("rows", 1)
    counts.drop("rows", "too short", "f:2")
    with pytest.raises(ValueError, match="read 3 != kept 1"):
        counts.check()
    counts.drop("rows", "too long")
    counts.check()
    assert counts.table().splitlines()[1].split() == ["rows", "3", "1", "2", "too", "long", "1,", "too", "short", "1"]
    assert counts.to_json()["examples"] == {"rows: too short": ["f:2"]}


def test_what_was_never_read_is_a_fault() -> None:
    counts = Counts()
    counts.keep("rows")
    with pytest.raises(ValueError, match="read 0 != kept 1"):
        counts.check()
    assert counts.kinds() == ["rows"]


def test_a_few_places_of_a_drop_are_kept() -> None:
    counts = Counts()
    for line in range(20):
        counts.drop("rows", "broken", f"f:{line}")
    counts.drop("rows", "empty")
    assert counts.examples["rows: broken"] == [f"f:{line}" for line in range(EXAMPLES)]
    assert "rows: empty" not in counts.to_json()["examples"]


def test_notes_add_up_outside_the_sums() -> None:
    counts = Counts()
    counts.note("open", 2)
    counts.note("open")
    counts.check()
    assert counts.table().splitlines()[-1] == "open: 3"


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["", "short", "long"]))))
def test_rows_are_kept_or_dropped(rows: list[tuple[str, str]]) -> None:
    counts = Counts()
    for kind, reason in rows:
        counts.read(kind)
        counts.drop(kind, reason) if reason else counts.keep(kind)
    counts.check()
    assert sum(counts.read_by_kind.values()) == len(rows)
    assert sum(sum(counts.dropped(k).values()) for k in counts.kinds()) == sum(bool(reason) for _, reason in rows)
