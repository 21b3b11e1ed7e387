from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rerec_engine.data.counts import Counts
from rerec_engine.data.join import Drop, Joiner, Mismatch, read_queries
from rerec_engine.data.recbench_rows import RawQuery
from rerec_engine.data.sources import SourceItems
from rerec_engine.errors import UserError

TITLES = ("Heat (1995)", "Twin (1950)", "Twin (1980)")


@pytest.fixture
def joiner() -> Joiner:
    """Source ids 100, 101, 102; "Twin" is either of two."""
    items = SourceItems()
    for i, title in enumerate(TITLES):
        items.add(str(100 + i), title, int(title[-5:-1]))
    return Joiner(items, lambda title: [i for i, own in enumerate(TITLES) if own.startswith(title)])


def raw(**fields: Any) -> RawQuery:
    return RawQuery(**{"id": "explicit-1", "category": "explicit", "text": "A film?", **fields})


def test_ids_and_titles_are_joined_in_order(joiner: Joiner) -> None:
    joined = joiner.join(raw(titles=("Twin (1980)", "Gone (1901)", "Heat", "Heat (1995)")))
    assert (joined.items, joined.missing, joined.repeated) == ((2, 0), 1, 1)
    assert joiner.join(raw(source_ids=("102", "999"), others=("Heat",))).items == (2, 0)
    assert joiner.join(raw(titles=("Twin",), source_ids=("101",))).items == (1,)  # the id decides


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"complete": False}, "incomplete label"),
        ({"text": ""}, "no query text"),
        ({"undecided": 1}, "ambiguous title"),
        ({"titles": ("Twin",)}, "ambiguous title"),
        ({}, "empty ground truth"),
        ({"titles": ("Gone (1901)",)}, "ground truth not in catalogue"),
    ],
)
def test_a_row_that_cannot_be_used_has_its_reason(joiner: Joiner, fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(Drop, match=f"^{reason}$"):
        joiner.join(raw(**fields))


def test_an_id_with_anothers_title_is_a_mismatch(joiner: Joiner) -> None:
    with pytest.raises(Mismatch, match=r"item 100 is 'Heat \(1995\)', but the title 'Twin \(1980\)'"):
        joiner.join(raw(titles=("Twin (1980)",), source_ids=("100",)))


def test_rows_of_a_file_are_counted(joiner: Joiner, tmp_path: Path) -> None:
    row = {"complete": True, "gt_size": 1, "gt_item_ids": [100], "query": "A film?"}
    rows = [{**row, "id": 1}, {**row, "id": 2, "query": "a  FILM?"}, {**row, "id": 1, "query": "Other?"}]
    path = tmp_path / "q.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UserError, match=r"q\.jsonl:3: id explicit-1 occurs twice"):
        read_queries(path, "explicit", joiner, Counts())
    counts = Counts()
    (query,) = read_queries(path, "explicit", joiner, counts, skip_bad=True)
    counts.check()
    assert (query.raw.id, query.items) == ("explicit-1", (0,))
    assert counts.dropped("explicit") == {"duplicate": 1, "broken row": 1}
