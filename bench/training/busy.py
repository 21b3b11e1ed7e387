"""Steps beside a busy process: `python -m bench.training.busy --data DIR --model DIR [--output FILE]` (a made model).

Three ways that torch's threads may wait, each on the idle machine and beside one process that computes without end:
as the engine has them (rerec_engine.threads), as libgomp has them by itself (GOMP_SPINCOUNT at its default, which turns
our watcher off), and asleep at once (OMP_WAIT_POLICY=PASSIVE). A process of its own takes GRPO steps and a warm start
on 600 traces; the first of each do not count. Rounds of all six in turn; medians over rounds. The weights that all end
with must be equal. For two cores or more with nothing else to do.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from rerec_engine.config import ModelConfig, WarmStartConfig
from rerec_engine.data.traces import read_traces, write_traces
from rerec_engine.runs.environment import processor
from rerec_engine.runs.settings import load_settings
from rerec_engine.train import one_step
from rerec_engine.training.setup import start
from rerec_engine.training.warm_start import warm_start

RESULTS = Path(__file__).resolve().parents[2] / "bench" / "results" / "busy.json"
WAYS = {
    "engine": {},
    "libgomp": {"GOMP_SPINCOUNT": "300000"},
    "asleep": {"OMP_WAIT_POLICY": "PASSIVE"},
}
SETTINGS = """
--config rerec_engine/configs/demo.yaml --device cpu --warm-start.epochs 0 --curriculum.enabled false
--rollout.engine sampler --train.queries-per-step 32 --train.queries-per-update 32 --train.steps 100
"""
TRACES = 600


def take_steps(data: str, model: str, folder: Path) -> dict[str, Any]:
    """Seconds of a GRPO step and of a warm start, and a digest of the weights at the end."""
    words = [*SETTINGS.split(), "--output-dir", str(folder), "--data.path", data, "--model.path", model]
    trainer = start(load_settings(words)[0], None)
    traces = folder.parent / "traces.parquet"
    write_traces(traces, read_traces(Path(data) / "warm_start.parquet")[:TRACES])
    config = dataclasses.replace(trainer.config, model=ModelConfig(), warm_start=WarmStartConfig(epochs=1))

    def grpo() -> None:
        one_step(trainer)

    def warm() -> None:
        warm_start(trainer.policy, traces, config, trainer.run)

    found: dict[str, Any] = {"grpo_step": timed(grpo, 3, 5), "warm_start": timed(warm, 1, 1)}
    digest = hashlib.sha256()
    for value in trainer.policy.model.state_dict().values():
        digest.update(value.numpy().tobytes())
    return {**found, "weights": digest.hexdigest()}


def timed(step: Callable[[], None], warm: int, counted: int) -> float:
    """Median seconds; `warm` steps before those that count, since the watcher looks twice a second."""
    seconds = []
    for _ in range(warm + counted):
        begin = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds[warm:])


def child(way: str, busy: bool, options: argparse.Namespace) -> dict[str, Any]:
    clean = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")}
    words = [sys.executable, "-m", "bench.training.busy", "--child", "--data", options.data, "--model", options.model]
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None
    try:
        done = subprocess.run(words, env={**clean, **WAYS[way]}, check=True, stdout=subprocess.PIPE, text=True)
    finally:
        if other is not None:
            other.kill()
            other.wait()
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(take_steps(options.data, options.model, Path(folder) / "run")))
        return
    cases = [(way, busy) for way in WAYS for busy in (False, True)]
    runs: dict[tuple[str, bool], list[dict[str, Any]]] = {case: [] for case in cases}
    for _ in range(options.rounds):
        for case in cases:
            runs[case].append(child(*case, options))
            print(case, {k: v for k, v in runs[case][-1].items() if k != "weights"}, file=sys.stderr, flush=True)
    assert len({run["weights"] for found in runs.values() for run in found}) == 1, "the ways differ in their arithmetic"
    seconds = {
        stage: {
            f"{way}, {'busy' if busy else 'idle'}": round(statistics.median(r[stage] for r in runs[way, busy]), 3)
            for way, busy in cases
        }
        for stage in ("grpo_step", "warm_start")
    }
    ratios = {
        stage: {
            **{f"{way}, busy against idle": round(s[f"{way}, busy"] / s[f"{way}, idle"], 2) for way in WAYS},
            "idle, engine against libgomp": round(s["engine, idle"] / s["libgomp, idle"], 2),
        }
        for stage, s in seconds.items()
    }
    machine = {"processor": processor(), "cores": os.cpu_count(), "torch": torch.__version__}
    made = {"machine": machine, "rounds": options.rounds, "seconds": seconds, "ratios": ratios}
    options.output.write_text(json.dumps(made, indent=2) + "\n")
    print(json.dumps(made, indent=2))


if __name__ == "__main__":
    main()
