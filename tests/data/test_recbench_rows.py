from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerec_engine.data import recbench_rows
from rerec_engine.errors import UserError

PARSERS = [
    lambda row: recbench_rows.parse_condition_row(row, "explicit"),
    lambda row: recbench_rows.parse_decoded_row(row, "explicit"),
    lambda row: recbench_rows.parse_group(row, 0, "interest"),
]
EXPLICIT: dict[str, Any] = {
    "source_user": "7",
    "condition_num": 2,
    "movieCount": 2,
    "movieSubset": ["Film 1 (1991)", "Film 2 (1992)"],
    "movieSubsetId": [101, 102],
    "sharedRelationships": [["Starring", "Ann Able"], ["Genre", "War"]],
    "direct_description_query": "War films with Ann Able?",
    "situational_description_query": "I would love a war film in which Ann Able plays.",
    "data_idx": 5,
}
values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("parse", PARSERS)
@given(st.dictionaries(st.sampled_from([*EXPLICIT, "query", "id", "complete", "gt_size", "gt_item_ids", "gt_other",
                                        "query & ground true", "bookSubset"]), values) | values)  # fmt: skip
def test_a_row_parser_returns_or_raises_value_error(parse: Any, row: object) -> None:
    with suppress(ValueError):
        parse(row)


@given(st.sampled_from(list(EXPLICIT)), values)
def test_a_damaged_row_never_changes_silently(key: str, value: object) -> None:
    """Damage to one field leaves every field of the query that does not come from it."""
    whole = recbench_rows.parse_condition_row(EXPLICIT, "explicit")
    try:
        damaged = recbench_rows.parse_condition_row({**EXPLICIT, key: value}, "explicit")
    except ValueError:
        return
    fields = {"movieSubset": "titles", "movieSubsetId": "source_ids", "sharedRelationships": "conditions",
              "source_user": "user", "data_idx": "id", "condition_num": "condition_num",
              "situational_description_query": "text"}  # fmt: skip
    for name in ("titles", "source_ids", "conditions", "user", "id", "condition_num", "text"):
        if fields.get(key) != name:
            assert getattr(damaged, name) == getattr(whole, name)


def test_a_condition_row() -> None:
    raw = recbench_rows.parse_condition_row(EXPLICIT, "explicit")
    assert (raw.id, raw.user, raw.condition_num, raw.item) == ("explicit-5", "7", 2, "movie")
    assert raw.text == "I would love a war film in which Ann Able plays."
    assert recbench_rows.parse_condition_row(EXPLICIT, "explicit", "direct").text == "War films with Ann Able?"
    assert raw.titles == ("Film 1 (1991)", "Film 2 (1992)")
    assert raw.source_ids == ("101", "102")
    assert raw.conditions == (("Starring", "Ann Able"), ("Genre", "War"))


def test_numbers_of_a_table_with_gaps() -> None:
    """pandas writes 3.0 where a column has gaps, and NaN for the gap."""
    changes = {"source_user": 3.0, "movieSubsetId": [101.0, 102.0], "data_idx": 5.0, "condition_num": 2.0}
    raw = recbench_rows.parse_condition_row({**EXPLICIT, **changes}, "explicit")
    assert (raw.user, raw.source_ids, raw.id, raw.condition_num) == ("3", ("101", "102"), "explicit-5", 2)
    assert recbench_rows.parse_condition_row({**EXPLICIT, "source_user": float("nan")}, "explicit").user == ""
    with pytest.raises(ValueError, match=r"condition_num must be a count, got 2\.5"):
        recbench_rows.parse_condition_row({**EXPLICIT, "condition_num": 2.5}, "explicit")
    row = {"id": 4.0, "query": "A?", "complete": True, "gt_size": 1.0, "gt_item_ids": [7.0], "gt_other": []}
    assert recbench_rows.parse_decoded_row(row, "implicit").source_ids == ("7",)


def test_a_decoded_row_tells_what_is_undecided() -> None:
    row = {"id": 4, "query": " A film? ", "complete": True, "gt_size": 3, "gt_item_ids": [7], "gt_other": ["X", [8, 9]]}
    raw = recbench_rows.parse_decoded_row(row, "implicit")
    assert (raw.id, raw.text, raw.source_ids, raw.others, raw.undecided) == ("implicit-4", "A film?", ("7",), ("X",), 1)
    with pytest.raises(ValueError, match="gt_size is 4, but there are 1 ids and 2 other titles"):
        recbench_rows.parse_decoded_row({**row, "gt_size": 4}, "implicit")
    assert not recbench_rows.parse_decoded_row({**row, "gt_size": 4, "complete": False}, "implicit").complete


def test_a_broken_query_leaves_its_group() -> None:
    entries = [{}, {"query": "A?", "movie subset": ["Heat"]}, {"query": 3}, {"query": "B?", "book subset": ["Emma"]}]
    first, broken, last = recbench_rows.parse_group({"query & ground true": entries}, 6, "interest")
    assert isinstance(first, recbench_rows.RawQuery)
    assert isinstance(last, recbench_rows.RawQuery)
    assert (first.id, last.id, last.item) == ("interest-6-0", "interest-6-2", "book")
    assert "query 1 of group 6" in str(broken)


def test_elements_come_with_the_line_where_they_start(tmp_path: Path) -> None:
    (tmp_path / "q.json").write_text('[\n {"a":\n 1},\n\n [2], 3]')
    assert list(recbench_rows.read_json_list(tmp_path / "q.json")) == [(2, {"a": 1}), (5, [2]), (5, 3)]
    (tmp_path / "q.json").write_text("[1,\n2")
    with pytest.raises(UserError, match=r"q\.json:2: broken JSON"):
        list(recbench_rows.read_json_list(tmp_path / "q.json"))


def test_a_broken_line_is_a_value(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"a": 1}\n\n{\n')
    (first, second) = recbench_rows.read_json_lines(tmp_path / "q.jsonl")
    assert first == (1, {"a": 1})
    assert second[0] == 3
    assert isinstance(second[1], ValueError)


def test_bytes_that_are_no_text_break_their_element_alone(tmp_path: Path) -> None:
    one, two, three = '{"a": "é"}'.encode(), b'{"a": "\xe9"}', '{"a": "ü"}'.encode()
    (tmp_path / "q.json").write_bytes(b"[" + b",\n".join((one, two, three)) + b"]")
    (tmp_path / "q.jsonl").write_bytes(b"\n".join((one, two, three)))
    for read, name in ((recbench_rows.read_json_list, "q.json"), (recbench_rows.read_json_lines, "q.jsonl")):
        first, second, third = read(tmp_path / name)
        assert (first, third) == ((1, {"a": "é"}), (3, {"a": "ü"}))
        assert second[0] == 2
        assert "bytes that are no text" in str(second[1])
