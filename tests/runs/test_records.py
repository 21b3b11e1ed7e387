"""What a run logs, read back."""

from __future__ import annotations

import pytest

from rerec_engine.errors import UserError
from rerec_engine.runs.records import read_records, token_count


def test_lines_in_order_and_none_without_a_file(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert read_records(path) == []
    path.write_text('{"step": 1, "reward": 0.5}\n{"step": 2, "reward": null}\n')
    assert read_records(path) == [{"step": 1, "reward": 0.5}, {"step": 2, "reward": None}]


def test_a_last_line_that_is_not_whole_yet_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2, "rew')
    assert read_records(path) == [{"step": 1}]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"step": 1\n{"step": 2}\n', r"metrics\.jsonl:1: not JSON"),
        ('{"step": 1}\n[2]\n', r"metrics\.jsonl:2: no step"),
        ('{"step": "1"}\n', r"metrics\.jsonl:1: no step"),
    ],
)
def test_what_is_no_record_is_named_by_its_row(tmp_path, text, told):
    path = tmp_path / "metrics.jsonl"
    path.write_text(text)
    with pytest.raises(UserError, match=told):
        read_records(path)


def test_tokens_of_steps():
    assert (
        token_count(
            [{"seconds_total": 2.0, "tokens_per_second": 100.0}, {"seconds_total": 0.5, "tokens_per_second": 8}]
        )
        == 204
    )
    assert token_count([]) == 0
