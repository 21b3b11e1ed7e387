"""What constrained answers cost: the walk over titles, sampling, the update, and beam search beside transformers'.

    python -m bench.rollout.constrained [--titles 1000000] [--office DIR] [--output bench/results/constrained.json]

`walk`: made titles, byte-level tokens: seconds to order them, bytes that are held, microseconds of what may follow at
the box's beginning (first and again) and on the way through a title. `sampling`: an untrained model that often begins
a box; 10,000 responses, of which no box may hold anything but titles, and tokens/s with and without. `update`: seconds
of an update over such responses with and without. `beams`: a model of SmolLM2's shape with random weights over the
titles of amazon-office, 20 beams, beside `generate` of transformers with `prefix_allowed_tokens_fn` and as many;
log-probs of what is found are compared with the model's own before. Medians of `--repeats`.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import json
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import AddedToken
from transformers import Qwen2Config, Qwen2ForCausalLM

from bench.rollout.pretrained import make_policy as make_large
from rerec_engine.config import Config, LossConfig, RolloutConfig
from rerec_engine.constrain.titles import AnswerTitles
from rerec_engine.graph.catalogue import Catalogue
from rerec_engine.model.policy import Policy, make_policy
from rerec_engine.model.small_model import corpus_tokenizer
from rerec_engine.model.text import decode
from rerec_engine.rollout.beams import BOX, WIDTH, Beams
from rerec_engine.rollout.sampler import Sampler
from rerec_engine.runs.environment import describe
from rerec_engine.training.batches import TrainingBatch, pack
from rerec_engine.training.update import Updater
from rerec_engine.types import Query, Sampling

WORDS = "river house night last first blue stone king queen garden empty winter summer road city old new of the".split()


def made_titles(count: int, seed: int = 0) -> list[str]:
    """Distinct titles of three to six words and a year."""
    rng = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        name = " ".join(rng.choice(WORDS).capitalize() for _ in range(rng.randint(3, 6)))
        found[f"{name} {rng.randint(1, 999)} ({rng.randint(1900, 2025)})"] = None
    return list(found)


def timed(call: Callable[[], Any], repeats: int = 1) -> float:
    """Median seconds."""
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def walk(count: int) -> dict[str, Any]:
    titles = made_titles(count)
    tokenizer = corpus_tokenizer(titles[:20000], 8192)
    catalogue = Catalogue(titles)
    began = time.perf_counter()
    answers = AnswerTitles(catalogue, tokenizer, threads=2)
    built = time.perf_counter() - began
    box = tokenizer.encode(BOX)
    rows = answers.rows()
    rows.join([()], 1)
    for token in box:
        rows.advance(torch.tensor([token]))
    first = timed(rows.core.allowed)
    again = timed(rows.core.allowed, 20)
    steps: list[float] = []
    for title in random.Random(1).sample(titles, 200):
        rows = answers.rows()
        rows.join([()], 1)
        for token in [*box, *tokenizer.encode(f"{title}}}")]:
            began = time.perf_counter()
            rows.core.allowed()
            steps.append(time.perf_counter() - began)
            rows.advance(torch.tensor([token]))
        assert rows.core.answer(0) == [catalogue.match(title)]
    return {
        "titles": count,
        "tokens": len(tokenizer),
        "order_seconds": built,
        "bytes_order": 4 * (count - answers.unsaid),
        "left_out": answers.unsaid,
        "us_first_at_the_beginning": 1e6 * first,
        "us_at_the_beginning": 1e6 * again,
        "us_step_median": 1e6 * statistics.median(steps),
        "us_step_p99": 1e6 * float(np.quantile(steps, 0.99)),
        "us_step_max": 1e6 * max(steps),
    }


def boxing(titles: list[str]) -> tuple[Policy, AnswerTitles]:
    """An untrained model to which a box's beginning is one token of some thousand."""
    tokenizer = corpus_tokenizer(titles, 1024)
    tokenizer.add_tokens([AddedToken(BOX, normalized=False)])
    torch.manual_seed(0)
    sizes = dict(hidden_size=128, intermediate_size=384, num_hidden_layers=4, num_attention_heads=4)
    ends = dict(eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, bos_token_id=None)
    config = Qwen2Config(vocab_size=len(tokenizer), num_key_value_heads=2, **sizes, **ends)
    return make_policy(Qwen2ForCausalLM(config), tokenizer, "untrained"), AnswerTitles(Catalogue(titles), tokenizer)


def sampling(repeats: int) -> dict[str, Any]:
    titles = made_titles(3000)
    policy, answers = boxing(titles)
    prompts = [[7 + i % 200] * 20 for i in range(500)]
    candidates = [random.Random(i).sample(range(len(titles)), 20) for i in range(500)]
    sampler = Sampler(policy)
    sampler.titles = answers
    named, invalid, cut = 0, 0, 0
    for i, rollout in enumerate(sampler.generate(prompts, 20, Sampling(100, 1.0, seed=1, candidates=candidates))):
        for box in decode(policy.tokenizer, rollout.token_ids).split(BOX)[1:]:
            content, closed, _ = box.partition("}")
            if not closed:
                cut += 1
                continue
            lines = [line.strip() for line in content.split("\n") if line.strip()]
            some = [titles.index(line) if line in titles else -1 for line in lines]
            named += len(some)
            invalid += not some or not set(some) <= set(candidates[i // 20]) or len(set(some)) < len(some)
    assert invalid == 0
    how = Sampling(100, 1.0, seed=1, candidates=candidates[:50])
    times: dict[bool, list[float]] = {False: [], True: []}
    counts = dict.fromkeys(times, 0)
    for _ in range(repeats):
        for constrained in (True, False):
            sampler.titles = answers if constrained else None
            began = time.perf_counter()
            rollouts = sampler.generate(prompts[:50], 20, how)
            times[constrained].append(time.perf_counter() - began)
            counts[constrained] = sum(len(r.token_ids) for r in rollouts)
    rate = {key: counts[key] / statistics.median(times[key]) for key in times}
    return {
        "responses": 10_000,
        "titles_named": named,
        "boxes_invalid": invalid,
        "boxes_cut_off": cut,
        "tokens_s": rate[True],
        "tokens_s_free": rate[False],
        "ratio": rate[True] / rate[False],
    }


def update(repeats: int) -> dict[str, Any]:
    titles = made_titles(3000)
    policy, answers = boxing(titles)
    sampler = Sampler(policy)
    sampler.titles = answers
    queries = [Query(str(i), (), (i,), tuple(random.Random(i).sample(range(3000), 20))) for i in range(32)]
    prompts = [[7 + i] * 200 for i in range(32)]
    drawn = sampler.generate(prompts, 8, Sampling(160, 1.0, 3, candidates=[q.candidates for q in queries]))
    batch = pack(queries, prompts, drawn, 8)
    advantages = torch.randn(len(batch.token_ids), generator=torch.Generator().manual_seed(0))
    batch = TrainingBatch(
        **vars(batch), scores={}, token_rewards=advantages, advantages=advantages, old_logprobs=batch.rollout_logprobs
    )
    config = Config(loss=LossConfig(beta=0.0), rollout=RolloutConfig(max_new_tokens=160))
    allowed = answers.read(batch.token_ids, batch.cu_seqlens, [queries[g].candidates for g in batch.group.tolist()])
    times: dict[bool, list[float]] = {False: [], True: []}
    for repeat in range(repeats + 1):
        for constrained in (True, False):
            own = Policy(copy.deepcopy(policy.model), policy.tokenizer, policy.end_ids, policy.pad_id, policy.dtype)
            updater = Updater(own, config, None, None, titles=answers if constrained else None)
            began = time.perf_counter()
            metrics = updater.update(batch, 1)
            if repeat:
                times[constrained].append(time.perf_counter() - began)
            if constrained:
                assert metrics["logprob_mismatch_max"] < 1e-4
    ratio = statistics.median(a / b for a, b in zip(times[True], times[False], strict=True))
    return {
        "tokens": len(batch.token_ids),
        "constrained": int((~allowed.denied).sum()),
        "seconds": statistics.median(times[True]),
        "seconds_free": statistics.median(times[False]),
        "ratio": ratio,
    }


def beams(folder: Path, queries: int) -> dict[str, Any]:
    with gzip.open(folder / "Office_Products.item.json.gz", "rt", encoding="utf-8") as file:
        titles = [" ".join(item["title"].split()) for item in json.load(file).values()]
    large = make_large(torch.float32)
    tokenizer = corpus_tokenizer(titles * 3, 8192)
    policy = make_policy(large.model, tokenizer, "SmolLM2's shape")
    answers = AnswerTitles(Catalogue(titles), tokenizer)
    generator = torch.Generator().manual_seed(0)
    prompts = [torch.randint(300, 8000, (300,), generator=generator).tolist() for _ in range(queries)]
    search = Beams(Sampler(policy), answers)
    everything = [range(len(titles))] * queries
    found: list[list[tuple[int, float]]] = []
    ours = timed(lambda: found.extend(search(prompts, everything)))
    box = tokenizer.encode(BOX)
    shares: list[float] = []
    with torch.no_grad():
        for prompt, ranked in zip(prompts, found, strict=True):
            assert len({item for item, _ in ranked}) == len(ranked) > WIDTH // 2
            rows = [([*prompt, *box], torch.tensor(tokenizer.encode(f"{titles[item]}}}"))) for item, _ in ranked]
            logp, _ = policy.token_logprobs(rows)
            usual = [float(part.double().sum()) for part in logp.split([len(r) for _, r in rows])]
            shares.append(
                float(np.mean([abs(score - own) < 1e-2 for (_, score), own in zip(ranked, usual, strict=True)]))
            )
    tree: dict[Any, Any] = {}
    for title in titles:
        node = tree
        for token in tokenizer.encode(f"{title}}}"):
            node = node.setdefault(token, {})
    end = tokenizer.eos_token_id

    def follow(_: int, ids: torch.Tensor) -> list[int]:
        node = tree
        for token in ids.tolist()[len(prompts[0]) + len(box) :]:
            node = node.get(token, {})
        return list(node) or [end]

    longest = max(len(tokenizer.encode(f"{title}}}")) for title in titles)

    def theirs() -> None:
        for prompt in prompts:
            ids = torch.tensor([[*prompt, *box]])
            out = policy.model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                num_beams=WIDTH,
                num_return_sequences=WIDTH,
                max_new_tokens=longest + 1,
                do_sample=False,
                prefix_allowed_tokens_fn=follow,
                eos_token_id=end,
                pad_token_id=policy.pad_id,
                early_stopping=True,
                length_penalty=0.0,
            )
            assert len(out) == WIDTH

    peer = timed(theirs)
    return {
        "titles": len(titles),
        "left_out": answers.unsaid,
        "queries": queries,
        "found": [len(ranked) for ranked in found],
        "usual_spellings": statistics.mean(shares),
        "queries_s": queries / ours,
        "queries_s_generate": queries / peer,
        "ratio": peer / ours,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--titles", type=int, default=1_000_000)
    parser.add_argument("--office", type=Path, help="the folder of amazon-office; without it no beams")
    parser.add_argument("--queries", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    result = {"environment": describe(), "walk": walk(args.titles)}
    print(json.dumps(result["walk"], indent=1), flush=True)
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "sampling": lambda: sampling(args.repeats),
        "update": lambda: update(args.repeats),
    }
    if args.office:
        parts["beams"] = lambda: beams(args.office, args.queries)
    for name, part in parts.items():
        result[name] = part()
        print(name, json.dumps(result[name], indent=1), flush=True)
    if args.output:
        args.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
