from __future__ import annotations

from pathlib import Path

import pytest

from rerec_engine.data.lengths import fitting, left_out, longer, room_for
from rerec_engine.errors import UserError
from rerec_engine.types import Query


@pytest.mark.parametrize(("lengths", "limit"), [([768], 768), ([1, 700], 768), ([], 5)])
def test_nothing_is_told_where_all_fit(lengths: list[int], limit: int) -> None:
    assert longer(lengths, limit) == ""


def test_what_is_left_out_and_what_would_keep_it() -> None:
    told = longer([*range(1, 100), 1000], 90)
    assert (
        told == "10 (10 %) longer than 90 tokens (95 % of all have at most 95); --data.max-prompt-tokens 1024 keeps all"
    )
    assert longer([1] * 999 + [91], 90).startswith("1 (1 %)")  # not none


@pytest.mark.parametrize(("limit", "kept"), [(None, "abc"), (3, "abc"), (2, "ac"), (0, "")])
def test_queries_whose_prompts_fit(limit: int | None, kept: str) -> None:
    texts = {"a": "x", "b": "xyz", "c": "xy"}
    queries = [Query(name, ({"role": "user", "content": text},), (0,)) for name, text in texts.items()]
    found = fitting(queries, lambda messages: [0] * len(messages[0]["content"]), limit)
    assert "".join(query.id for query in found) == kept


@pytest.mark.parametrize("longest", [1, 64, 65, 1000])
def test_the_room_is_enough_and_not_much_more(longest: int) -> None:
    assert longest <= room_for([3, longest]) < longest + 64


def test_a_training_set_of_which_nothing_is_left_is_named() -> None:
    path = Path("data/train.parquet")
    assert left_out([90, 91], 90, path) == longer([90, 91], 90)
    with pytest.raises(
        UserError, match=r"^data/train\.parquet: no query is left .* \(89\), they have 90 to 1,200 .*1216$"
    ):
        left_out([1200, 90], 89, path)
    with pytest.raises(UserError, match=r"^data/train\.parquet: holds no query"):
        left_out([], 90, path)
