"""Rollouts of a model of SmolLM2's shape (135 M parameters, random weights) by the built-in sampler on two cores.

    python -m bench.rollout.pretrained [--dtype fp32|bf16] [--output bench/results/rollout_pretrained.json]

Prompts of 250 to 450 tokens that begin alike in their first 64. `prefill`: tokens of prompts a second, one token drawn
for each; `decode`: seconds of a token step of 64 responses to 8 prompts; `evaluate`: many prompts, one response each,
whose lengths spread around 48 tokens up to 96. The log-probs are compared with the policy's own before the times are
taken. Page faults are the process's minor ones, in thousands.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from bench.rollout.generation import seconds
from rerec_engine.machine import peak_bytes
from rerec_engine.model.policy import DTYPES, Policy
from rerec_engine.model.selfcheck import BOUNDS
from rerec_engine.model.small_model import corpus_tokenizer
from rerec_engine.ops.native.onednn import multiply_with_onednn
from rerec_engine.rollout.sampler import Sampler
from rerec_engine.runs.environment import processor
from rerec_engine.types import Sampling

COMMON, SHORTEST, LONGEST = 64, 250, 450
COUNTS = (2, 8, 32, 118)
STEPS = 24
ENDS = 1024  # of 49,152 tokens that are about equally likely: responses of 48 tokens


def make_policy(dtype: torch.dtype) -> Policy:
    multiply_with_onednn()  # as for any model of this size that is loaded
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=8192,
        rope_theta=100000.0,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
    )
    return Policy(LlamaForCausalLM(config).eval(), corpus_tokenizer(["a"]), (), 0, dtype)


def make_prompts(count: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(count)
    common = torch.randint(ENDS, 49152, (COMMON,), generator=torch.Generator().manual_seed(0)).tolist()
    lengths = torch.randint(SHORTEST - COMMON, LONGEST - COMMON + 1, (count,), generator=generator).tolist()
    return [common + torch.randint(ENDS, 49152, (length,), generator=generator).tolist() for length in lengths]


def check(policy: Policy, sampler: Sampler) -> float:
    """The largest difference of log-probs from the policy's own, nats: asserted, then returned."""
    prompts = make_prompts(3)
    rollouts = sampler.generate(prompts, 2, Sampling(8, seed=1))
    with torch.no_grad():
        own, _ = policy.token_logprobs([(prompts[i // 2], r.token_ids) for i, r in enumerate(rollouts)])
    apart = float((own - torch.tensor([x for r in rollouts for x in r.logprobs])).abs().max())
    assert apart < BOUNDS[policy.dtype], f"log-probs {apart} nats off"
    return apart


def faults() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt / 1000


def peak_gb() -> float:
    return peak_bytes() / 2**30


def prefill(sampler: Sampler, count: int) -> dict[str, float]:
    prompts = make_prompts(count)
    before = faults()
    taken = seconds(lambda: sampler.generate(prompts, 1, Sampling(1)))
    tokens = sum(map(len, prompts))
    return {
        "tokens_per_second": round(tokens / taken),
        "thousand_page_faults": round(faults() - before),
        "peak_gb": round(peak_gb(), 2),
    }


def decode(sampler: Sampler) -> dict[str, float]:
    """From token to token, of 8 prompts x 8 responses."""
    times: list[float] = []
    sampler.watch = lambda finished, tokens: times.append(time.perf_counter())
    before = faults()
    sampler.generate(make_prompts(8), 8, Sampling(STEPS, seed=2))
    sampler.watch = None
    steps = torch.tensor(times[-STEPS:]).double().diff()
    return {
        "seconds_a_step": round(float(steps.median()), 4),
        "thousand_page_faults": round(faults() - before),
        "peak_gb": round(peak_gb(), 2),
    }


def evaluate(policy: Policy, sampler: Sampler, count: int) -> dict[str, float]:
    prompts = make_prompts(count)
    policy.end_ids = tuple(range(ENDS))
    begin = time.perf_counter()
    rollouts = sampler.generate(prompts, 1, Sampling(96, seed=3))
    taken = time.perf_counter() - begin
    policy.end_ids = ()
    return {
        "seconds": round(taken, 1),
        "tokens": sum(len(r.token_ids) for r in rollouts),
        "peak_gb": round(peak_gb(), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", nargs="+", choices=list(DTYPES), default=["fp32", "bf16"])
    parser.add_argument("--counts", nargs="+", type=int, default=list(COUNTS))
    parser.add_argument("--evaluate", type=int, default=118, help="prompts; 0: leave it out")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    result: dict[str, Any] = {
        "hardware": {"processor": processor(), "cores": os.cpu_count(), "threads": arguments.threads},
        "torch": torch.__version__,
        "load_before": os.getloadavg()[0],
    }
    for name in arguments.dtype:
        policy = make_policy(DTYPES[name])
        sampler = Sampler(policy)
        found: dict[str, Any] = {"largest_logprob_difference": float(f"{check(policy, sampler):.2g}")}
        found["decode"] = decode(sampler)
        found["prefill"] = {str(count): prefill(sampler, count) for count in arguments.counts}
        if arguments.evaluate:
            found["evaluate"] = evaluate(policy, sampler, arguments.evaluate)
        print(name, json.dumps(found, indent=2), flush=True)
        result[name] = found
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
