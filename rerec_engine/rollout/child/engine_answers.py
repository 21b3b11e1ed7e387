"""vLLM's side of constrained answers: a processor of logits over the titles that the trainer's process has written.

vLLM's own processes find it by this file's name; where the titles lie they read from the environment.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor, MoveDirectionality

FOLDER, CORE = "REREC_ANSWERS", "REREC_CORE"
"""Variables: the folder of `AnswerTitles.save`, and the C++ module of the trainer's interpreter."""


def load_core() -> Any:
    """rerec_engine's C++ module: the trainer's, where this interpreter can load it, else one that is installed here."""
    path = os.environ[CORE]
    if path.endswith(tuple(importlib.machinery.EXTENSION_SUFFIXES)):
        spec = importlib.util.spec_from_file_location("rerec_engine._core", path)
        if spec is not None and spec.loader is not None:
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    try:
        from rerec_engine import _core
    except ImportError as error:
        raise ValueError(
            f"rollout.constrain: {sys.executable} cannot load {path}, which is another Python's; install rerec_engine "
            "there too, or name an interpreter of this version with --rollout.vllm.python"
        ) from error
    return _core


class Answers(LogitsProcessor):
    """Requests whose `extra_args` hold `candidates` (item ids; none: the whole catalogue) can say titles alone within a
    box. Row i of `rows` belongs to the request at place `places[i]` of vLLM's batch."""

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        core, folder = load_core(), Path(os.environ[FOLDER])
        arrays = {path.stem: _open(path) for path in folder.glob("*.npy")}
        own = {name: arrays.pop(name) for name in ("order", "token_ptr", "token_bytes")}
        tokens = core.TokenTree(np.ascontiguousarray(own["token_ptr"]), own["token_bytes"].tobytes())
        self.rows = core.AnswerRows(core.Titles(core.Catalogue(arrays), tokens, own["order"]))
        self.places: list[int] = []
        self.said: list[list[int]] = []  # token ids of each, which vLLM goes on with
        self.seen: list[int] = []

    def is_argmax_invariant(self) -> bool:
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        if batch_update is None:
            return
        replaced = {*batch_update.removed, *(added[0] for added in batch_update.added)}
        self._keep([i for i, place in enumerate(self.places) if place not in replaced])
        for place, parameters, _, said in batch_update.added:
            candidates = (parameters.extra_args or {}).get("candidates")
            if candidates is not None:
                some = np.array(sorted(set(candidates)), dtype=np.int32)
                self.rows.join(np.array([0, len(some)], dtype=np.int64), some, 1)
                self.places.append(place)
                self.said.append(said)
                self.seen.append(0)
        for first, second, direction in batch_update.moved:
            swap = direction == MoveDirectionality.SWAP
            if not swap:
                self._keep([i for i, place in enumerate(self.places) if place != second])
            moved = {first: second, **({second: first} if swap else {})}
            self.places = [moved.get(place, place) for place in self.places]

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        self._catch_up()
        if not self.places:
            return logits
        places = np.array(self.places, dtype=np.int64)
        if logits.device.type == "cpu":
            self.rows.mask(logits.numpy(), places)
            return logits
        at, denied, ptr, ids = (torch.from_numpy(x).to(logits.device) for x in self.rows.allowed())
        if len(at):
            at = torch.from_numpy(places).to(logits.device)[at]
            owner, refused = (x.repeat_interleave(ptr.diff()) for x in (at, denied.bool()))
            ids = ids.long()
            kept = logits[owner[~refused], ids[~refused]]
            logits[at[~denied.bool()]] = float("-inf")
            logits[owner[~refused], ids[~refused]] = kept
            logits[owner[refused], ids[refused]] = float("-inf")
        return logits

    def _catch_up(self) -> None:
        """The tokens that were drawn since the last call."""
        while behind := [i for i, said in enumerate(self.said) if self.seen[i] < len(said)]:
            tokens = [self.said[i][self.seen[i]] for i in behind]
            self.rows.advance(np.array(tokens, dtype=np.int64), np.array(behind, dtype=np.int64))
            for i in behind:
                self.seen[i] += 1

    def _keep(self, rows: list[int]) -> None:
        if len(rows) < len(self.places):
            self.rows.keep(np.array(rows, dtype=np.int64))
            self.places = [self.places[i] for i in rows]
            self.said = [self.said[i] for i in rows]
            self.seen = [self.seen[i] for i in rows]


def _open(path: Path) -> Any:
    try:
        return np.load(path, mmap_mode="r")
    except ValueError:  # an empty array cannot be mapped
        return np.load(path)
