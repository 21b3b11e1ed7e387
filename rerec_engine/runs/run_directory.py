"""The run directory: settings, metrics, evaluations, rollouts. `docs/training.md` tells what lies where.

Metrics are appended line by line; a line that a full disk cut short is taken back, and what lies beyond a checkpoint is
dropped on resume, so that a continued run writes the same lines as an unbroken one.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rerec_engine.config import Config
from rerec_engine.errors import UserError, file_error
from rerec_engine.files import LEFTOVER, clear_leftovers, replacing, write_json, write_text
from rerec_engine.runs.environment import describe
from rerec_engine.runs.lock import NAME as LOCK_FILE
from rerec_engine.runs.lock import RunLock
from rerec_engine.runs.settings import read_yaml, with_absolute_paths, write_yaml
from rerec_engine.runs.sources import FILE as SOURCES_FILE

WARM_START_LOG = "warm_start.jsonl"


class RunDir:
    """Where a run writes. Among several ranks, only the one whose `writes` is True does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writes = True
        self.checkpoints = path / "checkpoints"
        self.rollouts = path / "rollouts"
        self._lock: RunLock | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lock": None}  # the lock is the first rank's

    @classmethod
    def create(cls, config: Config) -> RunDir:
        """A new run directory, locked. Raises UserError where it holds something already that training did not just
        begin, or where a run is going on."""
        path = Path(config.output_dir or f"runs/{time.strftime('%Y%m%d-%H%M%S')}")
        if path.exists() and not (path.is_dir() and _untouched(path)):
            raise UserError(
                f"{path}: is not empty; choose another output_dir, or continue the run with --resume {path}"
            )
        run = cls(path)
        run.rollouts.mkdir(parents=True, exist_ok=True)
        run._lock = RunLock(path)
        clear_leftovers(path)
        shutil.rmtree(run.start, ignore_errors=True)
        for name in (SOURCES_FILE, WARM_START_LOG):
            (path / name).unlink(missing_ok=True)
        write_yaml(with_absolute_paths(config), path / "config.yaml")
        write_json(path / "environment.json", describe(), indent=1)
        return run

    @classmethod
    def resume(cls, path: Path, config: Config) -> RunDir:
        """An existing run directory, locked, with the settings that hold from now on. Raises UserError where its run is
        going on."""
        run = cls(path)
        run._lock = RunLock(path)
        clear_leftovers(path)
        config = with_absolute_paths(config)
        if read_yaml(path / "config.yaml") != config:
            write_yaml(config, path / "config.yaml")
        run.rollouts.mkdir(exist_ok=True)
        clear_leftovers(run.rollouts)
        return run

    def cut_back(self, step: int | None, end: int) -> None:
        """To what was written up to `step`; None: to before the first step. end: the run's last step, whose evaluation
        afterwards goes too, since it is made again."""
        last = -1 if step is None else step
        self.cut_lines("metrics.jsonl", last)
        _cut_back(
            self.path / "eval.jsonl",
            lambda line: line["step"] <= last and not (line["moment"] == "after" and line["step"] >= end),
        )
        for file in self.rollouts.glob("step_*.parquet"):
            if int(file.stem[5:]) > (step or 0):
                file.unlink()

    def cut_lines(self, name: str, step: int) -> None:
        """Take back the lines of `name` beyond `step`."""
        _cut_back(self.path / name, lambda line: line["step"] <= step)

    def release(self) -> None:
        """Let another run take the directory."""
        if self._lock is not None:
            self._lock.release()

    @property
    def start(self) -> Path:
        """Where the model that reinforcement starts from lies, where the run made it."""
        return self.path / "start"

    @property
    def warm_start(self) -> Path:
        """The state of a warm start that was cut short."""
        return self.path / "warm_start.pt"

    def log(self, name: str, record: dict[str, Any]) -> None:
        """Append a record to `name` (metrics.jsonl, eval.jsonl)."""
        if not self.writes:
            return
        path = self.path / name
        size = path.stat().st_size if path.exists() else 0
        line = json.dumps(record, allow_nan=False, default=float) + "\n"
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            if path.exists():
                os.truncate(path, size)
            raise file_error(path, f"cannot write: {error.strerror}; the lines before are whole") from error

    def save_rollouts(self, step: int, table: pa.Table) -> None:
        """`rollouts/step_N.parquet`: a row per response."""
        if not self.writes:
            return
        with replacing(self.rollouts / f"step_{step}.parquet") as temporary:
            pq.write_table(table, temporary, compression="zstd")


def _untouched(path: Path) -> bool:
    """Whether a directory is empty, or a run left it before anything was trained or evaluated."""
    files = {file.relative_to(path).parts[0] for file in path.rglob("*") if file.is_file()}
    files = {name for name in files if not LEFTOVER.fullmatch(name)}
    if "config.yaml" not in files:
        return files <= {LOCK_FILE}
    trained = read_yaml(path / "config.yaml").warm_start.epochs > 0
    begun = {"config.yaml", "environment.json", "data", "engine.log", LOCK_FILE, SOURCES_FILE, WARM_START_LOG}
    return files <= begun | (set() if trained else {"start"})


def _cut_back(path: Path, keep: Callable[[dict[str, Any]], bool]) -> None:
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            break
        if keep(record):
            kept.append(line)
    write_text(path, "".join(line + "\n" for line in kept))
