"""What a run tells while it goes: the bar, the metrics of a step, evaluations; and how it is asked to stop."""

from __future__ import annotations

import resource
import signal
import sys
from types import FrameType, TracebackType
from typing import Any

import numpy as np
from tqdm import tqdm

from rerec_engine.model.ranks import Ranks
from rerec_engine.training.batches import informative
from rerec_engine.training.setup import Trainer
from rerec_engine.types import Batch


class Interrupt:
    """Ctrl-C or SIGTERM ends the run after the step under way, with a checkpoint; a second one ends it at once."""

    exit_code = 130

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks
        self.asked = False

    def asked_anywhere(self) -> bool:
        """Whether any rank was asked to stop; all ranks call it after the same step."""
        asked = [code for code in self.ranks.gather(self.exit_code if self.asked else 0) if code]
        self.exit_code = max(asked, default=self.exit_code)
        return bool(asked)

    def __enter__(self) -> Interrupt:
        self.before = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked, self.exit_code = True, 128 + number
        if self.ranks.main:
            print("\nstopping after this step, with a checkpoint; once more to stop at once", file=sys.stderr)


class Progress:
    """A bar over the run's steps: reward, accuracy, KL, tokens/s, time left."""

    def __init__(self, trainer: Trainer) -> None:
        interval = 0.5 if sys.stderr.isatty() else 15.0
        self.bar = tqdm(
            total=trainer.config.train.steps,
            initial=trainer.step,
            desc="reinforce",
            unit="step",
            mininterval=interval,
            disable=not trainer.ranks.main,
        )

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: TracebackType | BaseException | None) -> None:
        self.bar.close()

    def show(self, metrics: dict[str, Any]) -> None:
        self.bar.set_postfix_str(
            f"reward {metrics['reward']:.3f}, accuracy {metrics['accuracy']:.2f}, "
            + (f"KL {metrics['kl']:.1e}, " if metrics["kl"] is not None else "")
            + f"{metrics['tokens_per_second']:.0f} tok/s",
            refresh=False,
        )
        self.bar.update()


def step_record(
    trainer: Trainer, batch: Batch, metrics: dict[str, float], seconds: dict[str, float]
) -> dict[str, object]:
    """The line of metrics.jsonl. Seconds, tokens, MB; kl in nats, against the reference."""
    scores = {name: float(values.mean()) for name, values in batch.scores.items()}
    counts = trainer.worker.queue.counts()
    return {
        "step": trainer.step,
        "epoch": counts["epoch"],
        "reward": scores["reward"],
        "accuracy": scores["hit"],
        **{f"reward_{name}": scores[name] for name in ("ndcg", "format", "qas", "pas")},
        "kl": None,  # without a reference there is none
        "clip_fraction": 0.0,
        "approx_kl": 0.0,
        **metrics,
        "response_length": float(batch.lengths.mean()),
        "truncated": float(np.mean([finish == "length" for finish in batch.finish])),
        "staleness": float(trainer.step - 1 - batch.weight_version.mean()),  # steps between sampling and training
        "zero_variance_groups": float(1 - informative(batch).mean()),
        "tokens_per_second": float(batch.lengths.sum()) / seconds["total"],
        **{f"seconds_{stage}": value for stage, value in seconds.items()},
        **{f"curriculum_{name}": value for name, value in counts.items()},
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
