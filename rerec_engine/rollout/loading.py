"""What a command generates with: the model and the dataset that it was given."""

from __future__ import annotations

import sys

from rerec_engine.cli import waiting
from rerec_engine.constrain.titles import AnswerTitles
from rerec_engine.data.dataset import Dataset, load_dataset
from rerec_engine.errors import UserError
from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.machine import thread_count
from rerec_engine.model.policy import load_policy
from rerec_engine.model.source import Loading, check_model, find_model
from rerec_engine.rollout.sampler import Sampler
from rerec_engine.rollout.selfcheck import prove_sampler
from rerec_engine.threads import compute_with


def open_inputs(model: str, data: str, threads: int, loading: Loading | None = None) -> Dataset:
    """The dataset of a command's --data, before anything slow; its --model is looked for. Sets torch's --threads.

    Raises UserError where either is not there.
    """
    compute_with(thread_count(threads))
    check_model(model, loading.revision if loading else None)
    with waiting(f"reading {data}"):
        return load_dataset(data)


def constrain_answers(sampler: Sampler, catalogue: Catalogue, how: str, threads: int) -> None:
    """Let the sampler's answers hold titles alone, as --constrain says: auto, off, candidates or catalogue.

    Raises UserError where the tokenizer does not allow it; with auto that is told, and answers stay free.
    """
    if how == "off":
        return
    policy = sampler.policy
    try:
        with waiting("ordering the titles"):
            sampler.titles = AnswerTitles(
                catalogue, policy.tokenizer, how != "catalogue", thread_count(threads), policy.source
            )
    except UserError as error:
        if how != "auto":
            raise
        print(f"answers are free, since {error}", file=sys.stderr)


def load_sampler(model: str, device: str, loading: Loading | None = None) -> Sampler:
    """The sampler on a model, proven (`Sampler.proof`), which is fetched where it is a name on the Hub; the wait is
    told. Raises UserError where it does not give the model's own log-probs."""
    find_model(model, loading.revision if loading else None)  # with a bar of its own
    with waiting("loading the model"):
        sampler = Sampler(load_policy(model, device, loading.dtype if loading else "fp32", loading=loading))
        sampler.proof = prove_sampler(sampler)
        return sampler
