"""What a training run needs before its first step: dataset, policy, reference, reward engine, queue, run directory."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from rerec_engine.config import Config
from rerec_engine.data.dataset import Dataset, load_dataset
from rerec_engine.errors import UserError, file_error
from rerec_engine.model.critic import Critic
from rerec_engine.model.lora import load_adapter
from rerec_engine.model.packed_attention import enable_packing
from rerec_engine.model.policy import Policy, blocks, load_policy, resolve_device
from rerec_engine.model.ranks import Ranks, join, leave, shard
from rerec_engine.model.small_model import corpus_tokenizer, make_small_policy, phrase_tokenizer
from rerec_engine.reward import RewardEngine
from rerec_engine.rollout.base import Follower, RolloutEngine
from rerec_engine.rollout.replica import ReplicaSampler
from rerec_engine.rollout.sampler import Sampler
from rerec_engine.rollout.vllm import VllmEngine
from rerec_engine.runs.checkpoint import (
    latest_checkpoint,
    load_parts,
    load_state,
    rng_state,
    save_checkpoint,
    seed_everything,
    set_rng_state,
)
from rerec_engine.runs.run_directory import RunDir
from rerec_engine.training.curriculum import CurriculumQueue
from rerec_engine.training.rollout_worker import RolloutWorker
from rerec_engine.training.update import Updater
from rerec_engine.training.warm_start import warm_start
from rerec_engine.types import Batch, Query


@dataclass
class Trainer:
    """All the parts of a run. `step` counts the steps done."""

    config: Config
    ranks: Ranks
    run: RunDir
    dataset: Dataset
    policy: Policy
    reward: RewardEngine
    worker: RolloutWorker
    updater: Updater
    step: int = 0

    def save(self) -> None:
        """Write a checkpoint of the step just done."""
        state = {
            "step": self.step,
            "worker": self.worker.state_dict(),
            "skipped": self.updater.skipped,
            "rng": self.ranks.gather(rng_state()),
        }
        parts = self.updater.state_parts()
        keep = self.config.train.keep_checkpoints
        save_checkpoint(self.run.checkpoints, self.step, self.policy, state, parts, keep, self.ranks)

    def restore(self, checkpoint: Path) -> None:
        """Continue from a checkpoint, whose model the policy was loaded from."""
        state = load_state(checkpoint)
        self.step = state["step"]
        self.worker.load_state_dict(state["worker"])
        self.updater.skipped = state["skipped"]
        parts = self.updater.state_parts(empty=True)
        if load_parts(checkpoint, parts, self.ranks):
            self.updater.load_state_parts(parts)
        if self.ranks.rank < len(state["rng"]):
            set_rng_state(state["rng"][self.ranks.rank])

    def close(self) -> None:
        """Free what the rollout engine holds and part from the other ranks."""
        self.worker.close()
        leave(self.ranks)


def start(config: Config, resume: Path | None) -> Trainer:
    """Set up a new run, or continue the one in `resume` from its newest whole checkpoint. Each rank calls it."""
    try:
        config.check()
    except ValueError as error:
        raise UserError(str(error)) from None
    ranks = join(config.device)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(config.threads or max(1, cores // ranks.local_size))
    seed_everything(config.seed)
    checkpoint = ranks.main_does(lambda: latest_checkpoint(resume / "checkpoints")) if resume is not None else None
    run = ranks.main_does(lambda: _run_dir(config, resume, checkpoint))
    run.writes = ranks.main
    data = ranks.main_does(lambda: _data_path(config, run))
    dataset = load_dataset(data)
    if checkpoint is None:
        ranks.main_does(lambda: _make_start_model(config, run, dataset))
    lora = config.model.lora_rank > 0
    source = str(checkpoint) if checkpoint and not lora else _start_source(config, run)
    policy = _load(config, source, ranks, _device(config, ranks), master=None if lora else "fp32")
    policy.prepare(config.model, config.seed)
    if checkpoint and lora:
        load_adapter(policy.model, checkpoint)
    reference = _reference(config, run, ranks) if config.loss.beta and not lora else None
    critic = Critic(policy) if config.advantage.estimator == "gae" else None
    if ranks.size > 1:
        device = _device(config, ranks)
        policy.shard(device)
        if reference is not None:
            reference.shard(device, config.model.offload_reference)
        if critic is not None:
            shard(critic, blocks(critic.body), policy.dtype, device)
    queries, prompts = _train_queries(config, policy, dataset, ranks)
    queue = CurriculumQueue(len(queries), config.curriculum, config.train.queries_per_step, config.seed)
    reward = RewardEngine.load(dataset.path, weights=config.reward, threads=config.threads)
    score = partial(score_batch, reward=reward, policy=policy, config=config)
    engine = _engine(config, policy, source, run, ranks)
    worker = RolloutWorker(engine, queue, queries, prompts, score, config, ranks)
    trainer = Trainer(
        config=config,
        ranks=ranks,
        run=run,
        dataset=dataset,
        policy=policy,
        reward=reward,
        worker=worker,
        updater=Updater(policy, config, reference, critic, ranks),
    )
    if checkpoint is not None:
        trainer.restore(checkpoint)
        if ranks.main:
            print(f"resuming {run.path} after step {trainer.step}", file=sys.stderr)
    engine.weight_version = trainer.step
    return trainer


def score_batch(batch: Batch, *, reward: RewardEngine, policy: Policy, config: Config) -> None:
    """Rewards of the responses and, for RAAE, of their tokens, straight from the token ids."""
    owners = [batch.queries[g] for g in batch.group]
    known = np.where(batch.token_ids < len(policy.tokenizer), batch.token_ids, policy.pad_id)  # heads may be padded
    tokens = reward.score_tokens(
        known,
        batch.cu_seqlens,
        [query.ground_truth for query in owners],
        policy.tokenizer,
        candidates=[query.candidates or None for query in owners],
        w_penalty=config.advantage.w_penalty,
        w_credit=config.advantage.w_credit,
    )
    scores = tokens.scores
    names = ("ndcg", "format", "qas", "pas", "hit")
    batch.scores = {"reward": scores.total, **{name: getattr(scores, name) for name in names}}
    batch.token_rewards = tokens.token_rewards


def _run_dir(config: Config, resume: Path | None, checkpoint: Path | None) -> RunDir:
    if resume is None:
        return RunDir.create(config)
    assert checkpoint is not None
    return RunDir.resume(resume, int(checkpoint.name[5:]))


def _engine(config: Config, policy: Policy, source: str, run: RunDir, ranks: Ranks) -> RolloutEngine:
    if config.rollout.engine == "vllm":
        group = config.rollout.vllm.tensor_parallel
        if ranks.size > 1 and ranks.local_size % group:
            raise UserError(f"rollout.vllm.tensor_parallel {group} must divide the {ranks.local_size} ranks of a host")
        if ranks.size > 1 and ranks.rank % group:
            return Follower(policy.whole_parameters)
        return VllmEngine(
            source,
            policy.whole_parameters,
            policy.end_ids,
            max_tokens=config.data.max_prompt_tokens + config.rollout.max_new_tokens,
            dtype=policy.dtype,
            device=_device(config, ranks),
            settings=config.rollout.vllm,
            log=run.path / ("engine.log" if ranks.main else f"engine_{ranks.rank}.log"),
            run_dir=run.path,
        )
    if ranks.size > 1 or config.rollout.overlap:
        return ReplicaSampler(policy)
    return Sampler(policy)


def _device(config: Config, ranks: Ranks) -> torch.device:
    device = resolve_device(config.device)
    return torch.device("cuda", ranks.local_rank) if device.type == "cuda" and ranks.size > 1 else device


def _data_path(config: Config, run: RunDir) -> Path:
    if config.data.path is not None:
        return Path(config.data.path)
    from rerec_engine.worlds.demo import write_demo

    path = run.path / "data"
    if not path.exists():
        write_demo(path, config.seed)
    return path


def _make_start_model(config: Config, run: RunDir, dataset: Dataset) -> None:
    """Make the model that reinforcement starts from, and warm-start it, where the settings say so."""
    if not _start_is_saved(config):
        return
    if config.model.path is not None:
        policy = load_policy(config.model.path, config.device, config.model.dtype, master="fp32")
    else:
        policy = _made_on_the_spot(config, dataset)
    if config.warm_start.epochs:
        traces = Path(config.warm_start.path) if config.warm_start.path else dataset.path / "warm_start.parquet"
        warm_start(policy, traces, config.warm_start, config.seed)
    policy.save(run.path / "start")


def _start_source(config: Config, run: RunDir) -> str:
    """Where the model lies that reinforcement starts from."""
    return str(run.path / "start") if _start_is_saved(config) else str(config.model.path)


def _load(config: Config, source: str, ranks: Ranks, device: torch.device, master: str | None = None) -> Policy:
    """A model of one's own; among several ranks, rank 0 alone has its weights, in host memory, until it is sharded."""
    if ranks.size == 1:
        return load_policy(source, device, config.model.dtype, master)
    policy = load_policy(source, "cpu", config.model.dtype, master, empty=not ranks.main)
    policy.end_ids = ranks.first(policy.end_ids)
    return policy


def _start_is_saved(config: Config) -> bool:
    """Whether the model that reinforcement starts from is one that only this run has."""
    return config.model.path is None or config.warm_start.epochs > 0


def _reference(config: Config, run: RunDir, ranks: Ranks) -> Policy:
    """The frozen model that reinforcement started from."""
    device = torch.device("cpu") if config.model.offload_reference else _device(config, ranks)
    reference = _load(config, _start_source(config, run), ranks, device)
    reference.packed = config.model.packing and enable_packing(reference.model)
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


def _train_queries(
    config: Config, policy: Policy, dataset: Dataset, ranks: Ranks
) -> tuple[list[Query], list[list[int]]]:
    """Queries of the train split whose prompt fits, and their prompts; what is left out is counted and told."""
    everything = dataset.queries("train")
    prompts = [policy.encode_prompt(query.messages) for query in everything]
    limit = config.data.max_prompt_tokens
    fits = [i for i, prompt in enumerate(prompts) if len(prompt) <= limit]
    left_out = len(everything) - len(fits)
    if ranks.main:
        told = f"train queries: {len(everything)} read, {len(fits)} kept, {left_out} longer than {limit} tokens"
        print(told, file=sys.stderr)
    if not fits:
        raise UserError(f"{dataset.path}: no train query has a prompt within data.max_prompt_tokens ({limit})")
    return [everything[i] for i in fits], [prompts[i] for i in fits]
