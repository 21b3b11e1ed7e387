"""The demo over several seeds: `python -m bench.experiments.demo --seeds 0 1 2`.

Runs `python -m rerec_engine.train` once a seed, each in a process of its own, then writes bench/results/demo.json
(accuracy before and after, by category, with times, memory, versions and commit) and docs/demo.png.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from rerec_engine.runs.environment import processor

ROOT = Path(__file__).resolve().parents[2]
BLUE, ORANGE, GREY = "#0072B2", "#E69F00", "#7F7F7F"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def run(seed: int, output: Path, extra: list[str]) -> None:
    words = [sys.executable, "-m", "rerec_engine.train", "--seed", str(seed), "--output-dir", str(output), *extra]
    subprocess.run(words, check=True, cwd=ROOT)


def finished(output: Path) -> bool:
    """Whether the run has come to its last evaluation."""
    path = output / "eval.jsonl"
    return path.exists() and lines(path)[-1]["moment"] == "after"


def summary(output: Path, seed: int) -> dict[str, Any]:
    evaluations = {e["moment"]: e for e in lines(output / "eval.jsonl") if e["moment"] != "during"}
    metrics = lines(output / "metrics.jsonl")
    stages = ("rollout", "reward", "advantage", "update")
    return {
        "seed": seed,
        "minutes": round(((output / "eval.jsonl").stat().st_mtime - (output / "config.yaml").stat().st_mtime) / 60, 1),
        "peak_memory_mb": round(metrics[-1]["peak_memory_mb"]),
        "seconds_per_step": {s: float(np.median([m[f"seconds_{s}"] for m in metrics])) for s in stages},
        "before": {"all": evaluations["before"]["accuracy"], **evaluations["before"]["by_category"]},
        "after": {"all": evaluations["after"]["accuracy"], **evaluations["after"]["by_category"]},
        "chance": evaluations["after"]["chance"],
    }


def picture(outputs: list[Path], results: list[dict[str, Any]], path: Path, caption: str) -> None:
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), width_ratios=[1.1, 1])
    for output in outputs:
        metrics = lines(output / "metrics.jsonl")
        reward = np.array([m["reward"] for m in metrics])
        smooth = np.convolve(np.pad(reward, 4, mode="edge"), np.ones(9) / 9, mode="valid")
        left.plot([m["step"] for m in metrics], reward, color=BLUE, alpha=0.2, linewidth=1)
        left.plot([m["step"] for m in metrics], smooth, color=BLUE, linewidth=1.8)
    left.set(
        xlabel="step of reinforcement", ylabel="mean reward of the rollouts", title=f"Reward, {len(outputs)} seeds"
    )
    left.grid(alpha=0.25)
    names = [name for name in results[0]["before"] if name != "all"] + ["all"]
    place = np.arange(len(names))
    for shift, moment, colour in ((-0.2, "before", ORANGE), (0.2, "after", BLUE)):
        values = np.array([[r[moment][name] for name in names] for r in results])
        spread = np.abs(np.stack([values.min(0), values.max(0)]) - values.mean(0))
        label = {"before": "warm-started", "after": "after reinforcement"}[moment]
        right.bar(place + shift, values.mean(0), 0.38, yerr=spread, color=colour, label=label, capsize=2)
    right.axhline(results[0]["chance"], color=GREY, linestyle="--", linewidth=1, label="chance")
    right.set(ylim=(0, 1.05), ylabel="accuracy, held-out queries", title="Accuracy by category (mean, min to max)")
    right.set_xticks(place, names, rotation=20)
    right.legend(loc="upper center", ncols=3, fontsize=8, frameon=False, bbox_to_anchor=(0.5, 1.0))
    right.set_ylim(0, 1.18)
    figure.text(0.01, 0.005, caption, fontsize=7, color=GREY)
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "demo-seeds", help="where the runs are written")
    parser.add_argument("--commit", help="that the runs were made with; default: the one checked out")
    parser.add_argument("--note", default="", help="on how the runs were made, for the record")
    parser.add_argument("rest", nargs="*", help="settings passed on to train, after --")
    args = parser.parse_args()
    outputs = [args.runs / f"seed{seed}" for seed in args.seeds]
    for seed, output in zip(args.seeds, outputs, strict=True):
        if not finished(output):
            run(seed, output, args.rest)
    results = [summary(output, seed) for seed, output in zip(args.seeds, outputs, strict=True)]
    gain = np.array([r["after"]["all"] - r["before"]["all"] for r in results])
    import torch
    import transformers

    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    record = {
        "commit": args.commit or commit.strip(),
        "note": args.note,
        "hardware": f"{os.cpu_count()} cores, {processor()}",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "gain": {"mean": float(gain.mean()), "min": float(gain.min()), "max": float(gain.max())},
        "runs": results,
    }
    (ROOT / "bench" / "results").mkdir(exist_ok=True)
    (ROOT / "bench" / "results" / "demo.json").write_text(json.dumps(record, indent=1) + "\n")
    caption = f"{record['hardware']}; torch {torch.__version__}; commit {record['commit']}"
    picture(outputs, results, ROOT / "docs" / "demo.png", caption)
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
