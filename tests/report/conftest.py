"""A run directory made by hand: 300 steps, evaluations, and rollouts with hostile text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rerec_engine.config import Config
from rerec_engine.model.small_model import corpus_tokenizer
from rerec_engine.runs.settings import write_yaml

HOSTILE = '</script><script>window.broken = 1</script><img src=x onerror="window.broken = 1">\u2028 & "quotes" 🎬'
CATEGORIES = ("explicit", "implicit", "misinformed")


def metrics(step: int, rng: np.random.Generator) -> dict[str, Any]:
    names = "reward accuracy reward_ndcg reward_format reward_qas reward_pas entropy clip_fraction grad_norm truncated"
    names += " logprob_mismatch_max response_length zero_variance_groups tokens_per_second curriculum_mean_difficulty"
    stages = "rollout reward logprobs advantage update sync total".split()
    mastered = step // 3
    counts = {"mastered": mastered, "active": 300 - mastered, "easy": 100, "medium": 50, "hard": 150 - mastered}
    counts |= {"unmeasured": 0, "probed": 3, "readmitted": step % 2}
    return {
        "step": step,
        "kl": None,
        **{name: float(rng.random()) for name in names.split()},
        **{f"seconds_{name}": float(rng.random()) for name in stages},
        **{f"curriculum_{name}": value for name, value in counts.items()},
    }


def evaluation(step: int, split: str, moment: str) -> dict[str, Any]:
    accuracy = 0.3 + step / 1000
    rest = {"accuracy_low": accuracy - 0.03, "accuracy_high": accuracy + 0.03, "chance": 0.05}
    by_category = {name: accuracy + i / 50 for i, name in enumerate(CATEGORIES)}
    return {"step": step, "split": split, "moment": moment, "accuracy": accuracy, **rest, "by_category": by_category}


def rollouts(step: int, tokenizer: Any, rng: np.random.Generator) -> pa.Table:
    rows = []
    for query in range(6):
        for i in range(4):
            text = f"1) drama yes {HOSTILE}\nanswer {i}" if query == 0 else f"2) plain answer {i} of {query}"
            ids = tokenizer(text).input_ids
            reward = 1.1 if i == 2 else -0.1
            token_rewards = [reward - 0.03 if t < 3 and i != 2 else reward for t in range(len(ids))]
            scores = {"ndcg": float(i == 2), "format": 0.5, "qas": 0.5, "pas": 0.25, "hit": float(i == 2)}
            rows.append(
                {
                    "step": step,
                    "query_id": f"q{query}",
                    "category": CATEGORIES[query % 3],
                    "prompt": f"Find film {query} of step {step} {HOSTILE}\n1) One\n2) Two",
                    "response": text,
                    "finish": "length" if i == 3 else "stop",
                    "reward": reward,
                    **scores,
                    "token_ids": ids,
                    "token_logprobs": [-0.5] * len(ids),
                    "token_rewards": token_rewards,
                    "token_advantages": [float(x) for x in rng.normal(size=len(ids)).round(2)],
                }
            )
    return pa.Table.from_pylist(rows)


@pytest.fixture(scope="session")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`make_run(name="run", steps=300, seed=0, **settings)` -> a new run directory."""
    tokenizer: Any = corpus_tokenizer([HOSTILE, "1) drama yes answer plain of 2)"], vocab_size=320)

    def make(name: str = "run", steps: int = 300, seed: int = 0, **settings: Any) -> Path:
        path = tmp_path_factory.mktemp("runs") / name
        (path / "rollouts").mkdir(parents=True)
        rng = np.random.default_rng(seed)
        write_yaml(Config(seed=seed, **settings), path / "config.yaml")
        environment = {"started": "2026-01-02 03:04 UTC", "processor": "a processor", "versions": {"torch": "2.13"}}
        (path / "environment.json").write_text(json.dumps(environment))
        lines = [metrics(step, rng) for step in range(1, steps + 1)]
        (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        evals = [evaluation(0, "test", "before"), *(evaluation(s, "val", "during") for s in (steps // 3, steps // 2))]
        evals.append(evaluation(steps, "test", "after"))
        (path / "eval.jsonl").write_text("".join(json.dumps(line) + "\n" for line in evals))
        tokenizer.save_pretrained(path / "final")
        for step in (1, steps):
            pq.write_table(rollouts(step, tokenizer, rng), path / "rollouts" / f"step_{step}.parquet")
        return path

    return make
