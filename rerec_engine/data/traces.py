"""Reasoning traces for a supervised warm start: `warm_start.parquet` of a dataset directory."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from rerec_engine.data.store import read_table
from rerec_engine.errors import file_error
from rerec_engine.files import replacing
from rerec_engine.types import Message

_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_SCHEMA = pa.schema([("phase", pa.string()), ("prompt", _MESSAGES), ("response", pa.string())])


class Trace(NamedTuple):
    """One example: the teacher's answer to a prompt."""

    phase: str  # traces of one phase are mixed, phases are not
    prompt: list[Message]
    response: str


FILE = "warm_start.parquet"
"""Of a dataset directory."""


def encode_traces(traces: Sequence[Trace]) -> bytes:
    """The file's content."""
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([trace._asdict() for trace in traces], _SCHEMA), content, compression="zstd")
    return content.getvalue()


def write_traces(path: Path, traces: Sequence[Trace]) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(encode_traces(traces))


def read_traces(path: Path) -> list[Trace]:
    """Traces in file order. A broken row is a `UserError` naming it."""
    traces = []
    for number, row in enumerate(read_table(path, ("phase", "prompt", "response")).to_pylist(), 1):
        if not row["phase"] or not row["prompt"] or not row["response"]:
            raise file_error(path, "needs a phase, a prompt and a response", number)
        traces.append(Trace(**row))
    return traces
