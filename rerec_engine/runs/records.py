"""What a run logs, read back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rerec_engine.errors import file_error


def read_records(path: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl or eval.jsonl; none where there is no file.

    A last line that is not whole yet is left out. Raises UserError for any other that is no record of a step.
    """
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    found: list[dict[str, Any]] = []
    for row, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except ValueError as error:
            if row == len(lines):
                break
            raise file_error(path, f"not JSON: {error}", row) from None
        if not isinstance(record, dict) or not isinstance(record.get("step"), int):
            raise file_error(path, "no step in this line", row)
        found.append(record)
    return found


def token_count(steps: Iterable[Mapping[str, Any]]) -> float:
    """Tokens that steps of metrics.jsonl generated and trained on, prompts left out."""
    return sum(step["seconds_total"] * step["tokens_per_second"] for step in steps)
