"""What the adapters share: one engine a process and directory, and how rows of other stacks name their targets."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rerec_engine.config import RewardWeights
from rerec_engine.errors import UserError
from rerec_engine.reward import RewardEngine, Scores

PARTS = ("ndcg", "qas", "pas", "format", "hit", "answered")
"""Fields of `Scores` that are reported beside the reward."""

Weights = RewardWeights | Mapping[str, Any]
Answer = Literal["first", "last"]

_lock = threading.Lock()
_configured: dict[str, Any] = {}
_engines: dict[tuple[Path, RewardWeights, int, Answer], RewardEngine] = {}


def configure(
    data_dir: str | Path | None = None,
    *,
    threads: int | None = None,
    weights: Weights | None = None,
    answer: Answer | None = None,
) -> None:
    """What `shared_engine` takes from now on, in this process, where a call does not say; None: the environment's."""
    with _lock:
        _configured.update(data_dir=data_dir, threads=threads, weights=weights, answer=answer)


def shared_engine(
    data_dir: str | Path | None = None,
    *,
    threads: int | None = None,
    weights: Weights | None = None,
    answer: Answer | None = None,
) -> RewardEngine:
    """The engine of a dataset directory, loaded by the first call in this process; threads may share it.

    What is None comes from `configure`, then from the environment: REREC_DATA (the directory) and REREC_THREADS
    (default 0: all cores), then from `RewardEngine.load`. weights may be a mapping of `RewardWeights`' fields.
    Errors: `UserError` where no directory is named, and as in `RewardEngine.load`.
    """
    with _lock:
        directory = data_dir or _configured.get("data_dir") or os.environ.get("REREC_DATA")
        if not directory:
            raise UserError("no dataset directory: set REREC_DATA, call configure() or pass data_dir")
        chosen = threads if threads is not None else _configured.get("threads")
        key = (
            Path(directory).resolve(),
            _weights(weights or _configured.get("weights")),
            _environment_threads() if chosen is None else int(chosen),
            answer or _configured.get("answer") or "last",
        )
        if key not in _engines:
            _engines[key] = RewardEngine.load(*key)
        return _engines[key]


def score_rows(
    engine: RewardEngine,
    responses: Sequence[str],
    truths: Sequence[Any],
    candidates: Sequence[Any],
    rows: Sequence[str],
    opened: bool | Sequence[bool] = False,
) -> Scores:
    """`engine.score`; the error of a row begins with its name in `rows`."""
    try:
        return engine.score(responses, [plain(given) for given in truths], candidates, opened=opened)
    except UserError as error:
        raise with_row(error, rows) from None


def with_row(error: UserError, rows: Sequence[str]) -> UserError:
    """The engine's error, which counts rows within the batch, behind the row's own name."""
    place = re.match(r"(?:ground_truth|candidates)\[(\d+)\]", str(error))
    return UserError(f"{rows[int(place[1])]}: {error}") if place else error


def row_name(extra_info: Mapping[str, Any] | None, place: int) -> str:
    """`row train-17`: the id that a dataset directory gives it, else its index, else its place in the batch."""
    known = [extra_info[key] for key in ("id", "index") if extra_info and extra_info.get(key) is not None]
    return f"row {[*known, place][0]}"


def candidates_of(row: Mapping[str, Any] | None) -> Any:
    """Titles, else ids, from the row's `candidates` or `candidate_ids`; None for an open query."""
    given = [plain(row.get(name)) for name in ("candidates", "candidate_ids")] if row else []
    return next((items for items in given if items), None)


def plain(items: Any) -> Any:
    """Arrays as lists, NumPy's numbers as Python's."""
    return items.tolist() if hasattr(items, "tolist") else items


def _weights(given: Weights | None) -> RewardWeights:
    if isinstance(given, Mapping):
        try:
            return RewardWeights(**given)
        except TypeError as error:
            raise UserError(f"weights: {error}") from None
    return given or RewardWeights()


def _environment_threads() -> int:
    threads = os.environ.get("REREC_THREADS", "0")
    if not threads.isdecimal():
        raise UserError(f"REREC_THREADS must be a number of threads, got {threads!r}")
    return int(threads)


def row_names(data_sources: Sequence[str], extra_infos: Sequence[Mapping[str, Any] | None]) -> list[str]:
    """`demo row train-17`."""
    return [f"{source} {row_name(extra_infos[i], i)}" for i, source in enumerate(data_sources)]


def reward_info(scores: Scores, i: int) -> dict[str, float]:
    """What verl logs of response i."""
    parts = {part: float(getattr(scores, part)[i]) for part in PARTS}
    return {"score": float(scores.total[i]), "acc": float(scores.hit[i]), **parts}
