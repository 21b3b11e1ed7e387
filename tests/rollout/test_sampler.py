"""The sampler's draws against the trainer's recomputed log-probs, and against transformers' own generation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rerec_engine.model.text import decode
from rerec_engine.rollout.decoder import FusedDecoder, GenericDecoder
from rerec_engine.rollout.sampler import Sampler, draw
from rerec_engine.types import Sampling

ARCHITECTURES = ["qwen2", "llama", "gpt2"]
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}


def prompts(policy, count=5, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(5, len(policy.tokenizer), int(n)).tolist() for n in rng.integers(1, 40, count)]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logprobs_equal_the_trainers(tiny_policy, architecture, temperature):
    policy = tiny_policy(architecture)
    asked = prompts(policy)
    rollouts = Sampler(policy).generate(asked, 3, Sampling(50, temperature, seed=1))
    assert len(rollouts) == 15
    rows = [(asked[i // 3], r.token_ids) for i, r in enumerate(rollouts)]
    with torch.no_grad():
        logp, _ = policy.token_logprobs(rows, temperature)
    sampled = torch.tensor([x for r in rollouts for x in r.logprobs])
    assert (logp - sampled).abs().max() < 1e-4


@pytest.mark.parametrize(("architecture", "temperature"), [("qwen2", 1.0), ("llama", 0.7), ("gpt2", 0.7)])
def test_constrained_answers_name_items_alone_and_the_trainer_agrees(boxing_policy, architecture, temperature):
    policy, titles = boxing_policy(architecture)
    asked, candidates = prompts(policy), [(3, 7, 21), (5,), (), (40, 41, 42), (79, 1)]
    sampler = Sampler(policy, max_rows=9)
    sampler.titles = titles
    sampling = Sampling(250, temperature, seed=1, candidates=candidates)
    rollouts = sampler.generate(asked, 4, sampling)
    rows = [(asked[i // 4], torch.tensor(r.token_ids)) for i, r in enumerate(rollouts)]
    named = 0
    for i, rollout in enumerate(rollouts):
        boxes = decode(policy.tokenizer, rollout.token_ids).split("\\boxed{")[1:]
        for box in boxes[: len(boxes) - (rollout.finish == "length")]:
            content, closed, _ = box.partition("}")
            items = [titles.catalogue.match(title) for title in content.split("\n") if title]
            assert closed
            assert items
            assert len(set(items)) == len(items)
            assert set(items) <= set(candidates[i // 4] or range(80))
            named += len(items)
    assert named > 8
    bounds = torch.tensor([0, *np.cumsum([len(r.token_ids) for r in rollouts])])
    tokens = torch.cat([response for _, response in rows])
    allowed = titles.read(tokens, bounds, [candidates[i // 4] for i in range(len(rows))])
    assert len(allowed) > 100
    assert bool(allowed.denied.any()), "the token that begins a box and a title"
    with torch.no_grad():
        logp, _ = policy.token_logprobs(rows, temperature, allowed=allowed)
        free, _ = policy.token_logprobs(rows, temperature)
    sampled = torch.tensor([x for r in rollouts for x in r.logprobs])
    assert (logp - sampled).abs().max() < 1e-4
    assert (free - sampled)[allowed.at[~allowed.denied]].mean() < -1, (
        "ignoring the constraint is a bias, and not a small one"
    )
    again = sampler.generate(asked[2:], 4, sampling.part(slice(2, 5)))
    assert [r.token_ids for r in again] == [r.token_ids for r in rollouts[8:]]


def test_a_streamed_answer_is_constrained_too(boxing_policy):
    policy, titles = boxing_policy()
    sampler = Sampler(policy)
    sampler.titles = titles
    for seed in range(4):
        asked = prompts(policy, 1, seed)
        sampling = Sampling(200, 1.0, seed=seed, candidates=[(3, 7)])
        rollout = sampler.generate(asked, 1, sampling)[0]
        streamed = list(sampler.stream(asked[0], sampling))
        assert streamed == rollout.token_ids[: len(streamed)]
        assert len(rollout.token_ids) - len(streamed) == (rollout.finish == "stop")


def test_who_watches_changes_nothing(tiny_policy):
    policy = tiny_policy()
    asked = prompts(policy)
    watched, told = Sampler(policy, max_rows=6), []
    watched.watch = lambda finished, tokens: told.append((finished, tokens))
    rollouts = watched.generate(asked, 2, Sampling(50, 1.0, seed=1))
    assert rollouts == Sampler(policy, max_rows=6).generate(asked, 2, Sampling(50, 1.0, seed=1))
    assert told[0] == (0, 0), "read, and nothing drawn"
    assert told[-1][0] == len(rollouts)
    finished = [count for count, _ in told]
    assert finished == sorted(finished)
    assert max(tokens for _, tokens in told) == max(len(r.token_ids) for r in rollouts)


def ending(policy):
    """Its responses end at many lengths."""
    with torch.no_grad():  # every state likes the end token somewhat
        policy.model.lm_head.weight[policy.end_ids[0]] = policy.model.lm_head.weight.mean(0)
    policy.end_ids = tuple(range(5, 60))  # a fifth of the vocabulary
    return policy


@pytest.mark.parametrize("architecture", ["qwen2", "gpt2"])
@pytest.mark.parametrize("room", [{"max_rows": 7}, {"cache_gb": 1e-9}, {"cache_gb": 3e-5}], ids=str)
def test_as_responses_end_the_next_prompts_take_their_place(tiny_policy, architecture, room):
    policy = ending(tiny_policy(architecture))
    asked = prompts(policy, 12)
    expected = Sampler(policy).generate(asked, 3, Sampling(20, 1.0, seed=4))
    sampler, rows = Sampler(policy, **room), []
    step = sampler.decoder.step
    sampler.decoder.step = lambda tokens: (rows.append(len(tokens)), step(tokens))[1]
    found = sampler.generate(asked, 3, Sampling(20, 1.0, seed=4))
    assert [r.token_ids for r in found] == [r.token_ids for r in expected]
    assert np.allclose([x for r in found for x in r.logprobs], [x for r in expected for x in r.logprobs], atol=1e-4)
    assert max(rows) <= room.get("max_rows", 15)
    assert len({len(r.token_ids) for r in found}) > 5


def test_a_common_beginning_is_read_once(tiny_policy):
    policy = tiny_policy("llama")
    (beginning,) = [prompts(policy, 1)[0] * 40][:1]
    asked = [beginning[:70] + prompt for prompt in prompts(policy)]
    sampler, read = Sampler(policy), []
    body = sampler.decoder._body
    sampler.decoder._body = lambda ids, attend: (read.append(len(ids)), body(ids, attend))[1]
    rollouts = sampler.generate(asked, 2, Sampling(9, 1.0, seed=1))
    assert read[:2] == [64, sum(map(len, asked)) - 64 * len(asked)]
    with torch.no_grad():
        logp, _ = policy.token_logprobs([(asked[i // 2], r.token_ids) for i, r in enumerate(rollouts)])
    assert (logp - torch.tensor([x for r in rollouts for x in r.logprobs])).abs().max() < 1e-4


@pytest.mark.parametrize("options", [{"rope_parameters": LLAMA3_ROPE}, {"attention_bias": True}, {"head_dim": 16}])
def test_llama_variants(tiny_policy, options):
    policy = tiny_policy("llama", **options)
    sampler = Sampler(policy)
    assert isinstance(sampler.decoder, FusedDecoder)
    asked = prompts(policy)
    rollouts = sampler.generate(asked, 2, Sampling(40, 1.0, seed=3))
    with torch.no_grad():
        logp, _ = policy.token_logprobs([(asked[i // 2], r.token_ids) for i, r in enumerate(rollouts)])
    sampled = torch.tensor([x for r in rollouts for x in r.logprobs])
    assert (logp - sampled).abs().max() < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_greedy_equals_transformers(tiny_policy, architecture):
    policy = tiny_policy(architecture)
    for prompt in prompts(policy, 4, seed=2):
        ids = torch.tensor([prompt])
        expected = policy.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=30,
            do_sample=False,
            eos_token_id=list(policy.end_ids),
        )[0, len(prompt) :].tolist()
        (found,) = Sampler(policy).generate([prompt], 1, Sampling(30, 0.0))
        assert found.token_ids == expected
        streamed = list(Sampler(policy).stream(prompt, Sampling(30, 0.0)))
        assert streamed == [t for t in expected if t not in policy.end_ids]


def test_fused_and_generic_decoders_agree(tiny_policy):
    policy = tiny_policy("qwen2")
    asked = prompts(policy)
    fused, generic = Sampler(policy), Sampler(policy)
    generic.decoder = GenericDecoder(policy.model, policy.dtype)
    assert isinstance(fused.decoder, FusedDecoder)
    a, b = (s.generate(asked, 2, Sampling(30, 1.0, seed=5)) for s in (fused, generic))
    assert [r.token_ids for r in a] == [r.token_ids for r in b]
    assert np.allclose([x for r in a for x in r.logprobs], [x for r in b for x in r.logprobs], atol=1e-4)


def test_stops_at_an_end_token_and_drops_finished_rows(tiny_policy):
    policy = ending(tiny_policy("qwen2"))
    sampler = Sampler(policy)
    sizes = []
    keep = sampler.decoder.keep
    sampler.decoder.keep = lambda rows: (sizes.append(len(rows)), keep(rows))[1]
    asked = prompts(policy, 8)
    rollouts = sampler.generate(asked, 8, Sampling(60, 1.0, seed=7))
    assert sizes
    assert sizes == sorted(sizes, reverse=True)
    for rollout in rollouts:
        body, last = rollout.token_ids[:-1], rollout.token_ids[-1]
        assert not set(body) & set(policy.end_ids)
        assert (rollout.finish == "stop") == (last in policy.end_ids)
        assert rollout.finish == "stop" or len(rollout.token_ids) == 60
    with torch.no_grad():
        logp, _ = policy.token_logprobs([(asked[i // 8], r.token_ids) for i, r in enumerate(rollouts)])
    sampled = torch.tensor([x for r in rollouts for x in r.logprobs])
    assert (logp - sampled).abs().max() < 1e-4


def test_draws_depend_on_seed_and_place_alone(tiny_policy):
    policy = tiny_policy("qwen2")
    asked = prompts(policy, 6)
    whole = Sampler(policy).generate(asked, 2, Sampling(20, 1.0, seed=9))
    in_parts = Sampler(policy, max_rows=4).generate(asked, 2, Sampling(20, 1.0, seed=9))
    shared = [
        Sampler(policy).generate(asked[a:b], 2, Sampling(20, 1.0, seed=9, first=a))
        for a, b in ((0, 3), (3, len(asked)))
    ]
    other = Sampler(policy).generate(asked, 2, Sampling(20, 1.0, seed=10))
    assert [r.token_ids for r in sum(shared, [])] == [r.token_ids for r in whole]
    assert [r.token_ids for r in whole] == [r.token_ids for r in in_parts]
    assert [r.token_ids for r in whole] != [r.token_ids for r in other]


def test_update_weights_takes_over_the_policy(tiny_policy):
    policy = tiny_policy("qwen2")
    sampler, (prompt,) = Sampler(policy), prompts(policy, 1)
    before = sampler.generate([prompt], 1, Sampling(20, 0.0))[0]
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.mul_(torch.rand_like(parameter) + 0.5)
    sampler.update_weights(7)
    after = sampler.generate([prompt], 1, Sampling(20, 0.0))[0]
    with torch.no_grad():
        logp, _ = policy.token_logprobs([(prompt, after.token_ids)])
    assert (logp - torch.tensor(after.logprobs)).abs().max() < 1e-4
    assert (before.weight_version, after.weight_version) == (0, 7)
    assert before.logprobs != after.logprobs


def test_draw_follows_the_distribution():
    logits = torch.log(torch.tensor([[0.5, 0.0, 0.3, 0.2]])).expand(20000, 4)
    uniform = torch.rand(20000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    tokens, logp = draw(logits, 1.0, uniform)
    share = torch.bincount(tokens, minlength=4) / 20000
    assert share[1] == 0
    assert torch.allclose(share, torch.tensor([0.5, 0.0, 0.3, 0.2]), atol=0.015)
    assert torch.allclose(logp.exp(), torch.tensor([0.5, 0.0, 0.3, 0.2])[tokens])
    edge, _ = draw(logits[:2], 1.0, torch.tensor([0.0, 1 - 1e-16], dtype=torch.float64))
    assert edge.tolist() == [0, 3]


def test_bf16_arithmetic_on_fp32_weights(tiny_policy):
    policy = tiny_policy("qwen2")
    policy.dtype = torch.bfloat16
    asked = prompts(policy)
    rollouts = Sampler(policy).generate(asked, 1, Sampling(20, 1.0, seed=1))
    with torch.no_grad():
        logp, _ = policy.token_logprobs([(p, r.token_ids) for p, r in zip(asked, rollouts, strict=True)])
    difference = (logp - torch.tensor([x for r in rollouts for x in r.logprobs])).abs()
    assert logp.dtype == torch.float32
    assert difference.mean() < 0.03


def test_twin_draws_the_same_from_a_cache_of_its_own(tiny_policy):
    policy = tiny_policy("qwen2")
    sampler = Sampler(policy)
    first, second = prompts(policy, 2)
    alone = [list(sampler.stream(prompt, Sampling(20, 0.0))) for prompt in (first, second)]
    together = [sampler.stream(first, Sampling(20, 0.0)), sampler.twin().stream(second, Sampling(20, 0.0))]
    drawn = [[], []]
    for _ in range(20):
        for stream, tokens in zip(together, drawn, strict=True):
            tokens += [token] if (token := next(stream, None)) is not None else []
    assert drawn == alone
