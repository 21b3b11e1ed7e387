"""A file of answers that grows while a server is asked, and from which an interrupted evaluation goes on.

JSON lines. The first is `{"answers_of": {...}}`: what was asked, of whom and how. Then one an answer:
`{"id", "response", ...}`, as `predictions.read_answers` reads it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rerec_engine.errors import file_error
from rerec_engine.metrics.predictions import HEADER


class AnswerLog:
    """Holds the file from when it is made until `close`. answers_of: what the run asks; its values are JSON's.

    A last line that was cut off is removed. Raises UserError, naming file and line, for a file of another run, for one
    that is no such file, and for one that another process holds.
    """

    def __init__(self, path: str | Path, answers_of: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.entries: dict[str, dict[str, Any]] = {}
        """By query id."""
        try:
            self._file = self.path.open("a+b", buffering=0)  # what is not written is not kept for later
        except OSError as error:
            raise file_error(path, f"cannot write: {error.strerror or error}") from error
        try:
            self._hold()
            self._read(answers_of)
        except BaseException:
            self._file.close()
            raise

    def add(self, entry: Mapping[str, Any]) -> None:
        """Append an answer, with its id; it is in the file when this returns."""
        self._write(entry)
        self.entries[entry["id"]] = dict(entry)

    def close(self) -> None:
        """A file without an answer is not left behind."""
        if not self.entries:
            self.path.unlink(missing_ok=True)
        self._file.close()

    def _hold(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise file_error(self.path, "another evaluation is writing it; wait for its end, or stop it") from None
        except OSError:  # a file system that knows no locks
            pass

    def _read(self, answers_of: Mapping[str, Any]) -> None:
        self._file.seek(0)
        content = self._file.read()
        whole = content.rfind(b"\n") + 1
        lines = content[:whole].split(b"\n")[:-1]
        parsed = [self._parse(row, line) for row, line in enumerate(lines, start=1)]
        found = parsed[0].get(HEADER) if parsed else answers_of
        if not isinstance(found, Mapping):
            raise file_error(self.path, "holds something else than a server's answers: name another file (--answers)")
        for name, value in answers_of.items():
            if found.get(name) != value:
                told = f"holds answers of another run ({name}: {_short(found.get(name))}, now {_short(value)})"
                raise file_error(self.path, f"{told}: name another file (--answers), or remove it")
        for row, entry in enumerate(parsed[1:], start=2):
            if not isinstance(entry.get("id"), str) or not isinstance(entry.get("response"), str):
                raise file_error(self.path, "has no text under 'id' and 'response'; remove the line", row)
            self.entries[entry["id"]] = entry
        self._file.truncate(whole)
        if not parsed:
            self._write({HEADER: answers_of})

    def _parse(self, row: int, line: bytes) -> dict[str, Any]:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict):
            raise file_error(self.path, "is no JSON object; remove the line, or name another file (--answers)", row)
        return entry

    def _write(self, entry: Mapping[str, Any]) -> None:
        line, size = json.dumps(entry).encode() + b"\n", self._file.seek(0, os.SEEK_END)
        try:
            while line:
                line = line[self._file.write(line) :]
        except OSError as error:
            self._file.truncate(size)
            told = f"cannot write: {error.strerror or error}; the answers before are kept"
            raise file_error(self.path, told) from error


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
