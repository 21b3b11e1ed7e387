"""`python -m rerec_engine.train`: the loop. Queue -> rollout -> reward -> advantage -> update -> queue."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from rich.console import Console

from rerec_engine.cli import run_command
from rerec_engine.config import Config
from rerec_engine.errors import RunError, UserError
from rerec_engine.metrics.evaluation import evaluate_queries
from rerec_engine.model.ranks import lost_contact
from rerec_engine.report import write_report
from rerec_engine.runs.checkpoint import checkpoint_steps
from rerec_engine.runs.settings import load_settings
from rerec_engine.share import write_card
from rerec_engine.training.advantage import token_advantages
from rerec_engine.training.importance import truncated_weights
from rerec_engine.training.loss import kl_penalty
from rerec_engine.training.progress import Interrupt, Progress, step_record
from rerec_engine.training.rollout_worker import timed
from rerec_engine.training.setup import Trainer, start
from rerec_engine.types import Batch


def train(config: Config, resume: Path | None = None) -> Path:
    """Run the loop to its end; returns the run directory. Stopped by a signal, it ends at a step boundary."""
    trainer = start(config, resume)
    try:
        return _run(trainer)
    except RuntimeError as error:
        if lost_contact(trainer.ranks, error):
            raise RunError(_lost(trainer)) from error
        raise
    finally:
        trainer.close()


def _run(trainer: Trainer) -> Path:
    config, run = trainer.config, trainer.run
    if trainer.step == 0:
        evaluate_and_log(trainer, "test", "before")
        trainer.save()
    stop = False
    with Interrupt(trainer.ranks) as interrupt, Progress(trainer) as progress:
        while trainer.step < config.train.steps and not stop:
            metrics, batch = one_step(trainer)
            run.log("metrics.jsonl", metrics)
            progress.show(metrics)
            step = trainer.step
            stop = interrupt.asked_anywhere()
            if _due(step, config.train.save_rollouts_every) or step == 1:
                run.save_rollouts(step, batch, trainer.policy)
            if _due(step, config.train.eval_every) and step < config.train.steps:
                evaluate_and_log(trainer, "val", "during", limit=config.train.eval_queries)
                report(trainer)
            if _due(step, config.train.checkpoint_every) or step == config.train.steps or stop:
                trainer.save()
    if stop and trainer.step < config.train.steps:
        report(trainer)
        if trainer.ranks.main:
            print(f"stopped after step {trainer.step}; continue with --resume {run.path}", file=sys.stderr)
        raise SystemExit(interrupt.exit_code)
    trainer.policy.save(run.path / "final", trainer.ranks.main)
    evaluate_and_log(trainer, "test", "after")
    report(trainer)
    card(trainer)
    return run.path


def one_step(trainer: Trainer) -> tuple[dict[str, object], Batch]:
    """One step of the loop; returns its metrics and the batch that it trained on."""
    seconds: dict[str, float] = {}
    started = time.perf_counter()
    step, worker, updater = trainer.step + 1, trainer.worker, trainer.updater
    batch = worker.next_batch(step, seconds)
    worker.look_ahead(step + 1)
    with timed(seconds, "logprobs"):
        updater.prepare(batch)
    with timed(seconds, "advantage"):
        set_advantages(batch, trainer.config)
    with timed(seconds, "update"):
        metrics = updater.update(batch, step)
    with timed(seconds, "sync"):
        worker.update_weights(step)
    trainer.step = step
    seconds["total"] = time.perf_counter() - started
    return step_record(trainer, batch, metrics, seconds), batch


def set_advantages(batch: Batch, config: Config) -> None:
    """Advantages of all response tokens, by the estimator that the settings name."""
    drawn = torch.from_numpy(batch.rollout_logprobs)
    old = drawn if batch.old_logprobs is None else batch.old_logprobs.cpu()
    kl = None
    if batch.ref_logprobs is not None and config.loss.kl_in == "reward":
        kl = kl_penalty(old, batch.ref_logprobs.cpu(), config.loss)
    found = token_advantages(
        batch.token_rewards if config.advantage.estimator == "raae" else None,
        batch.scores["reward"],
        batch.cu_seqlens,
        batch.group,
        config.advantage,
        hits=batch.scores["hit"],
        values=batch.values.cpu() if batch.values is not None else None,
        kl=kl,
    )
    batch.advantages, batch.returns = found.advantages, found.returns
    if config.loss.importance_cap:
        batch.advantages = batch.advantages * truncated_weights(old, drawn, config.loss.importance_cap)


def evaluate_and_log(trainer: Trainer, split: str, moment: str, limit: int = 0) -> None:
    """Greedy evaluation on a split (its first `limit` queries), into eval.jsonl; before and after, also as a table."""
    if split not in trainer.dataset.splits:
        if trainer.ranks.main:
            print(f"no {split} split: not evaluated {moment} training", file=sys.stderr)
        return
    queries = trainer.dataset.queries(split)
    report = evaluate_queries(
        trainer.worker.generate,
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
    if moment != "during" and trainer.ranks.main:
        console = Console(stderr=True)
        console.print(f"\n{moment} reinforcement, {split} split, greedy (step {trainer.step})")
        console.print(report.table())


def report(trainer: Trainer) -> None:
    """Write the report, so far; one that cannot be written ends no run."""
    if trainer.config.train.report and trainer.ranks.main:
        try:
            write_report(trainer.run.path, tokenizer=trainer.policy.tokenizer)
        except (UserError, OSError) as error:
            print(f"no report: {error}", file=sys.stderr)


def card(trainer: Trainer) -> None:
    """Write the final model's card; one that cannot be written ends no run."""
    if trainer.ranks.main:
        try:
            write_card(trainer.run.path)
        except Exception as error:  # the model is saved
            print(f"no model card: {error}", file=sys.stderr)


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _lost(trainer: Trainer) -> str:
    ranks, steps = trainer.ranks, checkpoint_steps(trainer.run.checkpoints)
    return (
        f"rank {ranks.rank} of {ranks.size} lost another rank in step {trainer.step + 1}: it ended or is silent "
        f"(its own message tells why); go on after step {max(steps, default=0)} with --resume {trainer.run.path}"
    )


def main() -> None:
    train(*load_settings())


if __name__ == "__main__":
    run_command(main)
