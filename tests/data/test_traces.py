from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rerec_engine.data.traces import Trace, read_traces, write_traces
from rerec_engine.errors import UserError
from rerec_engine.types import Message

TRACES = [
    Trace("short", [Message(role="user", content="Find a film\n1) Heat")], "1) Heat yes\n\\boxed{ Heat}"),
    Trace("full", [Message(role="system", content="é"), Message(role="user", content="?")], "漢字"),
]


def test_traces_come_back_in_order(tmp_path: Path) -> None:
    write_traces(tmp_path / "t.parquet", TRACES)
    assert read_traces(tmp_path / "t.parquet") == TRACES
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]
    write_traces(tmp_path / "t.parquet", TRACES[:1])
    assert read_traces(tmp_path / "t.parquet") == TRACES[:1]


@pytest.mark.parametrize("field", ["phase", "prompt", "response"])
def test_a_row_that_lacks_a_field_is_named(tmp_path: Path, field: str) -> None:
    empty: object = [] if field == "prompt" else ""
    write_traces(tmp_path / "t.parquet", [TRACES[0], TRACES[1]._replace(**{field: empty})])
    with pytest.raises(UserError, match=r"t\.parquet:2: needs a phase, a prompt and a response"):
        read_traces(tmp_path / "t.parquet")


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"phase": ["a"], "prompt": [None]}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match="column response is missing"):
        read_traces(tmp_path / "t.parquet")
