"""`python -m rerec_engine.train`: the loop. Queue -> rollout -> reward -> advantage -> update -> queue."""

from __future__ import annotations

from contextlib import ExitStack

from rerec_engine.cli import run_command, tell_mistakes, waiting
from rerec_engine.runs.settings import load_settings

LOADING = ExitStack()
if __name__ == "__main__":  # help and mistakes before torch is loaded, which takes seconds
    CHOSEN = tell_mistakes(load_settings)
    LOADING.enter_context(waiting("loading the libraries"))

import time
from collections.abc import Callable
from pathlib import Path

from rerec_engine.config import Config
from rerec_engine.errors import RunError, Stopped
from rerec_engine.model.ranks import lost_contact
from rerec_engine.model.selfcheck import prove_saved
from rerec_engine.report import write_report
from rerec_engine.runs.checkpoint import checkpoint_steps, save_model
from rerec_engine.share import write_card
from rerec_engine.training.advantage import with_advantages
from rerec_engine.training.batches import TrainingBatch
from rerec_engine.training.clock import Clock
from rerec_engine.training.evaluation import evaluate
from rerec_engine.training.interrupt import Interrupt
from rerec_engine.training.progress import Progress, tell, tell_end
from rerec_engine.training.records import rollout_table, step_record
from rerec_engine.training.setup import start
from rerec_engine.training.trainer import Trainer

LOADING.close()


def train(config: Config, resume: Path | None = None) -> Path:
    """Run the loop to its end; returns the run directory. Asked to stop, it ends at a step boundary."""
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
    config, run, began = trainer.config, trainer.run, time.monotonic()
    if not trainer.resumed:
        evaluate(trainer, "test", "before")
        with waiting("writing the first checkpoint", trainer.ranks.main):
            trainer.save()
    stop = False
    with Interrupt(trainer.ranks) as interrupt, Progress(trainer) as progress:
        while trainer.step < config.train.steps and not stop:
            metrics, batch = one_step(trainer, progress.stage)
            if trainer.step == 1:
                metrics["selfcheck_logprob_max"] = trainer.selfcheck
            run.log("metrics.jsonl", metrics)
            progress.show(metrics)
            step, last = trainer.step, trainer.step == config.train.steps
            stop = interrupt.asked_anywhere()
            if _due(step, config.train.save_rollouts_every) or step == 1:
                run.save_rollouts(step, rollout_table(step, batch, trainer.policy.tokenizer))
            if _due(step, config.train.eval_every) and not last:
                evaluate(trainer, "val", "during")
                _write(trainer, "report")
            if _due(step, config.train.checkpoint_every) or last or stop:
                progress.stage("checkpoint")
                trainer.save()
    if stop and trainer.step < config.train.steps:
        _write(trainer, "report")
        raise Stopped(f"stopped after step {trainer.step}; continue with --resume {run.path}", interrupt.exit_code)
    final = run.path / "final"
    with waiting(f"writing {final} and loading it again", trainer.ranks.main):
        save_model(final, trainer.policy, trainer.ranks)
        prove_saved(trainer.policy, final, trainer.ranks)
    evaluate(trainer, "test", "after")
    _write(trainer, "report")
    _write(trainer, "model card")
    tell_end(trainer, time.monotonic() - began)
    return run.path


def one_step(trainer: Trainer, begins: Callable[[str], None] | None = None) -> tuple[dict[str, object], TrainingBatch]:
    """One step of the loop; returns its metrics and the batch that it trained on. begins: told each stage."""
    clock, step = Clock(begins), trainer.step + 1
    scored = trainer.worker.next_batch(step, clock)  # queue -> responses -> dual-graph rewards
    trainer.worker.look_ahead(step + 1)
    with clock("logprobs"):
        passes = trainer.updater.forward_passes(scored)  # frozen reference, critic
    with clock("advantage"):
        batch = with_advantages(scored, passes, trainer.config)  # by token, reasoning-aware
    with clock("update"):
        metrics = trainer.updater.update(batch, step)
    with clock("sync"):
        trainer.worker.update_weights(step)  # the rollout engine's
    trainer.step = step
    return step_record(step, batch, metrics, trainer.worker.queue.counts(), clock.seconds()), batch


def _write(trainer: Trainer, what: str) -> None:
    """Write the report so far, or the final model's card; what cannot be written ends no run."""
    if not trainer.ranks.main or (what == "report" and not trainer.config.train.report):
        return
    path, tokenizer = trainer.run.path, trainer.policy.tokenizer
    write: dict[str, Callable[[], object]] = {
        "report": lambda: write_report(path, tokenizer=tokenizer),
        "model card": lambda: write_card(path),
    }
    try:
        write[what]()
    except Exception as error:  # the model is saved
        tell(f"no {what}: {error}")


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
    run_command(lambda: train(*CHOSEN))
