"""SIGKILL at random moments: `python -m bench.training.kills --output DIR [--kills 200] [--seed 0]`.

A demo run of small sizes once unbroken, then again and again with the process killed at random moments and continued by
what its user would type: `--resume`, or the first command again where there is no run yet. Each run that got to its end
must equal the unbroken one bit for bit: start model, metrics, evaluations, rollouts, checkpoints and final model. Every
step of it learns, so that there is something to lose.

Moments are drawn in the run's processor time, which other work on the machine does not stretch, up to a third of what
the unbroken run took, and a blink later, so that they fall on waits for the disk too. One attempt in five is the
command itself, killed from its first breath on; the others are forked from a process that has loaded the libraries,
and spend their time on the run. Goes on where it was cut off. Into bench/results/kills.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import random
import re
import resource
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from rerec_engine.cli import run_command
from rerec_engine.files import write_json
from rerec_engine.runs.environment import describe
from rerec_engine.runs.records import read_records
from rerec_engine.runs.settings import load_settings
from rerec_engine.train import train
from rerec_engine.worlds.demo import write_demo
from rerec_engine.worlds.options import DemoOptions

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "bench" / "results" / "kills.json"
SETTINGS: dict[str, Any] = {
    "model.hidden-size": 64,
    "model.layers": 2,
    "warm-start.tokens-per-batch": 512,
    "warm-start.warmup-steps": 10,
    "advantage.outcome-gate": "false",
    "rollout.max-new-tokens": 48,
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
    candidates=5,
    short_traces=1200,
    medium_traces=60,
    full_traces=60,
    biased_traces=20,
    embedding_epochs=2,
)
TIMES = ("seconds_", "tokens_per_second", "peak_memory_mb")
MOMENTS = r"reading|making|warm start|evaluate|reinforce|loading|LightGCN|report"
"""What a run says that it is doing."""


FRESH = 0.2
"""Share of the attempts that are the command itself."""
BLINK = 0.2
"""Seconds at most between a moment of processor time and the kill."""


def words(run: Path) -> list[str]:
    """Arguments by which a user has the run done, or gone on with."""
    if (run / "config.yaml").is_file():
        return ["--resume", str(run)]
    places = {"output-dir": run, "data": run.parent / "data"}
    return [w for k, v in {**places, **SETTINGS}.items() for w in (f"--{k}", str(v))]


def forked(work: Callable[[], object], log: Path) -> int:
    """Have a child of this process do it, in a process group of its own; returns its process id."""
    if child := os.fork():
        with suppress(PermissionError):  # it is another program already, and did so itself
            os.setpgid(child, child)
        return child
    code = 1
    try:
        os.setpgid(0, 0)
        os.chdir(ROOT)
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(file, 1)
        os.dup2(file, 2)
        run_command(work)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def start(run: Path, fresh: bool) -> int:
    """Go on with the run in a process: the command itself, or all of it but the loading of the libraries."""
    if fresh:
        command = [sys.executable, "-m", "rerec_engine.train", *words(run)]
        return forked(lambda: os.execv(sys.executable, command), run.with_suffix(".log"))
    return forked(lambda: train(*load_settings(words(run))), run.with_suffix(".log"))


def spent(process: int) -> float:
    """Processor time of a process and its threads so far, seconds."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def attempt(run: Path, seconds: float = math.inf, blink: float = 0, fresh: bool = True) -> str | None:
    """Go on with the run; killed after so much processor time and a blink, seconds. Returns what it was doing then,
    None where it had ended."""
    process = start(run, fresh)
    ended = status = 0
    while not ended and spent(process) < seconds:
        time.sleep(0.005)
        ended, status = os.waitpid(process, os.WNOHANG)
    if not ended:
        time.sleep(blink)
        os.killpg(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
    told = run.with_suffix(".log").read_text(errors="replace")
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return (re.findall(MOMENTS, told) or ["starting"])[-1]
    if status != 0:
        raise SystemExit(f"{' '.join(words(run))} ended with status {status}: {told[-2000:]}")
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
        os.waitpid(forked(lambda: write_demo(options.output / "data", WORLD), options.output / "data.log"), 0)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        attempt(unbroken)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        write_json(state, {"seconds": seconds, "runs": 0, "moments": []})
    done = json.loads(state.read_text())
    expected = contents(unbroken)
    idle = [row["step"] for row in expected["metrics"] if not row["trained_tokens"]]
    assert not idle, f"nothing is learned in step {idle}, so that nothing could be lost"
    draw = random.Random(f"{options.seed} {len(done['moments'])}")
    while len(done["moments"]) < options.kills:
        run = options.output / f"run_{done['runs']}"
        fresh = draw.random() < FRESH
        moment = attempt(run, draw.uniform(0, done["seconds"] / 3), draw.uniform(0, BLINK), fresh)
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
    attempt(options.output / f"run_{done['runs']}")
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
