"""`python -m rerec_engine.train`: the loop. Queue -> rollout -> reward -> advantage -> update -> queue."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rich.console import Console

from rerec_engine.advantage import token_advantages
from rerec_engine.config import Config
from rerec_engine.curriculum import query_difficulty
from rerec_engine.errors import run_command
from rerec_engine.evaluate import evaluate_queries
from rerec_engine.progress import Interrupt, Progress, step_record
from rerec_engine.rollout.collect import collect, derive_seed, informative, select
from rerec_engine.settings import load_settings
from rerec_engine.startup import Trainer, start
from rerec_engine.types import Batch, Sampling


def train(config: Config, resume: Path | None = None) -> Path:
    """Run the loop to its end; returns the run directory. Stopped by a signal, it ends at a step boundary."""
    trainer = start(config, resume)
    config = trainer.config
    if trainer.step == 0:
        evaluate_and_log(trainer, "test", "before")
        trainer.save()
    with Interrupt() as interrupt, Progress(trainer) as progress:
        while trainer.step < config.train.steps and not interrupt.asked:
            metrics, batch = one_step(trainer)
            trainer.run.log("metrics.jsonl", metrics)
            progress.show(metrics)
            step = trainer.step
            if _due(step, config.train.save_rollouts_every) or step == 1:
                trainer.run.save_rollouts(step, batch, trainer.policy)
            if _due(step, config.train.eval_every) and step < config.train.steps:
                evaluate_and_log(trainer, "val", "during", limit=config.train.eval_queries)
            if _due(step, config.train.checkpoint_every) or step == config.train.steps or interrupt.asked:
                trainer.save()
    if interrupt.asked and trainer.step < config.train.steps:
        print(f"stopped after step {trainer.step}; continue with --resume {trainer.run.path}", file=sys.stderr)
        raise SystemExit(interrupt.exit_code)
    trainer.policy.save(trainer.run.path / "final")
    evaluate_and_log(trainer, "test", "after")
    return trainer.run.path


def one_step(trainer: Trainer) -> tuple[dict[str, object], Batch]:
    """One step of the loop; returns its metrics and the batch that it trained on."""
    seconds: dict[str, float] = {}
    started = time.perf_counter()
    batch = draw(trainer, seconds)
    with _timed(seconds, "advantage"):
        set_advantages(trainer, batch)
    with _timed(seconds, "update"):
        metrics = trainer.updater.update(batch, trainer.step + 1)
        trainer.rollout.update_weights()
    trainer.step += 1
    seconds["total"] = time.perf_counter() - started
    return step_record(trainer, batch, metrics, seconds), batch


def draw(trainer: Trainer, seconds: dict[str, float]) -> Batch:
    """Responses to the queue's next queries, scored. Dynamic sampling draws on until enough groups teach something."""
    config = trainer.config
    wanted = min(config.train.queries_per_step, len(trainer.queries))
    drawn: list[Batch] = []
    for attempt in range(config.rollout.max_draws if config.rollout.dynamic_sampling else 1):
        indices = trainer.queue.next_batch()
        seed = derive_seed(config.seed, "rollout", trainer.step, attempt)
        sampling = Sampling(config.rollout.max_new_tokens, config.rollout.temperature, seed)
        with _timed(seconds, "rollout"):
            batch = collect(
                trainer.rollout,
                [trainer.queries[i] for i in indices],
                [trainer.prompts[i] for i in indices],
                config.rollout.responses_per_query,
                sampling,
            )
        with _timed(seconds, "reward"):
            score(trainer, batch)
        values = batch.scores["ndcg" if config.curriculum.difficulty == "ndcg" else "reward"]
        trainer.queue.report(indices, query_difficulty(values, batch.group))
        drawn.append(batch)
        if sum(informative(b).sum() for b in drawn) >= wanted:
            break
    if not config.rollout.dynamic_sampling:
        return drawn[0]
    useful = [informative(b) for b in drawn]
    if not any(u.any() for u in useful):
        return drawn[-1]
    kept = np.cumsum(np.concatenate(useful)) <= wanted
    bounds = np.cumsum([len(u) for u in useful])[:-1]
    return select(drawn, [u & k for u, k in zip(useful, np.split(kept, bounds), strict=True)])


def score(trainer: Trainer, batch: Batch) -> None:
    """Rewards of the responses and, for RAAE, of their tokens, straight from the token ids."""
    owners = [batch.queries[g] for g in batch.group]
    policy = trainer.policy
    known = np.where(batch.token_ids < len(policy.tokenizer), batch.token_ids, policy.pad_id)  # heads may be padded
    tokens = trainer.reward.score_tokens(
        known,
        batch.cu_seqlens,
        [query.ground_truth for query in owners],
        policy.tokenizer,
        candidates=[query.candidates or None for query in owners],
        w_penalty=trainer.config.advantage.w_penalty,
        w_credit=trainer.config.advantage.w_credit,
    )
    scores = tokens.scores
    names = ("ndcg", "format", "qas", "pas", "hit")
    batch.scores = {"reward": scores.total, **{name: getattr(scores, name) for name in names}}
    batch.token_rewards = tokens.token_rewards


def set_advantages(trainer: Trainer, batch: Batch) -> None:
    """Advantages of all response tokens, by the estimator that the settings name."""
    config = trainer.config.advantage
    if config.estimator == "gae":
        batch.values = trainer.updater.values(batch)
    found = token_advantages(
        batch.token_rewards if config.estimator == "raae" else None,
        batch.scores["reward"],
        batch.cu_seqlens,
        batch.group,
        config,
        hits=batch.scores["hit"],
        values=batch.values.cpu() if batch.values is not None else None,
    )
    batch.advantages, batch.returns = found.advantages, found.returns


def evaluate_and_log(trainer: Trainer, split: str, moment: str, limit: int = 0) -> None:
    """Greedy evaluation on a split (its first `limit` queries), into eval.jsonl; before and after, also as a table."""
    if split not in trainer.dataset.splits:
        print(f"no {split} split: not evaluated {moment} training", file=sys.stderr)
        return
    queries = trainer.dataset.queries(split)
    report = evaluate_queries(
        trainer.rollout.generate,
        trainer.policy.tokenizer,
        trainer.reward,
        queries[:limit] if limit else queries,
        encode_prompt=trainer.policy.encode_prompt,
        max_new_tokens=trainer.config.rollout.max_new_tokens,
        k=trainer.config.reward.k,
        catalogue_size=trainer.dataset.item_count,
        split=split,
        step=trainer.step,
    )
    trainer.run.log("eval.jsonl", {**report.line(), "moment": moment})
    if moment != "during":
        console = Console(stderr=True)
        console.print(f"\n{moment} reinforcement, {split} split, greedy (step {trainer.step})")
        console.print(report.table())


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - started


def main() -> None:
    train(*load_settings())


if __name__ == "__main__":
    run_command(main)
