"""What a command generates with: the model and the dataset that it was given."""

from __future__ import annotations

from pathlib import Path

from rerec_engine.cli import waiting
from rerec_engine.data.dataset import Dataset, load_dataset
from rerec_engine.machine import thread_count
from rerec_engine.model.policy import load_policy
from rerec_engine.model.source import Loading, model_directory
from rerec_engine.rollout.sampler import Sampler
from rerec_engine.threads import compute_with


def open_inputs(model: str, data: str, threads: int) -> tuple[Path, Dataset]:
    """The place of a command's --model and the dataset of its --data, before anything slow; sets torch's --threads.

    Raises UserError where either is not there.
    """
    compute_with(thread_count(threads))
    return model_directory(model), load_dataset(data)


def load_sampler(model: Path, device: str, loading: Loading | None = None) -> Sampler:
    """The sampler on a model; the wait is told."""
    with waiting("loading the model"):
        return Sampler(load_policy(str(model), device, loading=loading))
