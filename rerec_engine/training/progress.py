"""What a run tells while it goes: where it writes, a bar over its steps, what came out, and what to type next."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from rerec_engine.cli import progress_bar
from rerec_engine.config import Config
from rerec_engine.metrics.report import with_interval
from rerec_engine.rollout.sampler import Sampler
from rerec_engine.runs.records import read_records
from rerec_engine.runs.run_directory import RunDir
from rerec_engine.training.trainer import Trainer

PATIENCE = 2.0
"""Seconds of a step after which its stages are shown."""


def tell(text: str) -> None:
    """A line about the run, on stderr."""
    print(text, file=sys.stderr)


def tell_start(config: Config, run: RunDir, step: int | None) -> None:
    """Where the run writes, and what it is about to do. step: the last one done, where it is resumed after one."""
    if step is not None:
        tell(f"resuming {run.path} after step {step} of {config.train.steps}")
    else:
        tell(f"{config.train.steps} steps of {config.train.queries_per_step} queries, written to {run.path}")


def tell_end(trainer: Trainer, seconds: float) -> None:
    """What came out, where it lies, and the commands that go on from here."""
    if not trainer.ranks.main:
        return
    path, data = trainer.run.path, trainer.dataset.path
    python = _python()
    lines = [f"\n{trainer.step} steps done, {_duration(seconds)} here", *_accuracies(path / "eval.jsonl")]
    places = {"model": path / "final", "report": path / "report.html", "settings": path / "config.yaml"}
    lines += [f"{name:<10}{place}" for name, place in places.items() if place.exists()]
    commands = {
        "talk to it": f"recommend --model {path} --data {data}",
        "evaluate": f"evaluate --model {path} --data {data}",
        "report": f"report {path}",
        "train on": f"train --resume {path} --train.steps {2 * trainer.config.train.steps or 10}",
    }
    lines += ["next:", *(f"  {name:<12}{python} -m rerec_engine.{words}" for name, words in commands.items())]
    tell("\n".join(lines))


def _accuracies(path: Path) -> list[str]:
    """The accuracy of every split before and after, as read from eval.jsonl."""
    found: dict[str, dict[str, str]] = {}
    for line in read_records(path):
        if line["moment"] != "during":
            shown = with_interval(line["accuracy"], line["accuracy_low"], line["accuracy_high"])
            found.setdefault(line["split"], {})[line["moment"]] = shown
    return [
        f"{'accuracy':<10}{split}: {told['before']} before, {told['after']} after (chance and kinds: the report)"
        for split, told in found.items()
        if {"before", "after"} <= set(told)
    ]


def _python() -> str:
    """How this interpreter is called from here."""
    if "VIRTUAL_ENV" in os.environ:
        return "python"
    near = os.path.relpath(sys.executable)
    return sys.executable if near.startswith("..") else near


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


class Progress:
    """A bar over the run's steps: accuracy, KL, tokens/s, time left; within a step that takes long, what goes on."""

    def __init__(self, trainer: Trainer) -> None:
        config, engine = trainer.config, trainer.worker.engine
        steps = config.train.steps
        queries = min(config.train.queries_per_step, len(trainer.worker.queries))
        self.responses = queries * config.rollout.responses_per_query
        self.engine = engine if type(engine) is Sampler and trainer.ranks.main else None
        self.accuracy, self.began = "", time.monotonic()
        self.bar = progress_bar(steps, "reinforce", "step", initial=trainer.step, shown=trainer.ranks.main, leave=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: TracebackType | BaseException | None) -> None:
        self.bar.close()

    def stage(self, name: str) -> None:
        """A stage of a step begins: rollout, reward, ..., or the writing of a checkpoint."""
        if self.engine is not None:
            self.engine.watch = self._answered if name == "rollout" else None
        self._now(name)

    def _answered(self, finished: int, tokens: int) -> None:
        self._now(f"{finished}/{self.responses} answers" if tokens else "reading prompts")

    def _now(self, what: str) -> None:
        """Of a step that takes seconds; the demo's would flicker."""
        if time.monotonic() - self.began > PATIENCE:
            self.bar.set_postfix_str(f"{what}{self.accuracy}", refresh=False)
            self.bar.update(0)

    def show(self, metrics: Mapping[str, Any]) -> None:
        """One step further, with its figures, short enough for 80 columns."""
        kl = f"KL {metrics['kl']:.0e}, " if metrics["kl"] is not None else ""
        speed = f"{metrics['tokens_per_second']:.0f} tok/s"
        self.bar.set_postfix_str(f"accuracy {metrics['accuracy']:.2f}, {kl}{speed}", refresh=False)
        self.bar.update()
        self.accuracy, self.began = f", accuracy {metrics['accuracy']:.2f}", time.monotonic()
