"""A training run with all its parts, saved and restored as one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rerec_engine.config import Config
from rerec_engine.data.dataset import Dataset
from rerec_engine.heap import give_back
from rerec_engine.model.policy import Policy
from rerec_engine.model.ranks import Ranks, leave
from rerec_engine.reward import RewardEngine
from rerec_engine.runs.checkpoint import (
    load_parts,
    load_state,
    rng_state,
    save_checkpoint,
    saved_parts,
    set_rng_state,
)
from rerec_engine.runs.run_directory import RunDir
from rerec_engine.training.rollout_worker import RolloutWorker
from rerec_engine.training.update import Updater


@dataclass
class Trainer:
    """All the parts of a run. `step` counts the steps done."""

    config: Config
    ranks: Ranks
    run: RunDir
    dataset: Dataset
    policy: Policy
    reward: RewardEngine
    worker: RolloutWorker
    updater: Updater
    step: int = 0
    resumed: bool = False
    """Whether it goes on from a checkpoint."""
    selfcheck: float = 0.0
    """The largest difference of our log-probs from the model's own at the start, nats; see `model.selfcheck`."""

    def save(self) -> None:
        """Write a checkpoint of the step just done."""
        state = {
            "step": self.step,
            "worker": self.worker.state_dict(),
            "skipped": self.updater.skipped,
            "rng": self.ranks.gather(rng_state()),
        }
        parts = self.updater.state_parts()
        keep = self.config.train.keep_checkpoints
        save_checkpoint(self.run.checkpoints, self.step, self.policy, state, parts, keep, self.ranks)
        give_back()

    def restore(self, checkpoint: Path) -> None:
        """Continue from a checkpoint, whose model the policy was loaded from."""
        state = load_state(checkpoint)
        self.resumed = True
        self.step = state["step"]
        self.worker.load_state_dict(state["worker"])
        self.updater.skipped = state["skipped"]
        parts = self.updater.state_parts(saved_parts(checkpoint))
        if parts:
            load_parts(checkpoint, parts, self.ranks)
            self.updater.load_state_parts(parts)
        if self.ranks.rank < len(state["rng"]):
            set_rng_state(state["rng"][self.ranks.rank])

    def close(self) -> None:
        """Free what the rollout engine holds, part from the other ranks, and leave the run directory to others."""
        self.worker.close()
        leave(self.ranks)
        self.run.release()
