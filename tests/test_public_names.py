"""Names that the documents gave to others before the rooms were laid out stay importable from where they were."""

from __future__ import annotations

import importlib

import pytest

NAMES = {
    "rerec_engine.data.dataset": ("load_dataset", "write_dataset"),
    "rerec_engine.evaluate": ("evaluate_queries",),
    "rerec_engine.graph": ("als", "lightgcn"),
    "rerec_engine.graph.als": ("item_embeddings",),
    "rerec_engine.graph.catalogue": ("Catalogue",),
    "rerec_engine.graph.lightgcn": ("bpr_loss", "item_embeddings", "propagate", "train_lightgcn"),
    "rerec_engine.graph.ranking": ("full_ranking",),
    "rerec_engine.integrations.openrlhf": ("configure", "reward_func"),
    "rerec_engine.integrations.trl": ("reward_function",),
    "rerec_engine.integrations.verl": ("compute_score", "compute_score_batched", "configure", "register"),
    "rerec_engine.ops": (
        "expand_segments",
        "grpo_loss",
        "linear_grpo_loss",
        "segment_advantage",
        "token_logprob",
    ),
    "rerec_engine.reward": ("RewardEngine", "RewardWeights", "Scores", "ndcg"),
}
METHODS = ("load", "pas", "qas", "score", "score_tokens", "targets", "token_rewards")  # of RewardEngine


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in NAMES.items() for name in names])
def test_name_is_where_it_was(module: str, name: str) -> None:
    place = importlib.import_module(module)
    if not hasattr(place, name):  # a submodule
        importlib.import_module(f"{module}.{name}")


@pytest.mark.parametrize("name", METHODS)
def test_reward_engine_keeps_its_methods(name: str) -> None:
    engine = importlib.import_module("rerec_engine.reward").RewardEngine
    assert callable(getattr(engine, name))
