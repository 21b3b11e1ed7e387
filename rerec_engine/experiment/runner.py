"""Runs a suite: the dataset and warm starts once, then every arm with every seed, each `train` in a process of its own.

    OUTPUT/starts/KEY/       what suites with the same data and warm start share:
        data/                the dataset, where the suite makes one
        answers.parquet      its train queries with their right answers, as traces
        seed_N/              the warm start of a seed, a run directory
    OUTPUT/NAME/data/        the suite's further datasets, with their answers
    OUTPUT/NAME/ARM/seed_N/  a run directory
    OUTPUT/NAME/logs/        what the runs printed

What is finished is left alone, what was cut off is resumed, so that the same command goes on. usage.json in a run
directory holds the processor time that training took, all its processes together.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from rerec_engine.cli import progress_bar
from rerec_engine.config import Config
from rerec_engine.data.dataset import load_dataset
from rerec_engine.data.traces import Trace, write_traces
from rerec_engine.errors import RunError, UserError, file_error
from rerec_engine.experiment.suite import Suite
from rerec_engine.files import replacing_directory, write_json
from rerec_engine.runs.records import read_records
from rerec_engine.runs.settings import as_words, changed, flatten, read_yaml, replaced, taken_by_default
from rerec_engine.worlds.doors import write_made

Places = Mapping[str, Path]
OPEN = {"data": Path("DATA"), "answers": Path("ANSWERS"), "starts": Path("STARTS")}


def open_places(suite: Suite) -> Places:
    """What stands for the suite's places in commands that are told."""
    names = [*suite.datasets, *(f"{name}_answers" for name in suite.datasets)]
    return {**OPEN, **{name: Path(name.upper().replace(" ", "_")) for name in names}}


OWN = {"output_dir", "threads", "model.revision"}
"""Settings in which a run's saved settings may differ from the suite's."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One training run."""

    arm: str
    seed: int
    path: Path
    config: Config
    measures: tuple[str, ...] = ()
    """Arguments of `rerec_engine.experiment.measure`, where the final model is measured."""

    @property
    def name(self) -> str:
        return f"{self.arm}, seed {self.seed}"


def run_suite(suite: Suite, output: Path, jobs: int, arms: Sequence[str], seeds: Sequence[int]) -> None:
    """Run what is not there yet. Raises RunError at the end where runs failed, naming each and its log."""
    places = prepare(suite, output)
    settings = start_settings(suite, places)
    starts = [start_run(settings, places, seed) for seed in seeds]
    wanted = arm_runs(suite, output, places, arms, seeds)
    for run in [*starts, *wanted]:
        check_settings(run)
    _all(starts, output / suite.name / "logs", jobs, "warm starts")
    _all(wanted, output / suite.name / "logs", jobs, "runs")


def prepare(suite: Suite, output: Path) -> Places:
    """The datasets, and their train queries with the right answers as traces, made where they are not there yet."""
    starts = output / "starts" / start_key(suite)
    starts.mkdir(parents=True, exist_ok=True)
    data = suite.data if isinstance(suite.data, Path) else starts / "data"
    further = {name: output / suite.name / "data" / name for name in suite.datasets}
    if isinstance(suite.data, dict):
        _make_data(suite, data, suite.data)
        for name, options in suite.datasets.items():
            _make_data(suite, further[name], {**suite.data, **options})
    answers = {"answers": starts / "answers.parquet"}
    answers |= {f"{name}_answers": path.with_name(f"{path.name}_answers.parquet") for name, path in further.items()}
    for path, file in zip([data, *further.values()], answers.values(), strict=True):
        _make_answers(path, file)
    return {"data": data, "starts": starts, **further, **answers}


def _make_answers(data: Path, file: Path) -> None:
    """The right answers to a dataset's train queries, as traces without reasoning."""
    if file.exists():
        return
    dataset = load_dataset(data)
    queries = dataset.queries("train")
    answers = [f"\n\\boxed{{ {dataset.titles[query.ground_truth[0]]}}}" for query in queries]
    traces = [Trace("answers", list(q.messages), answer) for q, answer in zip(queries, answers, strict=True)]
    write_traces(file, traces)


def _make_data(suite: Suite, path: Path, options: dict[str, Any]) -> None:
    if path.exists():
        return
    try:
        with replacing_directory(path) as temporary:
            write_made(temporary, options)
    except UserError as error:
        raise UserError(f"suite {suite.name}, data: {error}") from None


def start_settings(suite: Suite, places: Places) -> dict[str, Any]:
    """Those that a warm start depends on, at the suite's values."""
    config = flatten(suite.config(suite.against, places))
    wanted = ("rollout.max_new_tokens", "data.", "model.", "warm_start.", "device")
    return {name: value for name, value in config.items() if name.startswith(wanted) and name != "data.order"}


def start_key(suite: Suite) -> str:
    """Of the directory that suites with this data and these settings of the warm start share."""
    data = str(suite.data.resolve()) if isinstance(suite.data, Path) else suite.data
    told = json.dumps([data, start_settings(suite, open_places(suite))], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:8]


def start_run(settings: Mapping[str, Any], places: Places, seed: int) -> Run:
    """The run that makes a seed's warm start and takes no step."""
    own = {**settings, "data.path": str(places["data"]), "train.steps": 0, "seed": seed}
    return Run("warm start", seed, places["starts"] / f"seed_{seed}", replaced(Config(), own))


def arm_runs(suite: Suite, output: Path, places: Places, arms: Sequence[str], seeds: Sequence[int]) -> list[Run]:
    """Every arm's run with every seed, seed by seed, from the seed's warm start where the arm makes none of its own."""
    configs = {arm: suite.config(arm, places) for arm in arms}
    runs = [_arm_run(suite, output, places, arm, configs[arm], seed) for seed in seeds for arm in arms]
    return [dataclasses.replace(run, measures=_measures(suite, places, run)) for run in runs]


def _measures(suite: Suite, places: Places, run: Run) -> tuple[str, ...]:
    tests = ["--tests", *(f"{name}={places[name]}" for name in suite.tests)] if suite.tests else []
    if suite.permutations > 1:
        tests += ["--permutations", str(suite.permutations)]
    if suite.rank_by:
        tests += ["--rank-by", suite.rank_by]
    if tests and suite.limit:
        tests += ["--limit", str(suite.limit)]
    world = ["--world", json.dumps(suite.data)] if suite.retention else []
    limit = ["--max-new-tokens", str(run.config.rollout.max_new_tokens)]
    return (*tests, *world, *limit) if tests or world else ()


def _arm_run(suite: Suite, output: Path, places: Places, arm: str, config: Config, seed: int) -> Run:
    settings = {
        "data.path": config.data.path or str(places["data"]),
        "model.path": str(places["starts"] / f"seed_{seed}" / "final"),
        "seed": seed,
    }
    if "warm_start.epochs" not in suite.arms[arm]:
        settings["warm_start.epochs"] = 0
    path = output / suite.name / arm.replace(" ", "_").replace("/", "_") / f"seed_{seed}"
    return Run(arm, seed, path, replaced(config, settings))


def check_settings(run: Run) -> None:
    """A run that is there must be of these settings. Raises UserError for one that is not."""
    saved = run.path / "config.yaml"
    if not saved.is_file():
        return
    there, wanted = flatten(read_yaml(saved)), flatten(run.config)
    for name, value in wanted.items():
        if name == "model.dtype" and value == "auto":
            continue  # resolved when the run began
        if name not in OWN and there[name] != value:
            raise file_error(saved, f"{name} is {there[name]}, but the suite has {value}; choose another output")


def trained(run: Run) -> bool:
    return bool(last := evaluations(run.path)) and last[-1]["moment"] == "after"


def finished(run: Run) -> bool:
    """Trained, and measured."""
    return trained(run) and (not run.measures or (run.path / "measured.json").is_file())


def evaluations(path: Path) -> list[dict[str, Any]]:
    """The evaluations of a run directory, as logged."""
    return read_records(path / "eval.jsonl")


def resumable(run: Run) -> bool:
    return any((run.path / "checkpoints").glob("step_*/manifest.json"))


def command(run: Run) -> list[str]:
    """`train` for a run: continued where it has a checkpoint, else from its beginning."""
    words = [sys.executable, "-m", "rerec_engine.train"]
    if resumable(run):
        return [*words, "--resume", str(run.path), "--threads", "1"]
    config = dataclasses.replace(run.config, output_dir=str(run.path), threads=1)
    return words + as_words(changed(config, taken_by_default(config)))


def command_line(suite: Suite, arm: str) -> str:
    """The command of an arm's run, with the suite's places left open."""
    config = arm_runs(suite, Path("OUTPUT"), open_places(suite), [arm], suite.seeds[:1])[0].config
    return " ".join(["python -m rerec_engine.train", *as_words(changed(config, taken_by_default(config)))])


def cpu_seconds(path: Path) -> float:
    """Processor time of a run directory, NaN where none was taken down."""
    file = path / "usage.json"
    return float(json.loads(file.read_text())["cpu_seconds"]) if file.is_file() else float("nan")


def _execute(run: Run, log: Path) -> int:
    """The exit code of a run, and of what is measured of it."""
    code = 0
    with log.open("w") as file:
        if not trained(run):
            before = cpu_seconds(run.path) if resumable(run) else 0.0
            if not resumable(run):
                shutil.rmtree(run.path, ignore_errors=True)
            code, used = _call(command(run), file)
            if run.path.is_dir():
                write_json(run.path / "usage.json", {"cpu_seconds": round(before + used, 1)}, indent=None)
        if code == 0 and run.measures:
            measure = [sys.executable, "-m", "rerec_engine.experiment.measure"]
            code, _ = _call([*measure, str(run.path), *run.measures], file)
    return code


def _call(words: list[str], log: IO[str]) -> tuple[int, float]:
    """A command's exit code and the seconds of processor time that it took."""
    process = subprocess.Popen(words, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"})
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_utime + usage.ru_stime


def _all(runs: list[Run], logs: Path, jobs: int, what: str) -> None:
    logs.mkdir(parents=True, exist_ok=True)
    left = [run for run in runs if not finished(run)]
    failed: list[str] = []
    with progress_bar(len(runs), what, "run", initial=len(runs) - len(left), leave=True) as bar:

        def execute(run: Run) -> None:
            log = logs / f"{run.path.parent.name}_{run.path.name}.log"
            if code := _execute(run, log):
                failed.append(f"{run.name} (exit code {code}, see {log})")
            bar.update()

        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(execute, left))
    if failed:
        raise RunError(f"{len(failed)} of {len(runs)} {what} failed: {'; '.join(failed)}")
