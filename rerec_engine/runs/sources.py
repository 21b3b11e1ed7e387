"""What a run was begun with: a fingerprint of its dataset and of its model, so that it goes on with no other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rerec_engine.errors import UserError, file_error
from rerec_engine.files import write_json

FILE = "sources.json"
WHOLE = 1 << 24
"""Bytes up to which a file is read whole; of a longer one as many are, evenly spaced, beside its length."""
BLOCK = 1 << 18
NO_SOURCE = {"prepare_report.json", "README.md"}
"""Files that tell of a directory and decide nothing."""


def fingerprint(folder: Path) -> dict[str, str]:
    """SHA-256 by name of the files in a directory, without hidden ones, those of its folders, and what only tells."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return {path.name: _digest(path) for path in files if path.name not in NO_SOURCE}


def check_sources(run: Path, sources: Mapping[str, Path | str]) -> None:
    """Keep the fingerprints of a new run; compare them where the run has them already.

    sources: by what it is ("dataset", "model"), its directory or file, or a revision. Raises UserError naming the first
    file that is another than when the run began.
    """
    now = {what: _of(source) for what, source in sources.items()}
    file = run / FILE
    if not file.is_file():
        write_json(file, now)
        return
    try:
        before: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise file_error(file, f"not readable as JSON: {error}") from error
    for what, found in now.items():
        known = before.get(what, found)
        other = [name for name in sorted(known.keys() | found.keys()) if known.get(name) != found.get(name)]
        if other:
            raise UserError(
                f"{run}: cannot go on: its {what} ({sources[what]}) is another than when it began ({other[0]} differs)"
            )


def _of(source: Path | str) -> dict[str, str]:
    if isinstance(source, str):
        return {"revision": source}
    return fingerprint(source) if source.is_dir() else {source.name: _digest(source)}


def _digest(path: Path) -> str:
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        if size <= WHOLE:
            digest.update(file.read())
        else:
            count = WHOLE // BLOCK
            for i in range(count):
                file.seek((size - BLOCK) * i // (count - 1))
                digest.update(file.read(BLOCK))
    return digest.hexdigest()
