"""From an engine's responses to the records of a step."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from rerec_engine.errors import RunError
from rerec_engine.training.batches import ScoredBatch, TrainingBatch, informative, pack, select
from rerec_engine.training.entries import ListEntries
from rerec_engine.types import Query, Rollout


def scored(seed=0, queries=4, n=3):
    """Responses of 1 to 5 tokens to prompts of 2 to 5 tokens, with different rewards."""
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 6, (queries * n,), generator=draw).tolist()
    rollouts = [Rollout(list(range(i, i + k)), [-0.5] * k, "stop", seed) for i, k in enumerate(lengths)]
    batch = pack(
        [Query(str(i), (), (0,)) for i in range(queries)], [[i] * (2 + i) for i in range(queries)], rollouts, n
    )
    scores = {"reward": torch.rand(queries * n, generator=draw)}
    return ScoredBatch(**vars(batch), scores=scores, token_rewards=torch.rand(len(batch.token_ids), generator=draw))


def test_pack_lays_responses_one_after_the_other():
    rollouts = [Rollout([5, 6], [-1.0, -2.0], "stop", 3), Rollout([7], [-3.0], "length", 4)]
    batch = pack([Query("a", (), (0,))], [[1, 2, 3]], rollouts, 2)
    assert batch.token_ids.tolist() == [5, 6, 7]
    assert batch.cu_seqlens.tolist() == [0, 2, 3]
    assert batch.group.tolist() == [0, 0]
    assert batch.rollout_logprobs.tolist() == [-1.0, -2.0, -3.0]
    assert (batch.finish, batch.weight_version.tolist()) == (["stop", "length"], [3, 4])
    assert (batch.lengths.tolist(), batch.sizes.tolist()) == ([2, 1], [5, 4])
    prompt, response = batch.row(1)
    assert (prompt, response.tolist()) == ([1, 2, 3], [7])
    assert batch.token_index(torch.tensor([1, 0])).tolist() == [2, 0, 1]
    assert batch.token_index(torch.tensor([], dtype=torch.long)).tolist() == []


@pytest.mark.parametrize(
    ("rollouts", "told"),
    [
        ([Rollout([1], [-1.0], "stop", 0)], "1 responses, 1 x 2"),
        ([Rollout([1], [-1.0], "stop", 0), Rollout([], [], "stop", 0)], "response 1 without tokens"),
        ([Rollout([1], [], "stop", 0), Rollout([1], [-1.0], "stop", 0)], "response 0 without tokens"),
    ],
)
def test_pack_refuses_what_an_engine_left_out(rollouts, told):
    with pytest.raises(RunError, match=told):
        pack([Query("a", (), (0,))], [[1]], rollouts, 2)


def with_entries(batch):
    """The first token of every other response is an entry."""
    listed = torch.arange(len(batch.group)) % 2
    of_token = torch.full((len(batch.token_ids),), -1, dtype=torch.int32)
    of_token[batch.cu_seqlens[:-1][listed > 0]] = 0
    bounds = torch.nn.functional.pad(listed.cumsum(0), (1, 0))
    rewards = batch.scores["reward"][listed > 0]
    return dataclasses.replace(batch, entries=ListEntries(of_token, rewards, bounds))


def test_entries_go_with_their_groups():
    batches = [with_entries(scored(seed)) for seed in (0, 1)]
    chosen = select(batches, [torch.tensor([True, False, True, False]), torch.tensor([False, True, False, False])])
    wanted = with_entries(dataclasses.replace(chosen, entries=None))
    rows = torch.cat([torch.arange(3), torch.arange(6, 9), torch.arange(3, 6)]) % 2
    assert chosen.entries.cu_entries.diff().tolist() == rows.tolist()
    assert torch.equal(chosen.entries.rewards, chosen.scores["reward"][rows > 0])
    assert len(chosen.entries.of_token) == len(wanted.entries.of_token)
    assert (chosen.entries.of_token >= 0).sum() == rows.sum()
    assert select([scored()], [torch.ones(4, dtype=torch.bool)]).entries is None


def test_only_the_inputs_of_the_loss_move_to_a_device():
    batch = scored()
    ready = TrainingBatch(**vars(batch), advantages=batch.token_rewards, old_logprobs=batch.rollout_logprobs)
    moved = ready.on(torch.device("meta"))
    assert {f.name for f in dataclasses.fields(moved) if getattr(getattr(moved, f.name), "is_meta", False)} == {
        "advantages",
        "old_logprobs",
    }
    assert moved.ref_logprobs is None


def test_select_keeps_whole_groups():
    batches = [scored(seed=s) for s in (0, 1)]
    batches[0].scores["reward"][:3] = 0.5
    assert informative(batches[0]).tolist() == [False, True, True, True]
    chosen = select(batches, [torch.tensor([False, True, False, True]), torch.tensor([True, False, False, False])])
    assert [q.id for q in chosen.queries] == ["1", "3", "0"]
    assert chosen.group.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    for new, (source, old) in enumerate([*((0, i) for i in (3, 4, 5, 9, 10, 11)), *((1, i) for i in (0, 1, 2))]):
        assert torch.equal(chosen.row(new)[1], batches[source].row(old)[1])
        assert chosen.row(new)[0] == batches[source].row(old)[0]
        assert chosen.scores["reward"][new] == batches[source].scores["reward"][old]
