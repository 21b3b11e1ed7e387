"""A run on a CPU beside the model on paper: `python -m bench.cost.demo RUN_DIR [--threads 1]`.

Seconds of a step by stage, from the run's metrics.jsonl, over what `cost_model`'s FLOPs would take at the rate of a
large float32 product, measured here and now. 1 would be a stage that does nothing but such products.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
import yaml

from bench.cost.model import Model, Setup, attention_flops, pass_flops, update_flops


def model_of(path: Path) -> Model:
    c = json.loads((path / "config.json").read_text())
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size")
    return Model(*(c[name] for name in names), c["vocab_size"], c["tie_word_embeddings"])


def setup_of(run: Path, model: Model, lines: list[dict[str, float]]) -> Setup:
    config = yaml.safe_load((run / "config.yaml").read_text())
    return Setup(
        model,
        gpus=1,
        queries=config["train"]["queries_per_step"],
        responses=config["rollout"]["responses_per_query"],
        prompt=round(_prompt_tokens(run)),
        response=round(float(np.mean([line["response_length"] for line in lines]))),
        checkpointing=config["model"]["gradient_checkpointing"],
        packing=config["model"]["packing"],
        reference=config["loss"]["beta"] > 0,
    )


def _prompt_tokens(run: Path) -> float:
    """Mean length of the prompts of the run's first recorded step."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(run / "start")
    table = pq.read_table(sorted((run / "rollouts").glob("step_*.parquet"))[0], columns=["prompt"])
    return float(np.mean([len(tokenizer(text)["input_ids"]) for text in set(table["prompt"].to_pylist())]))


def product_rate(size: int = 1024, rounds: int = 20) -> float:
    """FLOP/s of a square float32 product, the best of several."""
    a = torch.randn(size, size)
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        torch.mm(a, a)
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def stage_flops(s: Setup) -> dict[str, float]:
    m = s.model
    decode = s.response_tokens * (2 * (m.matrices + m.head)) + attention_flops(
        m, s.response_tokens * (s.prompt + s.response / 2)
    )
    prefill = s.queries * (s.prompt * 2 * m.matrices + attention_flops(m, s.prompt**2 / 2))
    return {
        "rollout": prefill + decode,
        "logprobs": pass_flops(s) if s.reference else 0.0,
        "update": update_flops(s),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--threads", type=int, default=1, help="as the run had")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    lines = [json.loads(line) for line in (chosen.run / "metrics.jsonl").read_text().splitlines()][1:]  # warm
    s = setup_of(chosen.run, model_of(chosen.run / "start"), lines)
    rate = product_rate()
    print(f"{len(lines)} steps, prompts of {s.prompt} and responses of {s.response} tokens; {rate / 1e9:.0f} GFLOP/s")
    for stage, flops in stage_flops(s).items():
        seconds = float(np.median([line.get(f"seconds_{stage}", 0.0) for line in lines]))
        if flops:
            print(f"{stage}: {seconds:.2f} s, {flops / 1e9:.0f} GFLOP, {seconds * rate / flops:.1f} times the paper's")


if __name__ == "__main__":
    main()
