"""What a run tells at its end."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from rerec_engine.config import Config
from rerec_engine.model.ranks import Ranks
from rerec_engine.rollout.sampler import Sampler
from rerec_engine.runs.run_directory import RunDir
from rerec_engine.training import progress as module
from rerec_engine.training.progress import Progress, _duration, tell_end, tell_start


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (61, "1 min 1 s"), (3599, "59 min 59 s"), (7260, "2 h 1 min")],
)
def test_duration(seconds, expected):
    assert _duration(seconds) == expected


def trainer_of(path, rank=0):
    (path / "final").mkdir()
    figures = {"accuracy_low": 0.25, "accuracy_high": 0.75}
    lines = [
        {"step": 0, "split": "test", "moment": "before", "accuracy": 0.5, **figures},
        {"step": 3, "split": "val", "moment": "during", "accuracy": 0.5, **figures},
        {"step": 9, "split": "test", "moment": "after", "accuracy": 0.625, **figures},
    ]
    (path / "eval.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    data = SimpleNamespace(path=path / "data")
    return SimpleNamespace(ranks=Ranks(rank, 2), config=Config(), run=RunDir(path), dataset=data, step=9)


def test_the_end_tells_accuracies_places_and_commands(tmp_path, capsys):
    tell_end(trainer_of(tmp_path), 75)
    told = capsys.readouterr().err
    assert "9 steps done, 1 min 15 s here" in told
    assert "test: 0.500 [0.250, 0.750] before, 0.625 [0.250, 0.750] after" in told
    assert "val" not in told.split("next:")[0].replace("eval", "")
    assert f"model     {tmp_path}/final" in told
    assert "report.html" not in told  # there is none
    for command in ("recommend --model", "evaluate --model", "report ", "train --resume"):
        assert f"-m rerec_engine.{command}" in told


def test_other_ranks_are_silent(tmp_path, capsys):
    tell_end(trainer_of(tmp_path, rank=1), 75)
    assert capsys.readouterr().err == ""


def test_the_start_tells_where_it_writes(tmp_path, capsys):
    tell_start(Config(), RunDir(tmp_path), None)
    tell_start(Config(), RunDir(tmp_path), 40)
    new, resumed = capsys.readouterr().err.splitlines()
    assert new == f"100 steps of 512 queries, written to {tmp_path}"
    assert resumed == f"resuming {tmp_path} after step 40 of 100"


def running(step=0):
    engine = Sampler.__new__(Sampler)
    worker = SimpleNamespace(engine=engine, queries=[0] * 3)
    return SimpleNamespace(config=Config(), ranks=Ranks(), worker=worker, step=step), engine


def test_a_long_step_shows_what_goes_on(monkeypatch, capsys):
    now = iter([0.0, 1.0, *[9.0] * 9])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(now))
    trainer, engine = running()
    with Progress(trainer) as progress:
        progress.bar.mininterval = 0.0
        progress.stage("rollout")  # after a second: nothing yet
        assert "rollout" not in capsys.readouterr().err
        engine.watch(0, 0)
        engine.watch(4, 31)
        progress.stage("update")
        assert engine.watch is None
        progress.show({"kl": None, "tokens_per_second": 7.0, "accuracy": 0.25})
        progress.stage("rollout")  # the next step has just begun
    told = capsys.readouterr().err
    assert [told.index(word) for word in ("reading prompts", "4/15 answers", "update", "accuracy 0.25, 7 tok/s")]
    assert "rollout" not in told


def test_another_engine_is_not_watched():
    trainer, _ = running()
    trainer.worker.engine = SimpleNamespace()
    with Progress(trainer) as progress:
        progress.stage("rollout")
    assert not hasattr(trainer.worker.engine, "watch")
