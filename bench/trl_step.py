"""One whole GRPO step of this engine against TRL's `GRPOTrainer`, on the CPU, from prompts to new weights.

    python bench/trl_step.py --data DIR --model DIR [--output bench/results/trl_step.json]     # with TRL: .[trl]

First both train from the same rollouts: the built-in sampler draws for either from its own weights with equal seeds,
rewards and weights being compared after each step. Then each generates by itself and the two take turns, a step each,
so that what disturbs the machine disturbs both. Same model, dataset, responses a query, limits, fp32,
threads, AdamW and reward (the C++ engine; TRL's through `rerec_engine.integrations.trl`). TRL: `transformers.generate`,
the whole step in one micro-batch, no gradient checkpointing, DAPO's mean over tokens, no KL. A step of ours has its own
curriculum, metrics and records in it. Tokens are those of the responses.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
import transformers
import trl
from rollout import processor
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from rerec_engine.config import Config
from rerec_engine.integrations.trl import reward_function
from rerec_engine.policy import Policy, load_policy
from rerec_engine.rollout.sampler import Sampler
from rerec_engine.settings import load_settings
from rerec_engine.startup import Trainer, start
from rerec_engine.train import one_step
from rerec_engine.types import Query, Sampling

QUERIES, RESPONSES, NEW, LEARNING_RATE = 16, 8, 160, 3e-4
STAGES = ("rollout", "reward", "logprobs", "advantage", "update", "sync")


def settings(options: argparse.Namespace, folder: Path, steps: int) -> Config:
    values = {
        "config": "rerec_engine/configs/demo.yaml",
        "data.path": options.data,
        "model.path": options.model,
        "output-dir": folder,
        "warm-start.epochs": 0,
        "advantage.estimator": "grpo",
        "advantage.outcome-gate": "false",
        "curriculum.enabled": "false",
        "rollout.responses-per-query": RESPONSES,
        "rollout.max-new-tokens": NEW,
        "optim.learning-rate": LEARNING_RATE,
        "optim.final-share": 1.0,
        "optim.warmup-steps": 0,
        "optim.weight-decay": 0.0,
        "train.queries-per-step": QUERIES,
        "train.queries-per-update": QUERIES,
        "train.steps": steps,
        "threads": options.threads,
        "device": "cpu",
    }
    config, _ = load_settings([word for name, value in values.items() for word in (f"--{name}", str(value))])
    return config


@dataclass
class Steps:
    """What the steps of one side took and gave."""

    seconds: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    stages: list[dict[str, float]] = field(default_factory=list)
    weights: list[torch.Tensor] = field(default_factory=list)

    def summary(self, warm: int) -> dict[str, Any]:
        rates = [t / s for t, s in zip(self.tokens[warm:], self.seconds[warm:], strict=True)]
        stages = self.stages[warm:]
        return {
            "tokens_per_second": round(statistics.median(rates)),
            "tokens_per_second_range": [round(min(rates)), round(max(rates))],
            "seconds": round(statistics.median(self.seconds[warm:]), 3),
            "tokens": round(statistics.mean(self.tokens[warm:])),
            "stages": {name: round(statistics.median(s.get(name, 0.0) for s in stages), 4) for name in stages[0]},
        }


def flat(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


class Ours:
    """Our loop, a step at a time. `calls`: what its engine was asked for."""

    def __init__(self, config: Config) -> None:
        self.trainer: Trainer = start(config, None)
        self.steps, self.queries = Steps(), list[Query]()
        self.calls: list[Sampling] = []
        engine = self.trainer.worker.engine
        generate = engine.generate

        def recorded(prompts: Any, n: int, sampling: Sampling) -> Any:
            self.calls.append(sampling)
            return generate(prompts, n, sampling)

        engine.generate = recorded  # type: ignore[method-assign]

    def step(self, keep_weights: bool = False) -> None:
        begin = time.perf_counter()
        metrics, batch = one_step(self.trainer)
        self.steps.seconds.append(time.perf_counter() - begin)
        self.steps.tokens.append(int(batch.lengths.sum()))
        self.steps.rewards.append(float(np.mean(batch.scores["reward"])))
        self.steps.stages.append({name: float(metrics[f"seconds_{name}"]) for name in STAGES})  # type: ignore[arg-type]
        self.queries += batch.queries
        if keep_weights:
            self.steps.weights.append(flat(self.trainer.policy.model))


class Theirs(GRPOTrainer):  # type: ignore[misc]
    """TRL's trainer with a clock around its stages, and nothing else."""

    stage: dict[str, float]
    steps: Steps
    rewards: torch.Tensor
    our_epsilon = False
    """Beside a group's standard deviation stands 1e-6 instead of 1e-4: a hundredth where rewards hardly differ."""

    @contextmanager
    def clock(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.stage[name] = self.stage.get(name, 0.0) + time.perf_counter() - begin

    def _generate(self, *words: Any, **named: Any) -> Any:
        with self.clock("rollout"):
            return super()._generate(*words, **named)

    def _calculate_rewards(self, *words: Any, **named: Any) -> Any:
        with self.clock("reward"):
            found = super()._calculate_rewards(*words, **named)
        self.rewards = found[:, 0]
        self.steps.rewards.append(float(found.mean()))
        return found

    def _generate_and_score_completions(self, *words: Any, **named: Any) -> Any:
        with self.clock("batch"):
            found = super()._generate_and_score_completions(*words, **named)
        self.steps.tokens.append(int(found["completion_mask"].sum()))
        if self.our_epsilon:
            groups = self.rewards.view(-1, RESPONSES)
            deviation = groups - groups.mean(1, keepdim=True)
            found["advantages"] = (deviation / (groups.std(1, keepdim=True) + 1e-6)).flatten().float()
        return found

    def training_step(self, *words: Any, **named: Any) -> Any:
        with self.clock("forward and backward, with the batch"):
            return super().training_step(*words, **named)


class Turns(TrainerCallback):  # type: ignore[misc]
    """After each of TRL's steps, whatever `between` does, off its clock."""

    def __init__(self, between: Callable[[Theirs], None]) -> None:
        self.between, self.begin = between, 0.0
        self.trainer: Theirs

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.begin = time.perf_counter()
        self.trainer.stage = {}

    def on_step_end(self, *_: Any, **__: Any) -> None:
        steps, stage = self.trainer.steps, self.trainer.stage
        steps.seconds.append(time.perf_counter() - self.begin)
        batch = stage.pop("batch", 0.0)
        rollout, reward = stage.pop("rollout", 0.0), stage.pop("reward", 0.0)
        update = stage.pop("forward and backward, with the batch", 0.0) - batch
        optimizer = steps.seconds[-1] - batch - update
        steps.stages.append(
            {
                "rollout": rollout,
                "reward": reward,
                "rest of the batch": batch - rollout - reward,
                "forward and backward": update,
                "optimizer and rest": optimizer,
            }
        )
        self.between(self.trainer)


def their_trainer(
    config: Config, folder: Path, queries: list[Query], steps: int, between: Callable[[Theirs], None], **options: Any
) -> tuple[Theirs, Policy]:
    policy = load_policy(str(config.model.path), torch.device("cpu"), config.model.dtype)
    rows = [
        {
            "prompt": [dict(m) for m in q.messages],
            "ground_truth": list(q.ground_truth),
            "candidates": list(q.candidates),
        }
        for q in queries
    ]
    arguments = GRPOConfig(
        output_dir=str(folder),
        per_device_train_batch_size=QUERIES * RESPONSES,
        num_generations=RESPONSES,
        max_completion_length=NEW,
        learning_rate=LEARNING_RATE,
        lr_scheduler_type="constant",
        adam_beta2=config.optim.beta2,
        weight_decay=0.0,
        max_grad_norm=config.optim.max_grad_norm,
        optim="adamw_torch_fused",
        beta=0.0,
        loss_type="dapo",
        temperature=1.0,
        max_steps=steps,
        shuffle_dataset=False,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        report_to=[],
        logging_steps=10_000,
        save_strategy="no",
        disable_tqdm=True,
        remove_unused_columns=False,
        seed=1,
    )
    turns = Turns(between)
    trainer = Theirs(
        model=policy.model,
        reward_funcs=reward_function(str(config.data.path), threads=config.threads),
        args=arguments,
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=policy.tokenizer,
        callbacks=[turns],
        **options,
    )
    trainer.steps, trainer.stage, turns.trainer = Steps(), {}, trainer
    return trainer, policy


def same_rollouts(config: Config, folder: Path, steps: int) -> dict[str, Any]:
    """Both sides' rewards and weights, step by step; asserts that they go the same way."""
    ours = Ours(config)
    first = flat(ours.trainer.policy.model).clone()
    for _ in range(steps):
        ours.step(keep_weights=True)
    calls = iter(ours.calls)
    ours.trainer.close()

    def draw(prompts: list[Any], trainer: Theirs) -> dict[str, Any]:
        ids = [policy.encode_prompt(prompt) for prompt in prompts[::RESPONSES]]
        sampler.update_weights()
        rollouts = sampler.generate(ids, RESPONSES, next(calls))
        return {
            "prompt_ids": [x for x in ids for _ in range(RESPONSES)],
            "completion_ids": [list(r.token_ids) for r in rollouts],
            "logprobs": [list(r.logprobs) for r in rollouts],
        }

    def keep(trainer: Theirs) -> None:
        trainer.steps.weights.append(flat(trainer.model))

    trainer, policy = their_trainer(config, folder / "same", ours.queries, steps, keep, rollout_func=draw)
    sampler = Sampler(policy)
    trainer.our_epsilon = True
    trainer.train()
    theirs = trainer.steps
    apart = [
        float((a - b).norm() / (a - first).norm())
        for a, b in zip(ours.steps.weights, theirs.weights, strict=True)
    ]  # fmt: skip
    differences = np.abs(np.subtract(ours.steps.rewards, theirs.rewards))
    assert differences[0] < 1e-6, "the same rollouts have different rewards"
    assert max(apart) < 0.01, f"the weights are {max(apart):.3f} of their movement apart"
    return {
        "rewards": {"ours": [round(r, 4) for r in ours.steps.rewards], "trl": [round(r, 4) for r in theirs.rewards]},
        "largest_reward_difference": float(f"{differences.max():.2g}"),
        "weights_apart_over_movement": [float(f"{x:.2g}") for x in apart],
        "tokens": {"ours": ours.steps.tokens, "trl": theirs.tokens},
    }


def in_turns(config: Config, folder: Path, rounds: int, warm: int) -> dict[str, Any]:
    ours = Ours(config)
    queries = [q for _ in range(4) for q in ours.trainer.dataset.queries("train")]
    trainer, _ = their_trainer(config, folder / "turns", queries, rounds + warm, lambda _: ours.step())
    trainer.train()
    ours.trainer.close()
    found = {"ours": ours.steps.summary(warm), "trl": trainer.steps.summary(warm)}
    found["ratio"] = round(found["ours"]["tokens_per_second"] / found["trl"]["tokens_per_second"], 2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", required=True, help="dataset directory")
    parser.add_argument("--model", required=True, help="model that both start from")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--warm", type=int, default=2)
    parser.add_argument("--same", type=int, default=6, help="steps from the same rollouts")
    parser.add_argument("--output", type=Path, default=Path("bench/results/trl_step.json"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    transformers.logging.set_verbosity_error()
    result: dict[str, Any] = {
        "hardware": {"processor": processor(), "threads": options.threads},
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "trl": trl.__version__},
        "workload": f"{QUERIES} queries x {RESPONSES} responses of at most {NEW} tokens, fp32",
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result["same_rollouts"] = same_rollouts(
            settings(options, folder / "same-run", options.same), folder, options.same
        )
        print(json.dumps(result["same_rollouts"], indent=1), flush=True)
        steps = options.rounds + options.warm
        result["in_turns"] = in_turns(settings(options, folder / "run", steps), folder, options.rounds, options.warm)
    print(json.dumps(result["in_turns"], indent=1), flush=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
