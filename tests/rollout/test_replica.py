"""The sampler on a copy: it follows the policy when it is told to, and never before."""

from __future__ import annotations

import pytest
import torch

from rerec_engine.config import ModelConfig
from rerec_engine.rollout.replica import ReplicaSampler
from rerec_engine.rollout.sampler import Sampler
from rerec_engine.types import Sampling

PROMPTS = [[7, 8, 9, 10], [11], [12, 13, 14, 15, 16, 17]]
DRAW = Sampling(12, seed=3)


def change(policy, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.mul_(torch.rand(parameter.shape, generator=generator) + 0.5)


def found(sampler):
    return [(r.token_ids, r.logprobs) for r in sampler.generate(PROMPTS, 2, DRAW)]


@pytest.mark.parametrize("options", [{}, {"tie_word_embeddings": True}], ids=["untied", "tied"])
def test_it_draws_as_the_policy_did_when_it_was_last_told(tiny_policy, options):
    policy = tiny_policy(**options)
    replica = ReplicaSampler(policy, version=4)
    before = found(Sampler(policy))
    assert found(replica) == before
    change(policy)  # as an update does, in place
    assert found(Sampler(policy)) != before
    assert found(replica) == before
    assert {r.weight_version for r in replica.generate(PROMPTS, 1, DRAW)} == {replica.weight_version} == {4}
    replica.update_weights(9)
    assert found(replica) == found(Sampler(policy)) != before
    assert {r.weight_version for r in replica.generate(PROMPTS, 1, DRAW)} == {9}


def test_it_shares_no_memory_with_the_policy_and_learns_nothing(tiny_policy):
    policy = tiny_policy()
    replica = ReplicaSampler(policy)
    theirs = {parameter.data_ptr() for parameter in policy.model.parameters()}
    own = list(replica.policy.model.parameters())
    assert not theirs & {parameter.data_ptr() for parameter in own}
    assert not any(parameter.requires_grad for parameter in own)
    assert all(parameter.requires_grad for parameter in policy.model.parameters())
    assert (replica.policy.end_ids, replica.policy.pad_id) == (policy.end_ids, policy.pad_id)


def test_its_weights_are_in_the_type_of_the_arithmetic(tiny_policy):
    policy = tiny_policy()
    policy.dtype = torch.bfloat16
    replica = ReplicaSampler(policy)
    ours, theirs = dict(replica.policy.model.named_parameters()), dict(policy.model.named_parameters())
    assert {parameter.dtype for parameter in theirs.values()} == {torch.float32}
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name].bfloat16()) for name in ours)


def test_an_adapter_comes_merged(tiny_policy):
    pytest.importorskip("peft", reason="peft is not installed: pip install 'rerec-engine[lora]'")
    policy = tiny_policy()
    policy.prepare(ModelConfig(lora_rank=2), seed=0)
    replica = ReplicaSampler(policy)
    start = found(replica)
    change(policy)
    with torch.no_grad():  # the frozen rest too; B begins at 0, where no factor changes it
        for name, parameter in policy.model.named_parameters():
            parameter.add_(0.1 * ("lora_B" in name))
    replica.update_weights(1)
    assert found(replica) == found(Sampler(policy)) != start
    assert not any("lora" in name for name, _ in replica.policy.model.named_parameters())
