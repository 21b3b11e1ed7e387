"""What a training run needs before its first step: dataset, policy, reference, reward engine, queue, run directory."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from rerec_engine.cli import waiting
from rerec_engine.config import Config
from rerec_engine.constrain.titles import AnswerTitles
from rerec_engine.data.dataset import Dataset, load_dataset
from rerec_engine.data.lengths import left_out, longer
from rerec_engine.errors import UserError
from rerec_engine.machine import thread_count
from rerec_engine.model.context import check_context
from rerec_engine.model.critic import Critic
from rerec_engine.model.lora import load_adapter
from rerec_engine.model.packed_attention import enable_packing
from rerec_engine.model.policy import Policy, blocks, load_policy, resolve_device
from rerec_engine.model.ranks import Ranks, join, shard
from rerec_engine.model.selfcheck import prove_policy
from rerec_engine.model.source import find_model
from rerec_engine.reward import RewardEngine
from rerec_engine.rollout.base import Follower, RolloutEngine
from rerec_engine.rollout.replica import ReplicaSampler
from rerec_engine.rollout.sampler import Sampler
from rerec_engine.rollout.selfcheck import prove_sampler
from rerec_engine.rollout.vllm import VllmEngine
from rerec_engine.runs.checkpoint import (
    checkpoint_steps,
    latest_checkpoint,
    seed_everything,
    step_of,
)
from rerec_engine.runs.run_directory import RunDir
from rerec_engine.runs.sources import check_sources
from rerec_engine.threads import compute_with
from rerec_engine.training.curriculum import CurriculumQueue
from rerec_engine.training.fitting import fitted
from rerec_engine.training.orders import FreshOrders, fresh_orders
from rerec_engine.training.progress import tell, tell_start
from rerec_engine.training.rollout_worker import RolloutWorker
from rerec_engine.training.scoring import score_batch
from rerec_engine.training.start_model import checked, dataset_path, loading_of, make_start_model, sources, start_source
from rerec_engine.training.trainer import Trainer
from rerec_engine.training.update import Updater
from rerec_engine.types import Query

REMEDY = "; --rollout.engine vllm draws with vLLM, where that knows the model"


def start(config: Config, resume: Path | None) -> Trainer:
    """Set up a new run, or continue the one in `resume` from its newest whole checkpoint. Each rank calls it."""
    try:
        config.check()
    except ValueError as error:
        raise UserError(str(error)) from None
    ranks = join(config.device)
    compute_with(thread_count(config.threads, ranks.local_size))
    seed_everything(config.seed)
    if resume is None:
        config = ranks.main_does(lambda: checked(config))
    run, checkpoint = ranks.main_does(lambda: _place(config, resume))
    run.writes = ranks.main
    try:
        return _set_up(config, ranks, run, checkpoint, anew=resume is None)
    except BaseException:
        run.release()
        raise


def _set_up(config: Config, ranks: Ranks, run: RunDir, checkpoint: Path | None, anew: bool) -> Trainer:
    done = None if checkpoint is None else step_of(checkpoint)
    if ranks.main:
        tell_start(config, run, done)
    data = ranks.main_does(lambda: dataset_path(config, run, anew))
    with waiting(f"reading {data}", ranks.main):
        dataset = load_dataset(data)
    ranks.main_does(lambda: check_sources(run.path, sources(config, dataset)))
    if checkpoint is None:
        ranks.main_does(lambda: make_start_model(config, run, dataset, partial(_tell_left_out, config, dataset)))
    lora = config.model.lora_rank > 0
    source = str(checkpoint) if checkpoint and not lora else start_source(config, run)
    with waiting(f"loading the model from {source}", ranks.main):
        policy = _load(config, source, ranks, _device(config, ranks), master=None if lora else "fp32")
    config = ranks.first(fitted(config, policy.model, _device(config, ranks)))
    policy.prepare(config.model, config.seed)
    if checkpoint and lora:
        load_adapter(policy.model, checkpoint)
    with waiting("loading the frozen reference", ranks.main):
        reference = _reference(config, run, ranks) if config.loss.beta and not lora else None
    critic = Critic(policy) if config.advantage.estimator == "gae" else None
    if ranks.size > 1:
        device = _device(config, ranks)
        policy.shard(device)
        if reference is not None:
            reference.shard(device, config.model.offload_reference)
        if critic is not None:
            shard(critic, blocks(critic.body), policy.dtype, device)
    with waiting("the self-check", ranks.main):
        proof = prove_policy(policy, critic)
    policy.packed, policy.output = ranks.first((policy.packed, policy.output))
    if reference is not None:
        reference.packed, reference.output = policy.packed, policy.output
    with waiting("encoding the prompts", ranks.main):
        queries, prompts, orders = _train_queries(config, policy, dataset, ranks)
        longest = max(max(map(len, prompts)), _not_evaluated(config, dataset, policy, ranks))
    if (told := check_context(policy, longest, config.rollout.max_new_tokens)) and ranks.main:
        tell(told)
    queue = CurriculumQueue(len(queries), config.curriculum, config.train.queries_per_step, config.seed)
    with waiting("loading the reward engine", ranks.main):
        reward = RewardEngine.load(dataset.path, weights=config.reward, threads=config.threads)
    score = partial(score_batch, reward=reward, policy=policy, config=config)
    titles = _titles(config, reward, policy, ranks)
    with waiting(f"starting the rollout engine ({config.rollout.engine})", ranks.main):
        engine = _engine(config, policy, source, run, ranks, done or 0, titles)
    if isinstance(engine, Sampler):
        engine.titles = titles
        with waiting("the self-check of the sampler", ranks.main):
            proof = proof.join(prove_sampler(engine, policy, REMEDY))
    for told in proof.told if ranks.main else ():
        tell(told)
    worker = RolloutWorker(engine, queue, queries, prompts, score, config, ranks, orders)
    trainer = Trainer(
        config=config,
        ranks=ranks,
        run=run,
        dataset=dataset,
        policy=policy,
        reward=reward,
        worker=worker,
        updater=Updater(policy, config, reference, critic, ranks, titles),
        selfcheck=proof.logprob_max,
    )
    if checkpoint is not None:
        trainer.restore(checkpoint)
    return trainer


def _place(config: Config, resume: Path | None) -> tuple[RunDir, Path | None]:
    """The run directory, locked, and the newest whole checkpoint of a run to continue; None for a new run, and for one
    that was cut short before its first."""
    if resume is None:
        return RunDir.create(config), None
    run = RunDir.resume(resume, config)
    try:
        checkpoint = latest_checkpoint(run.checkpoints) if checkpoint_steps(run.checkpoints) else None
        run.cut_back(None if checkpoint is None else step_of(checkpoint), config.train.steps)
    except BaseException:
        run.release()
        raise
    return run, checkpoint


def _engine(
    config: Config,
    policy: Policy,
    source: str,
    run: RunDir,
    ranks: Ranks,
    step: int,
    titles: AnswerTitles | None,
) -> RolloutEngine:
    """The engine with the policy's weights, which are those after `step`."""
    if config.rollout.engine == "vllm":
        group = config.rollout.vllm.tensor_parallel
        if ranks.size > 1 and ranks.local_size % group:
            raise UserError(f"rollout.vllm.tensor_parallel {group} must divide the {ranks.local_size} ranks of a host")
        if ranks.size > 1 and ranks.rank % group:
            return Follower(policy.whole_parameters, step)
        return VllmEngine(
            find_model(source, loading_of(config, source).revision),
            policy.whole_parameters,
            policy.end_ids,
            max_tokens=config.data.max_prompt_tokens + config.rollout.max_new_tokens,
            dtype=policy.dtype,
            device=_device(config, ranks),
            settings=config.rollout.vllm,
            log=run.path / ("engine.log" if ranks.main else f"engine_{ranks.rank}.log"),
            run_dir=run.path,
            version=step,
            trust_remote_code=config.model.trust_remote_code,
            titles=titles,
        )
    if ranks.size > 1 or config.rollout.overlap:
        return ReplicaSampler(policy, step, config.rollout.cache_gb)
    return Sampler(policy, version=step, cache_gb=config.rollout.cache_gb)


def _titles(config: Config, reward: RewardEngine, policy: Policy, ranks: Ranks) -> AnswerTitles | None:
    """What answers may name, where the settings constrain them."""
    if config.rollout.constrain == "off":
        return None
    among = config.rollout.constrain == "candidates"
    with waiting("ordering the titles", ranks.main):
        return AnswerTitles(reward.catalogue, policy.tokenizer, among, reward.threads, policy.source)


def _device(config: Config, ranks: Ranks) -> torch.device:
    device = resolve_device(config.device)
    return torch.device("cuda", ranks.local_rank) if device.type == "cuda" and ranks.size > 1 else device


def _load(config: Config, source: str, ranks: Ranks, device: torch.device, master: str | None = None) -> Policy:
    """A model of one's own; among several ranks, rank 0 alone has its weights, in host memory, until it is sharded."""
    loading = loading_of(config, source)
    if ranks.size == 1:
        return load_policy(source, device, config.model.dtype, master, loading=loading)
    policy = load_policy(source, "cpu", config.model.dtype, master, empty=not ranks.main, loading=loading)
    policy.end_ids, policy.output = ranks.first((policy.end_ids, policy.output))
    return policy


def _reference(config: Config, run: RunDir, ranks: Ranks) -> Policy:
    """The frozen model that reinforcement started from."""
    device = torch.device("cpu") if config.model.offload_reference else _device(config, ranks)
    reference = _load(config, start_source(config, run), ranks, device)
    if config.model.packing:
        enable_packing(reference.model)
    reference.model.requires_grad_(False)
    return reference


def _tell_left_out(config: Config, dataset: Dataset, policy: Policy) -> None:
    """What training will leave out, before a warm start that takes long. Raises UserError where that is everything."""
    lengths = [len(policy.encode_prompt(query.messages)) for query in dataset.queries("train")]
    told = left_out(lengths, config.data.max_prompt_tokens, dataset.path / "train.parquet")
    if told:
        tell(f"of {len(lengths)} train queries {told}")


def _not_evaluated(config: Config, dataset: Dataset, policy: Policy, ranks: Ranks) -> int:
    """Tell what the evaluations will leave out, by the same rule; returns the longest prompt that they keep."""
    longest, limit = 0, config.data.max_prompt_tokens
    for split in ("val", "test"):
        queries = dataset.queries(split) if split in dataset.splits else []
        lengths = [len(policy.encode_prompt(query.messages)) for query in queries]
        longest = max([longest, *(length for length in lengths if length <= limit)])
        told = longer(lengths, limit)
        if told and ranks.main:
            tell(f"of {len(queries)} {split} queries {told}; they are not evaluated")
    return longest


def _train_queries(
    config: Config, policy: Policy, dataset: Dataset, ranks: Ranks
) -> tuple[list[Query], list[list[int]], FreshOrders | None]:
    """Queries of the train split whose prompt fits, their prompts and how their candidates are reordered; what is left
    out is counted and told."""
    everything = dataset.queries("train")
    orders = fresh_orders(config, dataset, everything, policy.encode_prompt)
    prompts = [policy.encode_prompt(query.messages) for query in everything]
    limit = config.data.max_prompt_tokens
    fits = [i for i, prompt in enumerate(prompts) if len(prompt) <= limit]
    told = left_out([len(prompt) for prompt in prompts], limit, dataset.path / "train.parquet")
    if ranks.main:
        told = told or f"none longer than {limit} tokens"
        tell(f"train queries: {len(everything)} read, {len(fits)} kept, {told}")
    return [everything[i] for i in fits], [prompts[i] for i in fits], orders
