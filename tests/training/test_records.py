"""What a step leaves: its line of metrics.jsonl and its table of rollouts."""

from __future__ import annotations

import json

import pytest
import torch

from rerec_engine.training.batches import TrainingBatch, pack
from rerec_engine.training.records import rollout_table, step_record
from rerec_engine.types import Message, Query, Rollout


@pytest.fixture
def batch():
    """Two queries with two responses each, the second of which are cut off; only the first query's rewards differ."""
    queries = [Query(n, (Message(role="user", content=f"ask {n}"),), (0,), category="explicit") for n in "ab"]
    rollouts = [Rollout([1, 2], [-0.5, -1.0], "stop", 3), Rollout([3], [-0.25], "length", 3)] * 2
    drawn = pack(queries, [[7], [8, 9]], rollouts, 2)
    ones = torch.ones(4)
    parts = dict.fromkeys(("ndcg", "format", "qas", "pas"), ones)
    return TrainingBatch(
        **vars(drawn),
        scores={"reward": torch.tensor([1.0, 0.0, 0.5, 0.5]), "hit": torch.tensor([1.0, 0.0, 0.0, 0.0]), **parts},
        token_rewards=torch.arange(6.0),
        advantages=-torch.arange(6.0),
        old_logprobs=drawn.rollout_logprobs,
    )


def test_step_record(batch):
    line = step_record(5, batch, {"clip_fraction": 0.25}, {"epoch": 2, "active": 7}, {"update": 1.0, "total": 2.0})
    assert json.loads(json.dumps(line))["step"] == 5
    assert (line["epoch"], line["curriculum_active"], line["seconds_update"]) == (2, 7, 1.0)
    assert (line["reward"], line["accuracy"], line["reward_qas"]) == (0.5, 0.25, 1.0)
    assert (line["kl"], line["clip_fraction"]) == (None, 0.25)
    assert (line["response_length"], line["truncated"], line["zero_variance_groups"]) == (1.5, 0.5, 0.5)
    assert (line["staleness"], line["tokens_per_second"]) == (1.0, 3.0)
    assert line["peak_memory_mb"] > 1


@pytest.mark.parametrize(
    ("statements", "true", "share"), [((3, 0, 1, 0), (1, 0, 1, 0), 0.5), ((0,) * 4, (0,) * 4, None)]
)
def test_step_record_tells_the_share_of_true_statements(batch, statements, true, share):
    batch.scores.update(statements=torch.tensor(statements).float(), true_statements=torch.tensor(true).float())
    line = step_record(1, batch, {}, {"epoch": 1}, {"total": 1.0})
    assert (line["true_reasons"], line["statements"]) == (share, sum(statements) / 4)
    del batch.scores["statements"]
    assert "true_reasons" not in step_record(1, batch, {}, {"epoch": 1}, {"total": 1.0})


class Tokenizer:
    def decode(self, ids, **_):
        return " ".join(map(str, ids))


def test_rollout_table_has_a_row_per_response(batch):
    rows = rollout_table(5, batch, Tokenizer()).to_pylist()
    assert [row["response"] for row in rows] == ["1 2", "3", "1 2", "3"]
    assert [row["query_id"] for row in rows] == ["a", "a", "b", "b"]
    assert rows[2]["prompt"] == "ask b"
    assert (rows[1]["token_ids"], rows[1]["token_logprobs"]) == ([3], [-0.25])
    assert (rows[3]["token_rewards"], rows[3]["token_advantages"]) == ([5.0], [-5.0])
    assert (rows[0]["step"], rows[0]["finish"], rows[0]["hit"]) == (5, "stop", 1.0)
