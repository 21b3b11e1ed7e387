"""A long run, watched from outside: `python -m bench.training.soak --data DIR --model DIR --engine vllm --output DIR`.

Starts `python -m rerec_engine.train` for many small steps of the demo, with checkpoints, and looks at its processes
every few seconds: resident memory and open files of the trainer and of the rollout engine. Afterwards it checks that
the metrics have every step once and only finite numbers. Into bench/results/soak.json, one entry an engine.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from rerec_engine.runs.environment import processor

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "bench" / "results" / "soak.json"
SETTINGS: dict[str, Any] = {
    "config": "rerec_engine/configs/demo.yaml",
    "warm_start.epochs": 0,
    "rollout.responses_per_query": 4,
    "train.queries_per_step": 4,
    "train.queries_per_update": 4,
    "train.eval_every": 0,
    "train.checkpoint_every": 100,
    "train.save_rollouts_every": 10,
    "optim.learning_rate": 1e-5,  # the policy stays what it is, so that steps remain alike
    "threads": 1,
    "device": "cpu",
}


def children(pid: int) -> list[int]:
    found = [int(x) for x in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return found + [g for child in found for g in children(child)]


def look(pid: int) -> dict[str, float]:
    """Resident memory in MB, open files and threads of a process."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    resident, shared = (int(status[name].split()[0]) / 1024 for name in ("VmRSS", "RssShmem"))
    files = len(os.listdir(f"/proc/{pid}/fd"))
    return {"memory_mb": resident, "shared_mb": shared, "files": files, "threads": int(status["Threads"])}


def watch(process: subprocess.Popen[bytes], metrics: Path, every: float) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = []
    while process.poll() is None:
        time.sleep(every)
        step = metrics.read_bytes().count(b"\n") if metrics.exists() else 0
        try:
            engines = children(process.pid)
            seen.append({"step": step, "trainer": look(process.pid), "engine": look(engines[0]) if engines else None})
        except (FileNotFoundError, ProcessLookupError, KeyError):
            continue  # it has just ended
    return seen


def span(seen: list[dict[str, Any]], who: str, steps: int) -> dict[str, dict[str, float]] | None:
    """Medians over the second and the last tenth of the run, of what was seen of a process."""
    parts = {"first": (0.1, 0.2), "last": (0.9, 1.0)}
    found: dict[str, dict[str, float]] = {}
    for name, (low, high) in parts.items():
        looks = [s[who] for s in seen if s[who] and low * steps <= s["step"] < high * steps]
        if not looks:
            return None
        found[name] = {key: float(np.median([x[key] for x in looks])) for key in looks[0]}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--engine", choices=["sampler", "vllm"], required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two looks")
    options = parser.parse_args()
    settings = {**SETTINGS, "data.path": options.data, "model.path": options.model, "train.steps": options.steps}
    settings |= {"rollout.engine": options.engine, "rollout.vllm.kv_cache_gb": 1, "output-dir": options.output}
    words = [sys.executable, "-m", "rerec_engine.train", *(w for k, v in settings.items() for w in (f"--{k}", str(v)))]
    begin = time.monotonic()
    process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    seen = watch(process, options.output / "metrics.jsonl", options.every)
    if process.returncode != 0:
        raise SystemExit(f"the run ended with exit code {process.returncode}")
    lines = [json.loads(line) for line in (options.output / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, options.steps + 1)), "steps are missing"
    assert all(x is None or math.isfinite(x) for line in lines for x in line.values()), "a number is not finite"
    seconds = [line["seconds_total"] for line in lines]
    tenth = options.steps // 10
    entry = {
        "commit": subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
        ).stdout.strip(),
        "hardware": f"{os.cpu_count()} cores, {processor()}",
        "note": "one thread, other work beside it: the seconds are no measure",
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "steps": options.steps,
        "responses": len(lines) * SETTINGS["train.queries_per_step"] * SETTINGS["rollout.responses_per_query"],
        "hours": (time.monotonic() - begin) / 3600,
        "seconds_per_step": {
            "first_tenth": float(np.median(seconds[:tenth])),
            "last_tenth": float(np.median(seconds[-tenth:])),
        },
        "trainer": span(seen, "trainer", options.steps),
        "engine": span(seen, "engine", options.steps),
        "logprob_mismatch_max": max(line.get("logprob_mismatch_max") or 0.0 for line in lines),
        "skipped_updates": lines[-1]["skipped_updates"],
    }
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps({**results, options.engine: entry}, indent=1) + "\n")
    print(json.dumps(entry, indent=1))


if __name__ == "__main__":
    main()
