"""What a model of the demo still knows: against a model that knows nothing, and against its own log-probs."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from rerec_engine.config import ModelConfig
from rerec_engine.data.dataset import load_dataset
from rerec_engine.experiment import retention
from rerec_engine.experiment.retention import _last_logits, facts, perplexity, world_of
from rerec_engine.model.small_model import make_small_policy, phrase_tokenizer
from rerec_engine.worlds.world import RELATIONS

OPTIONS = {"seed": 1, "films": 40, "books": 40, "users": 40}


@pytest.fixture(scope="module")
def world():
    return world_of(OPTIONS)[0]


@pytest.fixture(scope="module")
def mini_policy(mini_demo):
    tokenizer = phrase_tokenizer(json.loads((mini_demo / "vocabulary.json").read_text()))
    return make_small_policy(tokenizer, ModelConfig(hidden_size=32, layers=2), max_tokens=512, seed=0, device="cpu")


def test_world_is_the_datasets(world, mini_demo):
    assert world.titles == tuple(load_dataset(mini_demo).titles)
    assert world_of({})[1] == 0
    assert len(world_of({})[0].titles) == 300


def test_a_model_without_knowledge_guesses(mini_policy, world):
    with torch.no_grad():
        found = facts(mini_policy, world)
    assert set(found) == {"facts"} | {r for relations in RELATIONS.values() for r in relations}
    assert found["facts"] < 0.4
    asked = sum(len(facts) for facts in world.facts)
    weights = {r: sum(r in f for f in world.facts) for r in found if r != "facts"}
    assert found["facts"] == pytest.approx(sum(found[r] * n for r, n in weights.items()) / asked)


def test_a_model_that_knows_is_right(mini_policy, world, monkeypatch):
    """Logits in which the fact that is asked for stands out."""

    def knowing(policy, rows):
        asked = [(i, r) for i, domain in enumerate(world.domain) for r in RELATIONS[domain]]
        assert len(rows) == len(asked)
        for item, relation in asked:
            token = policy.tokenizer.encode(f" {world.facts[item][relation]}", add_special_tokens=False)
            assert len(token) == 1
            yield torch.eye(len(policy.tokenizer))[token[0]]

    monkeypatch.setattr(retention, "_last_logits", knowing)
    assert set(facts(mini_policy, world).values()) == {1.0}


def test_logits_do_not_depend_on_the_batch(mini_policy, monkeypatch):
    rng = np.random.default_rng(0)
    rows = [(rng.integers(5, 50, n).tolist(), [7] * (n % 3 + 1)) for n in (3, 9, 4, 12, 6)]
    together = torch.stack(list(_last_logits(mini_policy, rows)))
    monkeypatch.setattr(retention, "BATCH", 1)
    alone = torch.stack(list(_last_logits(mini_policy, rows)))
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_perplexity_of_a_uniform_model_is_the_vocabulary(mini_policy, world):
    head = mini_policy.model.get_output_embeddings().weight
    saved = head.detach().clone()
    with torch.no_grad():
        head.zero_()
    try:
        found = perplexity(mini_policy, world, 1, count=6)
    finally:
        with torch.no_grad():
            head.copy_(saved)
    assert found == pytest.approx(len(head), rel=1e-4)
    assert math.isfinite(perplexity(mini_policy, world, 1, count=6))
