"""The run directory: settings, metrics, evaluations, rollouts. `docs/training.md` tells what lies where.

Metrics are appended line by line; a line that a full disk cut short is taken back, and what lies beyond a checkpoint is
dropped on resume, so that a continued run writes the same lines as an unbroken one.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rerec_engine.config import Config
from rerec_engine.runs.environment import describe
from rerec_engine.errors import UserError, file_error
from rerec_engine.model.policy import Policy
from rerec_engine.runs.settings import write_yaml
from rerec_engine.types import Batch


class RunDir:
    """Where a run writes. Among several ranks, only the one whose `writes` is True does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writes = True
        self.checkpoints = path / "checkpoints"
        self.rollouts = path / "rollouts"

    @classmethod
    def create(cls, config: Config) -> RunDir:
        """A new run directory. Raises UserError where it holds something already."""
        path = Path(config.output_dir or f"runs/{time.strftime('%Y%m%d-%H%M%S')}")
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UserError(f"{path}: is not empty; choose another --output-dir, or continue it with --resume {path}")
        run = cls(path)
        run.rollouts.mkdir(parents=True, exist_ok=True)
        write_yaml(config, path / "config.yaml")
        (path / "environment.json").write_text(json.dumps(describe(), indent=1) + "\n", encoding="utf-8")
        return run

    @classmethod
    def resume(cls, path: Path, step: int) -> RunDir:
        """An existing run directory, cut back to what was written up to `step`."""
        run = cls(path)
        run.rollouts.mkdir(exist_ok=True)
        for name in ("metrics.jsonl", "eval.jsonl"):
            _cut_back(path / name, step)
        for file in run.rollouts.glob("step_*.parquet"):
            if int(file.stem[5:]) > step:
                file.unlink()
        return run

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
            os.truncate(path, size)
            raise file_error(path, f"cannot write: {error.strerror}; the lines before are whole") from error

    def save_rollouts(self, step: int, batch: Batch, policy: Policy) -> None:
        """`rollouts/step_N.parquet`: a row per response, with reward parts, token ids and token advantages."""
        if not self.writes:
            return
        path = self.rollouts / f"step_{step}.parquet"
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            pq.write_table(_rollout_table(step, batch, policy), temporary, compression="zstd")
            os.replace(temporary, path)
        except OSError as error:
            raise file_error(path, f"cannot write: {error}") from error
        finally:
            temporary.unlink(missing_ok=True)


def _rollout_table(step: int, batch: Batch, policy: Policy) -> pa.Table:
    tokenizer: Any = policy.tokenizer
    assert batch.advantages is not None
    assert batch.token_rewards is not None
    advantages = batch.advantages.cpu().numpy()
    spans = [slice(batch.cu_seqlens[i], batch.cu_seqlens[i + 1]) for i in range(len(batch.finish))]
    queries = [batch.queries[g] for g in batch.group]
    return pa.table(
        {
            "step": [step] * len(spans),
            "query_id": [q.id for q in queries],
            "category": [q.category for q in queries],
            "prompt": [q.messages[-1]["content"] for q in queries],
            "response": [tokenizer.decode(batch.token_ids[s], skip_special_tokens=True) for s in spans],
            "finish": batch.finish,
            **{name: values.astype(np.float32) for name, values in batch.scores.items()},
            "token_ids": [batch.token_ids[s].astype(np.int32) for s in spans],
            "token_logprobs": [batch.rollout_logprobs[s] for s in spans],
            "token_rewards": [batch.token_rewards[s] for s in spans],
            "token_advantages": [advantages[s] for s in spans],
        }
    )


def _cut_back(path: Path, step: int) -> None:
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            break
        if record["step"] <= step:
            kept.append(line)
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
    os.replace(temporary, path)
