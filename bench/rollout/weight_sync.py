"""A weight push into vLLM on the CPU, against a file written and read: seconds and bytes.

    python -m bench.rollout.weight_sync [--vllm-python .venv/vllm/bin/python] [--output bench/results/weight_sync.json]

Random weights in the shapes of the demo's model and of Qwen2.5-0.5B. A push is `VllmEngine.update_weights`: all
parameters into shared memory, vLLM's `load_weights` from there, its prefix cache emptied. After the pushes it is
asserted that the engine's log-probs are those of the last weights. The file's time has no loading into vLLM in it:
`save_pretrained` and `safetensors.torch.load_file`, in a folder of --folder's file system.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import transformers

from bench.rollout.generation import make_policy, seconds, version
from rerec_engine.config import VllmConfig
from rerec_engine.model.policy import Policy
from rerec_engine.rollout.vllm import VllmEngine
from rerec_engine.runs.environment import processor
from rerec_engine.types import Sampling

DEMO = dict(vocab_size=601, hidden_size=128, intermediate_size=344, num_hidden_layers=4, num_attention_heads=4)
HALF_B = dict(vocab_size=151_936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14)
CASES = (("demo", DEMO, torch.float32), ("0.5B", HALF_B, torch.float32), ("0.5B", HALF_B, torch.bfloat16))
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.3}
"""Nats between vLLM's log-probs and those of the policy, which computes in float32."""


def through_file(policy: Policy, folder: Path) -> None:
    policy.model.save_pretrained(folder)
    for path in folder.glob("*.safetensors"):
        for tensor in safetensors.torch.load_file(path).values():
            tensor.sum()  # a mapped file is read where it is used


def change(policy: Policy) -> None:
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.mul_(0.99)


def difference(policy: Policy, engine: VllmEngine) -> float:
    """The largest absolute difference of log-probs, nats."""
    prompts = [[3, 5, 7, 11], [2, 4, 6]]
    rollouts = engine.generate(prompts, 1, Sampling(16, seed=1))
    with torch.no_grad():
        logp, _ = policy.token_logprobs([(p, r.token_ids) for p, r in zip(prompts, rollouts, strict=True)])
    return float((logp - torch.tensor([x for r in rollouts for x in r.logprobs])).abs().max())


def measure(
    name: str, sizes: dict[str, int], dtype: torch.dtype, python: str, rounds: int, root: str
) -> dict[str, Any]:
    policy = make_policy(sizes, dtype, spread=0.0)
    with tempfile.TemporaryDirectory(dir=root) as folder:
        model = Path(folder) / "model"
        policy.model.config.architectures = [type(policy.model).__name__]
        policy.model.config.save_pretrained(model)
        engine = VllmEngine(
            model,
            policy.model.named_parameters,
            (),
            max_tokens=256,
            dtype=dtype,
            device=torch.device("cpu"),
            settings=VllmConfig(python=python, max_num_seqs=8, kv_cache_gb=1.0),
            log=Path(folder) / "engine.log",
        )
        try:
            pushes, files = [], []
            for push in range(1, rounds + 1):
                change(policy)
                pushes.append(seconds(partial(engine.update_weights, push)))
                files.append(seconds(lambda: through_file(policy, Path(folder) / "file")))
            off = difference(policy, engine)
        finally:
            engine.close()
    assert off < TOLERANCE[dtype], f"{name}: log-probs are off by {off} after the pushes"
    count = sum(p.numel() for p in policy.model.parameters())  # a tied head once
    size = count * dtype.itemsize
    push, file = statistics.median(pushes), statistics.median(files)
    return {
        "model": name,
        "dtype": str(dtype).removeprefix("torch."),
        "parameters": count,
        "bytes": size,
        "push_seconds": [round(x, 4) for x in pushes],
        "push_median_seconds": round(push, 4),
        "push_gb_per_second": round(size / push / 1e9, 2),
        "file_median_seconds": round(file, 4),
        "file_over_push": round(file / push, 2),
        "largest_logprob_difference": float(f"{off:.2g}"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--vllm-python", default=".venv/vllm/bin/python")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", help="where files are written; the system's temporary folder")
    parser.add_argument("--output", type=Path, default=Path("bench/results/weight_sync.json"))
    options = parser.parse_args()
    result: dict[str, Any] = {
        "hardware": {"processor": processor(), "threads": torch.get_num_threads()},
        "versions": {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "vllm": version(options.vllm_python),
        },
        "models": [],
    }
    for case in CASES:
        result["models"].append(measure(*case, options.vllm_python, options.rounds, options.folder))
        print(json.dumps(result["models"][-1], indent=1), flush=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
