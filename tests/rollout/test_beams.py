"""Beam search against the log-prob of every title, read one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tokenizers import AddedToken

from rerec_engine.constrain.titles import AnswerTitles
from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.model.policy import make_policy
from rerec_engine.model.small_model import corpus_tokenizer
from rerec_engine.rollout.beams import BOX, Beams
from rerec_engine.rollout.sampler import Sampler

TITLES = [f"{name} ({year})" for name in ("Heat", "Heat Wave", "Alien", "Aliens", "It") for year in range(1990, 1996)]


def spelled(policy, vocabulary: int):
    """The policy with a tokenizer of bytes, and of some of the titles' pieces where its vocabulary has room."""
    tokenizer = corpus_tokenizer(TITLES, vocabulary)
    torch.manual_seed(0)
    policy.model.resize_token_embeddings(len(tokenizer))
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return make_policy(policy.model, tokenizer, "tiny")


def scores(policy, prompt, items):
    """Log-prob of each title as its characters alone spell it, and the number of its tokens."""
    ids = [policy.tokenizer.encode(f"{TITLES[item]}}}") for item in items]
    before = [*prompt, *policy.tokenizer.encode(BOX)]
    with torch.no_grad():
        logp, _ = policy.token_logprobs([(before, torch.tensor(own)) for own in ids])
    return [
        (float(part.double().sum()), len(own))
        for part, own in zip(logp.split([len(own) for own in ids]), ids, strict=True)
    ]


def asked(policy, count=4):
    rng = np.random.default_rng(0)
    return [rng.integers(5, len(policy.tokenizer), int(n)).tolist() for n in rng.integers(2, 50, count)]


@pytest.mark.parametrize("architecture", ["qwen2", "llama", "gpt2"])
@pytest.mark.parametrize("normalised", [False, True])
def test_where_each_title_has_one_spelling_the_best_are_found_to_the_last_digit(tiny_policy, architecture, normalised):
    policy = spelled(tiny_policy(architecture), 261)
    titles = AnswerTitles(Catalogue(TITLES), policy.tokenizer)
    prompts = asked(policy)
    items = [range(len(TITLES)), (3, 7, 21, 22, 28), (5,), range(len(TITLES))]
    found = Beams(Sampler(policy), titles, 30, normalised)(prompts, items)
    for prompt, some, ranked in zip(prompts, items, found, strict=True):
        right = [(total / count if normalised else total) for total, count in scores(policy, prompt, some)]
        order = np.argsort(-np.array(right), kind="stable")[:30]
        assert [item for item, _ in ranked] == [some[i] for i in order]
        assert np.allclose([score for _, score in ranked], [right[i] for i in order], atol=1e-4)


def test_a_narrow_beam_finds_distinct_titles_whose_scores_are_true(tiny_policy):
    policy = spelled(tiny_policy("qwen2"), 300)
    titles = AnswerTitles(Catalogue(TITLES), policy.tokenizer)
    prompts = asked(policy)
    everything = [range(len(TITLES))] * len(prompts)
    narrow, wide = (Beams(Sampler(policy), titles, width)(prompts, everything) for width in (4, 60))
    for few, many in zip(narrow, wide, strict=True):
        assert len(few) == 4
        assert len({item for item, _ in few}) == 4
        best = dict(many)
        assert all(score <= best[item] + 1e-4 for item, score in few)


def test_what_is_said_before_stands_behind_the_prompt(tiny_policy):
    policy = spelled(tiny_policy("qwen2"), 300)
    sampler, titles = Sampler(policy), AnswerTitles(Catalogue(TITLES), policy.tokenizer)
    prompts, said = asked(policy), ["Asked: Heat", "", "x\n", "It is"]
    everything = [range(len(TITLES))] * len(prompts)
    found = Beams(sampler, titles, 5, reason=lambda _: said)(prompts, everything)
    box = policy.tokenizer.encode(BOX)
    lead = [policy.tokenizer.encode(f"{text}{BOX}") for text in said]
    assert [own[-len(box) :] for own in lead] == [box] * 4
    longer = [[*p, *own[: -len(box)]] for p, own in zip(prompts, lead, strict=True)]
    assert found == Beams(sampler, titles, 5)(longer, everything)


def test_a_box_is_spelled_as_the_text_before_it_asks(tiny_policy):
    """Where a line break and the box's beginning are one token, as in models made on the spot."""
    policy = spelled(tiny_policy("qwen2"), 300)
    policy.tokenizer.add_tokens([AddedToken("\n\\boxed{", normalized=False)])
    policy.model.resize_token_embeddings(len(policy.tokenizer))
    sampler, titles = Sampler(policy), AnswerTitles(Catalogue(TITLES), policy.tokenizer)
    asked_with: list[list[int]] = []
    join = sampler.decoder.join
    sampler.decoder.join = lambda prompts, n: (asked_with.extend(prompts), join(prompts, n))[1]
    Beams(sampler, titles, 3, reason=lambda _: ["It\n"])([[7, 8]], [range(len(TITLES))])
    assert asked_with[0][-1] == len(policy.tokenizer) - 1


def test_prompts_together_or_alone(tiny_policy):
    policy = spelled(tiny_policy("qwen2"), 300)
    beams = Beams(Sampler(policy), AnswerTitles(Catalogue(TITLES), policy.tokenizer), 5)
    prompts = [[7] * 40 + own for own in asked(policy)]  # with a common beginning
    items = [(1, 2, 3), range(len(TITLES)), (9,), (4, 5)]
    together = beams(prompts, items)
    for prompt, some, ranked in zip(prompts, items, together, strict=True):
        alone = beams([prompt], [some])[0]
        assert [item for item, _ in alone] == [item for item, _ in ranked]
        assert np.allclose([score for _, score in alone], [score for _, score in ranked], atol=1e-4)
