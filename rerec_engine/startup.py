"""What a training run needs before its first step: dataset, policy, reference, reward engine, queue, run directory."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rerec_engine.checkpoint import (
    latest_checkpoint,
    load_state,
    rng_state,
    save_checkpoint,
    seed_everything,
    set_rng_state,
)
from rerec_engine.config import Config
from rerec_engine.critic import Critic
from rerec_engine.curriculum import CurriculumQueue
from rerec_engine.data.dataset import Dataset, load_dataset
from rerec_engine.errors import UserError, file_error
from rerec_engine.model_maker import corpus_tokenizer, make_small_policy, phrase_tokenizer
from rerec_engine.policy import Policy, load_policy
from rerec_engine.reward import RewardEngine
from rerec_engine.rollout.base import RolloutEngine
from rerec_engine.rollout.sampler import Sampler
from rerec_engine.run_dir import RunDir
from rerec_engine.types import Query
from rerec_engine.update import Updater
from rerec_engine.warm_start import warm_start


@dataclass
class Trainer:
    """All the parts of a run. `step` counts the steps done."""

    config: Config
    run: RunDir
    dataset: Dataset
    policy: Policy
    reward: RewardEngine
    rollout: RolloutEngine
    updater: Updater
    queue: CurriculumQueue
    queries: list[Query]  # of the train split, those whose prompt fits
    prompts: list[list[int]]
    step: int = 0

    def save(self) -> None:
        """Write a checkpoint of the step just done."""
        state = {
            "step": self.step,
            "queue": self.queue.state_dict(),
            "updater": self.updater.state_dict(),
            "rng": rng_state(),
        }
        save_checkpoint(self.run.checkpoints, self.step, self.policy, state, self.config.train.keep_checkpoints)

    def restore(self, checkpoint: Path) -> None:
        """Continue from a checkpoint, whose model the policy was loaded from."""
        state = load_state(checkpoint)
        self.step = state["step"]
        self.queue.load_state_dict(state["queue"])
        self.updater.load_state_dict(state["updater"])
        set_rng_state(state["rng"])


def start(config: Config, resume: Path | None) -> Trainer:
    """Set up a new run, or continue the one in `resume` from its newest whole checkpoint."""
    if config.rollout.engine == "vllm":
        raise UserError("rollout.engine vllm is not part of this version; use sampler")
    torch.set_num_threads(config.threads or os.cpu_count() or 1)
    seed_everything(config.seed)
    checkpoint = None
    if resume is None:
        run = RunDir.create(config)
    else:
        checkpoint = latest_checkpoint(resume / "checkpoints")
        run = RunDir.resume(resume, int(checkpoint.name[5:]))
    dataset = load_dataset(_data_path(config, run))
    policy = _policy(config, run, dataset, checkpoint)
    reference = _reference(config, run) if config.loss.beta else None
    critic = Critic(policy) if config.advantage.estimator == "gae" else None
    queries, prompts = _train_queries(config, policy, dataset)
    trainer = Trainer(
        config=config,
        run=run,
        dataset=dataset,
        policy=policy,
        reward=RewardEngine.load(dataset.path, weights=config.reward, threads=config.threads),
        rollout=Sampler(policy),
        updater=Updater(policy, config, reference, critic),
        queue=CurriculumQueue(len(queries), config.curriculum, config.train.queries_per_step, config.seed),
        queries=queries,
        prompts=prompts,
    )
    if checkpoint is not None:
        trainer.restore(checkpoint)
        print(f"resuming {run.path} after step {trainer.step}", file=sys.stderr)
    return trainer


def _data_path(config: Config, run: RunDir) -> Path:
    if config.data.path is not None:
        return Path(config.data.path)
    from rerec_engine.data.demo import write_demo

    path = run.path / "data"
    if not path.exists():
        write_demo(path, config.seed)
    return path


def _policy(config: Config, run: RunDir, dataset: Dataset, checkpoint: Path | None) -> Policy:
    """The policy to train: the checkpoint's, or the start model, warm-started where the settings ask for it."""
    source = str(checkpoint) if checkpoint else config.model.path
    if source is not None:
        policy = load_policy(source, config.device, config.model.dtype, master="fp32")
    else:
        policy = _made_on_the_spot(config, dataset)
    if config.model.gradient_checkpointing:
        policy.model.gradient_checkpointing_enable()
    if checkpoint is None:
        if config.warm_start.epochs:
            warm_start(policy, dataset.path / "warm_start.parquet", config.warm_start, config.seed)
        if _start_is_saved(config):
            policy.save(run.path / "start")
    return policy


def _start_is_saved(config: Config) -> bool:
    """Whether the model that reinforcement starts from is one that only this run has."""
    return config.model.path is None or config.warm_start.epochs > 0


def _reference(config: Config, run: RunDir) -> Policy:
    """The frozen model that reinforcement started from."""
    source = str(run.path / "start") if _start_is_saved(config) else str(config.model.path)
    reference = load_policy(source, config.device, config.model.dtype)
    reference.model.requires_grad_(False)
    return reference


def _made_on_the_spot(config: Config, dataset: Dataset) -> Policy:
    vocabulary = dataset.path / "vocabulary.json"
    if vocabulary.is_file():
        try:
            tokenizer = phrase_tokenizer(json.loads(vocabulary.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise file_error(vocabulary, f"expected a JSON list of phrases: {error}") from error
    else:
        texts = [message["content"] for query in dataset.queries("train") for message in query.messages]
        tokenizer = corpus_tokenizer([*texts, *dataset.titles])
    longest = config.data.max_prompt_tokens + config.rollout.max_new_tokens
    return make_small_policy(tokenizer, config.model, max_tokens=longest, seed=config.seed, device=config.device)


def _train_queries(config: Config, policy: Policy, dataset: Dataset) -> tuple[list[Query], list[list[int]]]:
    """Queries of the train split whose prompt fits, and their prompts; what is left out is counted and told."""
    everything = dataset.queries("train")
    prompts = [policy.encode_prompt(query.messages) for query in everything]
    limit = config.data.max_prompt_tokens
    fits = [i for i, prompt in enumerate(prompts) if len(prompt) <= limit]
    left_out = len(everything) - len(fits)
    print(
        f"train queries: {len(everything)} read, {len(fits)} kept, {left_out} longer than {limit} tokens",
        file=sys.stderr,
    )
    if not fits:
        raise UserError(f"{dataset.path}: no train query has a prompt within data.max_prompt_tokens ({limit})")
    return [everything[i] for i in fits], [prompts[i] for i in fits]


def state_of(trainer: Trainer) -> dict[str, Any]:
    """Versions and hardware, for `run.json`."""
    import platform

    import transformers

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "device": str(trainer.policy.device),
        "parameters": sum(p.numel() for p in trainer.policy.model.parameters()),
    }
