"""The built-in sampler's log-probs against the model's own: states of all kinds, and what is refused."""

from __future__ import annotations

import pytest
import torch
from architectures import tiny_policy_of

from rerec_engine.config import ModelConfig
from rerec_engine.errors import UserError
from rerec_engine.model.selfcheck import BOUNDS
from rerec_engine.rollout.decoder import FusedDecoder, GenericDecoder
from rerec_engine.rollout.replica import ReplicaSampler
from rerec_engine.rollout.sampler import Sampler
from rerec_engine.rollout.selfcheck import prove_sampler
from rerec_engine.types import Sampling

KINDS = "qwen2 llama gpt2 granite gemma2 phi mamba mamba2 lfm2 qwen3_5 jamba falcon_h1 bamba qwen3_next".split()


@pytest.mark.parametrize("kind", KINDS)
def test_the_sampler_gives_the_models_own_log_probs(kind):
    policy = tiny_policy_of(kind)
    sampler = Sampler(policy)
    assert prove_sampler(sampler).logprob_max < 1e-4
    prompts = [[5, 6, 7], [9, 8, 7, 6, 5], [11, 12, 13], [20]]
    rollouts = sampler.generate(prompts, 2, Sampling(9, 1.0, seed=1))
    rows = [(prompts[i // 2], rollout.token_ids) for i, rollout in enumerate(rollouts)]
    expected = policy.token_logprobs(rows)[0]
    found = torch.tensor([x for rollout in rollouts for x in rollout.logprobs])
    assert (found - expected).abs().max() < 1e-3


def test_a_decoder_that_is_wrong_gives_way_to_the_generic_one():
    policy = tiny_policy_of("qwen2")
    sampler = Sampler(policy)
    assert isinstance(sampler.decoder, FusedDecoder)
    sampler.decoder.eps = 1.0
    assert prove_sampler(sampler).logprob_max < 1e-4
    assert isinstance(sampler.decoder, GenericDecoder)
    assert sampler.pads


def test_states_that_do_not_stand_padding_are_decoded_by_length(monkeypatch):
    policy = tiny_policy_of("gpt2")
    blind = GenericDecoder._forward

    def forward(self, ids, positions):
        self.valid = torch.ones_like(self.valid)
        return blind(self, ids, positions)

    sampler, asked = Sampler(policy), [[5, 6, 7], [9, 8, 7, 6, 5], [11, 12, 13]]
    expected = sampler.generate(asked, 2, Sampling(6, 1.0, seed=1))
    monkeypatch.setattr(GenericDecoder, "_forward", forward)
    prove_sampler(sampler)
    assert not sampler.pads
    found = sampler.generate(asked, 2, Sampling(6, 1.0, seed=1))
    assert [r.token_ids for r in found] == [r.token_ids for r in expected]


def test_what_it_cannot_do_is_refused_in_one_line_that_names_vllm(monkeypatch):
    policy = tiny_policy_of("gpt2")
    monkeypatch.setattr(GenericDecoder, "step", lambda self, tokens: self.cache.nothing)
    with pytest.raises(UserError) as raised:
        prove_sampler(Sampler(policy), remedy="; --rollout.engine vllm")
    told = str(raised.value)
    assert told.startswith("GPT2LMHeadModel, the built-in sampler: AttributeError: ")
    assert told.endswith("; --rollout.engine vllm")
    assert "\n" not in told


@pytest.mark.parametrize("kind", ["qwen2", "gpt2"])
def test_an_adapter_is_merged_as_the_trainer_adds_it(kind):
    policy = tiny_policy_of(kind)
    policy.prepare(ModelConfig(lora_rank=2), seed=0)
    for sampler in (Sampler(policy), ReplicaSampler(policy)):
        before = sampler.generate([[5, 6, 7]], 2, Sampling(6, 1.0, seed=1))
        assert prove_sampler(sampler, policy).logprob_max < 1e-4
        assert sampler.generate([[5, 6, 7]], 2, Sampling(6, 1.0, seed=1)) == before


def test_bf16_arithmetic_has_its_own_bound():
    policy = tiny_policy_of("granite")
    policy.dtype = torch.bfloat16
    assert 0 < prove_sampler(Sampler(policy)).logprob_max < BOUNDS[torch.bfloat16] / 4
