from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from rerec_engine.data.rows import (
    NAMED_FIELDS,
    ItemResolver,
    RowError,
    check_candidates,
    last_of_user,
    parse_row,
    row_schema,
    split_ground_truth,
    to_row,
)
from rerec_engine.types import Message, Query

TITLES = ("Heat (1995)", "Alien (1979)", "L'Associé; or not (1982)")
ITEMS = ItemResolver(TITLES, lambda title, candidates: 0 if title == "Heat" else -1)
MESSAGES = (Message(role="user", content="Request: a film\n1) Heat"), Message(role="assistant", content="Hm"))
QUERY = Query("q", MESSAGES, (1,), (1, 0), "explicit", 2, 1, (2,), "a film")


def parsed(row: dict[str, Any]) -> Query:
    return parse_row(row, ITEMS, users=2, default_id="train-1")


def test_row_and_query_are_inverse() -> None:
    row = to_row(QUERY, 4, "train", TITLES, "films")
    assert row["data_source"] == "films"
    assert row["reward_model"] == {"style": "rule", "ground_truth": ["Alien (1979)"]}
    assert (row["extra_info"]["index"], row["extra_info"]["request"]) == (4, "a film")
    assert parsed(row) == QUERY
    assert pa.Table.from_pylist([row], row_schema({})).to_pylist() == [row]


def test_items_named_are_there_where_some_query_names_one() -> None:
    assert not {"named", "named_ids"} & set(to_row(QUERY, 0, "train", TITLES, "films")["extra_info"])
    own = replace(QUERY, named=(2, 0))
    row = to_row(own, 0, "train", TITLES, "films")
    assert row["extra_info"]["named_ids"] == [2, 0]
    assert parsed(row) == own
    assert pa.Table.from_pylist([row], row_schema(NAMED_FIELDS)).to_pylist() == [row]
    del row["extra_info"]["named_ids"]
    assert parsed(row) == own


@pytest.mark.parametrize(
    ("further", "marks"),
    [
        ({"form": "exclusion", "unseen_wording": True}, ("exclusion", "unseen wording")),
        ({"form": "explicit", "unseen_wording": False}, ()),  # its category
        ({"form": None, "unseen_wording": None}, ()),
        ({"form": 3, "unseen_wording": "yes"}, ()),  # somebody else's
    ],
)
def test_marks_of_a_made_request(further: dict[str, Any], marks: tuple[str, ...]) -> None:
    row = to_row(QUERY, 4, "train", TITLES, "films")
    assert parsed({**row, "extra_info": {**row["extra_info"], **further}}).marks == marks


def test_schema_takes_further_fields() -> None:
    extra = row_schema({"note": pa.string()}).field("extra_info").type
    assert extra.field("note").type == pa.string()
    assert extra.field("request").type == pa.string()


@pytest.mark.parametrize("field", [{}, {"request": None}])
def test_a_row_made_before_asks_what_its_prompt_says(field: dict[str, Any]) -> None:
    row = to_row(QUERY, 0, "train", TITLES, "films")
    del row["extra_info"]["request"]
    row["extra_info"].update(field)
    assert parsed(row).request == MESSAGES[0]["content"]


@pytest.mark.parametrize(("value", "user"), [(1, 1), (1.0, 1), (None, -1), (float("nan"), -1)])
def test_whole_numbers_of_a_table_with_gaps(value: float | None, user: int) -> None:
    """pandas writes 1.0 where a column has gaps, and NaN for the gap."""
    row = to_row(QUERY, 0, "train", TITLES, "films")
    row["extra_info"].update(user_id=value, condition_num=value)
    query = parsed(row)
    assert (query.user_id, query.condition_num) == (user, max(user, 0))


def test_the_last_word_of_the_user_counts() -> None:
    talk = [Message(role=r, content=c) for r, c in (("user", "a"), ("user", "b"), ("assistant", "c"))]
    assert last_of_user(talk) == "b"
    assert last_of_user(talk[2:]) == "c"


def test_a_title_is_resolved_by_its_letters_before_the_catalogue() -> None:
    asked = []
    items = ItemResolver(TITLES, lambda title, candidates: asked.append((title, candidates)) or -1)  # type: ignore[func-returns-value]
    assert items.item("Alien (1979)") == 1
    assert items.item("Alien", [1]) == -1
    assert asked == [("Alien", [1])]


def test_a_title_with_a_semicolon_is_one_title() -> None:
    assert split_ground_truth("L'Associé; or not (1982)", ITEMS) == ["L'Associé; or not (1982)"]
    assert split_ground_truth("Heat (1995); Alien (1979);", ITEMS) == ["Heat (1995)", "Alien (1979)"]


def test_the_truth_is_among_the_candidates() -> None:
    check_candidates([1], [], TITLES)
    check_candidates([1], [0, 1], TITLES)
    with pytest.raises(RowError, match=r"ground truth 'Alien \(1979\)' is not among the candidates"):
        check_candidates([0, 1], [0], TITLES)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"user_id": 2}, "user out of range"),
        ({"user_id": True}, "broken row"),
        ({"request": 3}, "broken row"),
        ({"candidate_ids": [1, 9]}, "item out of range"),
        ({"candidate_ids": [1]}, "ids and titles disagree"),
        ({"candidate_ids": [1, 2]}, "ids and titles disagree"),
        ({"candidates": ["Gone", "Heat (1995)"], "candidate_ids": None}, "title in no catalogue"),
        ({"candidate_ids": [1, 1], "candidates": []}, "repeated candidates"),
    ],
)
def test_a_fault_has_its_reason(change: dict[str, Any], reason: str) -> None:
    row = to_row(QUERY, 0, "train", TITLES, "films")
    row["extra_info"].update(change)
    with pytest.raises(RowError) as raised:
        parsed(row)
    assert raised.value.reason == reason
