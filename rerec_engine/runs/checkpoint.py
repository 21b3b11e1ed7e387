"""Checkpoints: a Hugging Face model (or LoRA adapter) and tokenizer with the trainer's state, whole or not at all.

What is sharded over ranks, or large, is written by torch.distributed.checkpoint and read by any number of ranks.

`checkpoints/step_N/` is written under a temporary name, with a manifest of sizes and SHA-256 sums, and renamed. A
checkpoint that does not agree with its manifest is refused, and the one before it is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from rerec_engine.errors import UserError, file_error
from rerec_engine.files import flush, flush_entries
from rerec_engine.model.disk import disk_errors
from rerec_engine.model.policy import Policy
from rerec_engine.model.ranks import Ranks

MANIFEST = "manifest.json"
PARTS = "parts"
"""Directory of what torch.distributed.checkpoint writes."""


def seed_everything(seed: int) -> None:
    """Seed the global generators. Nothing of ours draws from them, but a library or a dropout layer may."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.manual_seed(seed)


def rng_state() -> dict[str, Any]:
    """The global random states of Python, NumPy and torch."""
    legacy: Any = np.random.get_state(legacy=True)  # noqa: NPY002
    name, keys, place, has_gauss, gauss = legacy
    return {
        "python": random.getstate(),
        "numpy": (name, keys.tolist(), place, has_gauss, gauss),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_rng_state(state: dict[str, Any]) -> None:
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if sys.version_info >= (3, 11) else _sha256(file.read())


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def save_checkpoint(
    directory: Path,
    step: int,
    policy: Policy,
    state: dict[str, Any],
    parts: dict[str, Any],
    keep: int,
    ranks: Ranks | None = None,
) -> Path:
    """Write `directory/step_N` and remove all but the `keep` newest. All ranks call it.

    state: JSON values and tensors, of rank 0. parts: what may be sharded (optimizers, critic), by name; each rank
    writes its shards. Raises UserError where the disk refuses; what was there before is untouched then.
    """
    ranks = ranks or Ranks()
    final, temporary = directory / f"step_{step}", directory / f".step_{step}.tmp"
    with _written_beside(final, temporary, ranks, "the checkpoint", "the ones before it are untouched"):
        _together(ranks, lambda: policy.save_trained(temporary, ranks.main))
        if parts:
            _together(ranks, lambda: _save_parts(parts, temporary / PARTS, ranks))
        _together(ranks, lambda: _finish(temporary, step, state) if ranks.main else None)
    if ranks.main:
        for old in checkpoint_steps(directory)[:-keep]:
            shutil.rmtree(directory / f"step_{old}")
    return final


def save_model(path: Path, policy: Policy, ranks: Ranks | None = None) -> None:
    """Write a model's directory, whole or not at all. All ranks call it.

    Raises UserError where the disk refuses; a model that was there before is untouched then.
    """
    ranks, temporary = ranks or Ranks(), path.with_name(f".{path.name}.tmp")
    kept = "the last checkpoint holds it: make room, then --resume"
    with _written_beside(path, temporary, ranks, "the model", kept):
        _together(ranks, lambda: policy.save(temporary, ranks.main))


@contextmanager
def _written_beside(final: Path, temporary: Path, ranks: Ranks, what: str, kept: str) -> Iterator[None]:
    """A new directory `temporary` to be written within, which then takes the place of `final`; kept: what to say of
    what is there where the disk refuses, by `_together`."""
    try:
        _together(ranks, lambda: _make_afresh(temporary) if ranks.main else None)
        yield
        _together(ranks, lambda: _take_place(temporary, final) if ranks.main else None)
    except _Failure as error:
        free = shutil.disk_usage(final.parent).free / 2**20 if final.parent.is_dir() else 0.0
        reason = f"{str(error).splitlines()[0]}; {free:.1f} MB free on the disk"
        raise file_error(final, f"cannot write {what} ({reason}); {kept}") from error
    finally:
        if ranks.main:
            shutil.rmtree(temporary, ignore_errors=True)


def _save_parts(parts: dict[str, Any], path: Path, ranks: Ranks) -> None:
    with _quiet():
        save(parts, checkpoint_id=path, no_dist=ranks.size == 1)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's warning that a process alone is alone."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield


class _Failure(Exception):
    """Writing failed, on this rank or another."""


def _together(ranks: Ranks, work: Callable[[], object]) -> None:
    """All ranks work; where it fails on one, it fails on all, so that none waits for ever."""
    error = None
    try:
        work()
    except CheckpointException as caught:  # its own words are a traceback
        error = str(_cause(next(iter(caught.failures.values()))[0]))
    except (OSError, RuntimeError) as caught:  # what a full disk turns into
        error = str(caught) or type(caught).__name__
    failed = [told for told in ranks.gather(error) if told]
    if failed:
        raise _Failure(failed[0])


def _cause(error: BaseException) -> BaseException:
    """The OSError behind a library's error, which says more; else the error itself."""
    inner = error.__cause__ or error.__context__
    return error if isinstance(error, OSError) or inner is None else _cause(inner)


def _make_afresh(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)


def _finish(temporary: Path, step: int, state: dict[str, Any]) -> None:
    with disk_errors(temporary), (temporary / "trainer.pt").open("wb") as file:
        torch.save(state, file)
    files = sorted(path for path in temporary.rglob("*") if path.is_file())
    manifest = {
        path.relative_to(temporary).as_posix(): {"bytes": path.stat().st_size, "sha256": _digest(path)}
        for path in files
    }
    (temporary / MANIFEST).write_text(json.dumps({"step": step, "files": manifest}, indent=1))


def _take_place(temporary: Path, final: Path) -> None:
    flush(temporary)
    if final.exists():
        shutil.rmtree(final)
    os.replace(temporary, final)
    flush_entries(final.parent)


def checkpoint_steps(directory: Path) -> list[int]:
    """Steps that have a checkpoint, ascending."""
    names = [path.name for path in directory.glob("step_*")] if directory.is_dir() else []
    return sorted(int(name[5:]) for name in names if name[5:].isdigit())


def step_of(checkpoint: Path) -> int:
    """The step after which a checkpoint was written."""
    return int(checkpoint.name[5:])


def verify(path: Path) -> None:
    """Compare a checkpoint with its manifest. Raises UserError naming the first file that is missing or differs."""
    try:
        files = json.loads((path / MANIFEST).read_text())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        raise file_error(path / MANIFEST, "missing or not readable: the checkpoint is incomplete") from None
    for name, entry in files.items():
        place = path / name
        if not place.is_file():
            raise file_error(place, "missing: the checkpoint is incomplete")
        size = place.stat().st_size
        if size != entry["bytes"]:
            raise file_error(place, f"has {size} of {entry['bytes']} bytes: the checkpoint is truncated")
        if _digest(place) != entry["sha256"]:
            raise file_error(place, "its content differs from the manifest: the checkpoint is damaged")


def latest_checkpoint(directory: Path) -> Path:
    """The newest checkpoint that is whole; each one refused is told on stderr. Raises UserError where none is."""
    for step in reversed(checkpoint_steps(directory)):
        path = directory / f"step_{step}"
        try:
            verify(path)
            return path
        except UserError as error:
            print(f"warning: {error}; trying the one before", file=sys.stderr)
    raise file_error(directory, "no whole checkpoint to resume from")


def load_state(path: Path) -> dict[str, Any]:
    """The trainer's state of a verified checkpoint, tensors on the CPU."""
    state: dict[str, Any] = torch.load(path / "trainer.pt", map_location="cpu", weights_only=True)
    return state


def saved_parts(path: Path) -> set[str]:
    """Names of the parts that a checkpoint holds."""
    if not (path / PARTS).is_dir():
        return set()
    return {name.partition(".")[0] for name in FileSystemReader(path / PARTS).read_metadata().state_dict_metadata}


def load_parts(path: Path, parts: dict[str, Any], ranks: Ranks | None = None) -> None:
    """Fill `parts`, made for this run's ranks, with what any number of ranks saved under these names."""
    alone = ranks is None or ranks.size == 1
    with _quiet():
        load(parts, checkpoint_id=path / PARTS, no_dist=alone)
