"""SIGKILL at random moments: `python -m bench.training.kills --output DIR [--kills 200] [--seed 0]`.

A demo run of small sizes once unbroken, then again and again with the process killed at random moments, from its first
breath on, and continued by the command that its user would type: `--resume`, or the first command again where there is
no run yet. Each run that got to its end must equal the unbroken one bit for bit: start model, metrics,
evaluations, rollouts, checkpoints and final model. Goes on where it was cut off. Into bench/results/kills.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from rerec_engine.files import write_json
from rerec_engine.runs.environment import describe
from rerec_engine.runs.records import read_records
from rerec_engine.worlds.demo import write_demo
from rerec_engine.worlds.options import DemoOptions

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "bench" / "results" / "kills.json"
SETTINGS: dict[str, Any] = {
    "model.hidden-size": 32,
    "model.layers": 2,
    "rollout.max-new-tokens": 32,
    "rollout.responses-per-query": 4,
    "train.steps": 24,
    "train.queries-per-step": 4,
    "train.queries-per-update": 4,
    "train.checkpoint-every": 2,
    "train.save-rollouts-every": 3,
    "train.eval-every": 8,
    "threads": 1,
    "device": "cpu",
}
WORLD = DemoOptions(
    seed=1,
    films=60,
    books=60,
    users=60,
    train_queries=60,
    val_queries=20,
    test_queries=40,
    short_traces=1200,
    medium_traces=100,
    full_traces=100,
    biased_traces=20,
    embedding_epochs=2,
)
TIMES = ("seconds_", "tokens_per_second", "peak_memory_mb")
MOMENTS = r"reading|making|warm start|evaluate|reinforce|loading|LightGCN|report"
"""What a run says that it is doing."""


def words(run: Path) -> list[str]:
    """What a user types to have the run done, or gone on with."""
    train = [sys.executable, "-m", "rerec_engine.train"]
    if (run / "config.yaml").is_file():
        return [*train, "--resume", str(run)]
    places = {"output-dir": run, "data": run.parent / "data"}
    return [*train, *(w for k, v in {**places, **SETTINGS}.items() for w in (f"--{k}", str(v)))]


def attempt(run: Path, seconds: float | None) -> str | None:
    """Go on with the run; killed after so many seconds. Returns what it was doing then, None where it had ended."""
    log = run.with_suffix(".log")
    with log.open("w") as file:
        process = subprocess.Popen(words(run), cwd=ROOT, stdout=file, stderr=file, start_new_session=True)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            told = re.findall(MOMENTS, log.read_text(errors="replace"))
            return told[-1] if told else "starting"
    if code != 0:
        raise SystemExit(f"{' '.join(words(run))} ended with exit code {code}: {log.read_text()[-2000:]}")
    return None


def contents(run: Path) -> dict[str, Any]:
    """Of a run directory, all that must be the same however often it was killed."""
    metrics = [{k: v for k, v in row.items() if not k.startswith(TIMES)} for row in read_records(run / "metrics.jsonl")]
    found: dict[str, Any] = {"metrics": metrics, "evaluations": (run / "eval.jsonl").read_text()}
    for folder in ("start", "rollouts", "checkpoints", "final"):
        for path in sorted((run / folder).rglob("*")):
            if path.is_file() and path.suffix in (".safetensors", ".parquet", ".npz"):
                found[str(path.relative_to(run))] = hashlib.sha256(path.read_bytes()).hexdigest()
    newest = max((run / "checkpoints").iterdir(), key=lambda path: int(path.name.split("_")[1]))
    found["state"] = str(torch.load(newest / "trainer.pt", weights_only=False))
    left = [str(path.relative_to(run)) for path in run.rglob("*") if path.name.startswith((".", "tmp"))]
    return {**found, "left behind": left}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    unbroken, state = options.output / "unbroken", options.output / "state.json"
    if not state.is_file():
        for path in (unbroken, options.output / "data"):
            shutil.rmtree(path, ignore_errors=True)
        write_demo(options.output / "data", WORLD)
        begin = time.monotonic()
        attempt(unbroken, None)
        write_json(state, {"seconds": time.monotonic() - begin, "runs": 0, "moments": []})
    done = json.loads(state.read_text())
    expected = contents(unbroken)
    draw = random.Random(f"{options.seed} {len(done['moments'])}")
    while len(done["moments"]) < options.kills:
        run = options.output / f"run_{done['runs']}"
        moment = attempt(run, draw.uniform(0, done["seconds"]))
        if moment is None:
            found = contents(run)
            differ = [name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)]
            if differ:
                raise SystemExit(f"{run} differs from the unbroken run in {', '.join(sorted(differ))}")
            shutil.rmtree(run)
            done["runs"] += 1
        else:
            done["moments"].append(moment)
        write_json(state, done)
        print(f"{len(done['moments'])} kills, {done['runs']} runs ended alike, last: {moment}", flush=True)
    while (moment := attempt(options.output / f"run_{done['runs']}", None)) is not None:
        pass
    assert contents(options.output / f"run_{done['runs']}") == expected, "the last run differs"
    entry = {
        **describe(),
        "kills": len(done["moments"]),
        "while": dict(Counter(done["moments"]).most_common()),
        "runs_that_ended_alike": done["runs"] + 1,
        "steps": SETTINGS["train.steps"],
    }
    write_json(options.results, entry)
    print(json.dumps(entry, indent=2))


if __name__ == "__main__":
    main()
