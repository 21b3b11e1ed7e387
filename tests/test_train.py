"""The loop end to end, as its users run it: `python -m rerec_engine.train` on a small world."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from huggingface_hub import ModelCard
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save
from transformers import AutoModelForCausalLM

from rerec_engine.config import Config
from rerec_engine.errors import UserError
from rerec_engine.runs.settings import DEMO, changed, load_settings, read_yaml
from rerec_engine.train import train

SMALL = {
    "warm-start.epochs": 1,
    "model.hidden-size": 32,
    "model.layers": 2,
    "rollout.max-new-tokens": 40,
    "rollout.responses-per-query": 4,
    "optim.learning-rate": 1e-3,
    "train.steps": 6,
    "train.queries-per-step": 8,
    "train.queries-per-update": 4,
    "train.checkpoint-every": 2,
    "train.eval-every": 3,
    "train.save-rollouts-every": 2,
    "threads": 1,
    "device": "cpu",
}
TIMES = ("seconds_", "tokens_per_second", "peak_memory_mb")


def command(data: Path | None, output: Path | None, **settings: object) -> list[str]:
    words = [sys.executable, "-m", "rerec_engine.train"]
    chosen = {**SMALL, **settings}
    if data is not None:
        chosen = {**published_settings(), **chosen, "data.path": data}
    if output is not None:
        chosen["output-dir"] = output
    return words + [w for name, value in chosen.items() for w in (f"--{name}", str(value))]


def published_settings() -> dict[str, object]:
    """Those in place of which the demo's stand where a model is made on the spot."""
    return {name.replace("_", "-"): value for name, value in changed(Config(), read_yaml(DEMO)).items()}


def run(words: list[str], code: int = 0) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stderr[-2000:]
    return done.stderr


def metrics(path: Path) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if not k.startswith(TIMES)} for line in lines]


def assert_same_run(a: Path, b: Path) -> None:
    assert metrics(a) == metrics(b)
    assert (a / "eval.jsonl").read_text() == (b / "eval.jsonl").read_text()
    names = sorted(p.name for p in (a / "rollouts").iterdir())
    assert names == sorted(p.name for p in (b / "rollouts").iterdir())
    for name in names:
        assert pq.read_table(a / "rollouts" / name).equals(pq.read_table(b / "rollouts" / name))
    assert (a / "final" / "model.safetensors").read_bytes() == (b / "final" / "model.safetensors").read_bytes()
    last = max(int(p.name[5:]) for p in (a / "checkpoints").iterdir())
    assert_equal(*(trainer_state(p / "checkpoints" / f"step_{last}") for p in (a, b)))


def trainer_state(checkpoint: Path) -> dict[str, object]:
    whole = checkpoint.parents[1] / "parts.pt"
    dcp_to_torch_save(checkpoint / "parts", whole)
    parts = torch.load(whole, weights_only=True)
    assert any(name.endswith("exp_avg") for name in parts["policy"])
    return {**torch.load(checkpoint / "trainer.pt", weights_only=True), **parts}


def assert_equal(a: object, b: object) -> None:
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_equal(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_equal(x, y)
    else:
        assert a == b or (a != a and b != b)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, mini_demo: Path) -> Path:
    path = tmp_path_factory.mktemp("runs") / "unbroken"
    run(command(mini_demo, path))
    return path


WITHOUT_LINUX = """
import os, sys
for name in ("memfd_create", "pidfd_open", "sched_getaffinity", "sched_setaffinity"):
    vars(os).pop(name, None)
def ours():
    frame = sys._getframe(2)
    while frame.f_back and "pathlib" in frame.f_code.co_filename:
        frame = frame.f_back
    return "rerec_engine" in frame.f_code.co_filename.split(os.sep)
def refuse(event, words):
    if event in ("open", "os.listdir", "os.scandir") and str(words[0]).startswith(("/proc", "/sys")) and ours():
        raise FileNotFoundError(2, "No such file or directory", str(words[0]))
    if event == "ctypes.dlsym" and words[1] == "mallopt":
        raise AttributeError(words[1])
sys.addaudithook(refuse)
"""


@pytest.mark.slow
def test_a_system_without_what_linux_alone_has_gives_the_same_run(unbroken, mini_demo, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_LINUX)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    words = command(mini_demo, tmp_path / "run")
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0, done.stderr[-2000:]
    assert_same_run(tmp_path / "run", unbroken)


@pytest.mark.slow
def test_run_directory(unbroken):
    lines = metrics(unbroken)
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    asked = "reward accuracy kl entropy clip_fraction response_length reward_ndcg reward_qas reward_pas reward_format"
    assert set(asked.split()) <= lines[0].keys()
    assert all(line["logprob_mismatch_max"] < 1e-4 for line in lines)
    evaluations = [json.loads(line) for line in (unbroken / "eval.jsonl").read_text().splitlines()]
    assert [(e["moment"], e["split"], e["step"]) for e in evaluations] == [
        ("before", "test", 0),
        ("during", "val", 3),
        ("after", "test", 6),
    ]
    assert sorted(p.name for p in (unbroken / "checkpoints").iterdir()) == ["step_4", "step_6"]
    table = pq.read_table(unbroken / "rollouts" / "step_2.parquet")
    assert table.num_rows == 32
    for row in table.to_pylist():
        assert len(row["token_ids"]) == len(row["token_advantages"]) == len(row["token_rewards"])
    AutoModelForCausalLM.from_pretrained(unbroken / "final")
    card = ModelCard.load(unbroken / "final" / "README.md")
    assert card.data.eval_results[0].metric_value == evaluations[-1]["accuracy"]


@pytest.mark.slow
def test_killed_and_resumed_equals_unbroken(unbroken, mini_demo, tmp_path):
    path = tmp_path / "killed"
    process = subprocess.Popen(command(mini_demo, path), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    file = path / "metrics.jsonl"
    while time.monotonic() < deadline and process.poll() is None:
        if file.exists() and len(file.read_text().splitlines()) >= 3:
            break
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (path / "final").exists()
    with file.open("a") as torn:
        torn.write('{"step": 9, "epo')  # what a kill in mid-write leaves
    run([sys.executable, "-m", "rerec_engine.train", "--resume", str(path)])
    assert_same_run(path, unbroken)


@pytest.mark.slow
def test_an_ended_run_that_is_resumed_is_as_it_was(unbroken, tmp_path):
    """Killed after its last evaluation, a run looks as one that has ended."""
    path = tmp_path / "ended"
    shutil.copytree(unbroken, path)
    run([sys.executable, "-m", "rerec_engine.train", "--resume", str(path)])
    assert_same_run(path, unbroken)


@pytest.mark.slow
def test_truncated_checkpoint_is_refused_and_the_one_before_used(unbroken, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(unbroken, path)
    shutil.rmtree(path / "final")
    model = path / "checkpoints" / "step_6" / "model.safetensors"
    os.truncate(model, 1000)
    told = run([sys.executable, "-m", "rerec_engine.train", "--resume", str(path)])
    assert "model.safetensors: has 1000 of" in told
    assert "resuming" in told
    assert "after step 4" in told
    assert_same_run(path, unbroken)


@pytest.mark.slow
def test_sigterm_ends_at_a_step_with_a_checkpoint(unbroken, mini_demo, tmp_path):
    path = tmp_path / "stopped"
    words = command(mini_demo, path, **{"train.checkpoint-every": 0})
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    file = path / "metrics.jsonl"
    while process.poll() is None and not (file.exists() and file.read_text().count("\n") >= 1):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM, told[-1000:]
    assert "continue with --resume" in told
    run([sys.executable, "-m", "rerec_engine.train", "--resume", str(path)])
    assert metrics(path) == metrics(unbroken)


@pytest.mark.slow
def test_resumed_equals_unbroken_with_responses_generated_ahead(mini_demo, tmp_path):
    settings = {"rollout.overlap": "true", "loss.importance-cap": 2, "train.steps": 4, "warm-start.epochs": 0}
    settings["data.order"] = "fresh"  # each query's candidates are drawn again, as they were
    for name in ("unbroken", "resumed"):
        train(*load_settings(command(mini_demo, tmp_path / name, **settings)[3:]))
    assert [line["staleness"] for line in metrics(tmp_path / "unbroken")] == [0, 1, 1, 1]
    shutil.rmtree(tmp_path / "resumed" / "checkpoints" / "step_4")
    shutil.rmtree(tmp_path / "resumed" / "final")
    train(*load_settings(["--resume", str(tmp_path / "resumed")]))
    assert_same_run(tmp_path / "resumed", tmp_path / "unbroken")


@pytest.mark.slow
def test_a_checkpoint_that_the_disk_refuses_ends_the_run_and_the_one_before_is_good(unbroken, tmp_path):
    """A limit on the size of a file stands in for the disk: the model of step 8 does not fit."""
    path = tmp_path / "full"
    shutil.copytree(unbroken, path)
    size = (path / "checkpoints" / "step_6" / "model.safetensors").stat().st_size
    limited = f"import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({size // 2}, {size // 2})); "
    limited += "runpy.run_module('rerec_engine.train', run_name='__main__')"
    go_on = ["--resume", str(path), "--train.steps", "8"]
    told = run([sys.executable, "-c", limited, *go_on], code=2)
    assert "step_8: cannot write the checkpoint" in told.splitlines()[-1]
    assert "the ones before it are untouched" in told
    assert sorted(p.name for p in (path / "checkpoints").iterdir()) == ["step_4", "step_6"]
    run([sys.executable, "-m", "rerec_engine.train", *go_on])
    assert [line["step"] for line in metrics(path)] == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.slow
def test_stopped_in_the_warm_start_it_is_kept_and_continued(unbroken, mini_demo, tmp_path):
    path = tmp_path / "stopped"
    process = subprocess.Popen(command(mini_demo, path), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    told = ""
    while "warm start" not in told and process.poll() is None:
        told += process.stderr.readline()
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=120)[1]
    assert process.returncode == 130, told + rest
    assert rest.splitlines()[-1].endswith(f"continue with --resume {path}")
    assert (path / "warm_start.pt").is_file()
    with pytest.raises(UserError, match="not empty"):  # it would be lost
        train(*load_settings(command(mini_demo, path)[3:]))
    run([sys.executable, "-m", "rerec_engine.train", "--resume", str(path)])
    assert metrics(path) == metrics(unbroken)
    assert not (path / "warm_start.pt").exists()


@pytest.mark.slow
def test_what_was_mistyped_leaves_no_directory_and_an_untouched_one_serves_again(mini_demo, tmp_path):
    path = tmp_path / "run"
    short = {"train.steps": 1, "warm-start.epochs": 0}
    for wrong in ({"data.path": tmp_path / "nowhere"}, {"data.path": mini_demo, "model.path": "./nowhere"}):
        with pytest.raises(UserError, match="nowhere"):
            train(*load_settings(command(None, path, **short, **wrong)[3:]))
        assert not path.exists()
    with pytest.raises(UserError, match="max_prompt_tokens"):  # found out once the directory is there
        train(*load_settings(command(mini_demo, path, **short, **{"data.max-prompt-tokens": 3})[3:]))
    assert path.exists()
    train(*load_settings(command(mini_demo, path, **short)[3:]))
    assert len(metrics(path)) == 1


@pytest.mark.slow
def test_it_goes_on_from_another_place_with_its_own_data_and_no_other(mini_demo, tmp_path, monkeypatch):
    shutil.copytree(mini_demo, tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    train(*load_settings(command(Path("data"), Path("run"), **{"train.steps": 1, "warm-start.epochs": 0})[3:]))
    monkeypatch.chdir("/")
    run = tmp_path / "run"
    train(*load_settings(["--resume", str(run), "--train.steps", "2"]))
    assert len(metrics(run)) == 2
    assert read_yaml(run / "config.yaml").train.steps == 2
    (tmp_path / "data").rename(tmp_path / "moved")
    train(*load_settings(["--resume", str(run), "--train.steps", "3", "--data", str(tmp_path / "moved")]))
    assert len(metrics(run)) == 3
    shutil.copy(mini_demo / "val.parquet", tmp_path / "moved" / "train.parquet")
    with pytest.raises(UserError, match=r"its dataset .* is another than when it began \(train.parquet differs"):
        train(*load_settings(["--resume", str(run), "--train.steps", "4"]))
    assert len(metrics(run)) == 3


def test_start_and_end_tell_what_one_needs(mini_demo, tmp_path, capsys):
    path = tmp_path / "run"
    train(*load_settings(command(mini_demo, path, **{"train.steps": 1, "warm-start.epochs": 0})[3:]))
    told = capsys.readouterr().err
    assert f"1 steps of 8 queries, written to {path}" in told
    for words in (f"recommend --model {path} --data {mini_demo}", f"report {path}", f"train --resume {path}"):
        assert f"-m rerec_engine.{words}" in told
    assert max(map(len, told[: told.index("next:")].splitlines())) <= 200


SWITCHES = [
    {"advantage.estimator": "grpo", "reward.qas": 0, "curriculum.enabled": "false"},
    {"advantage.estimator": "dr_grpo", "loss.aggregation": "dr_grpo", "loss.beta": 0},
    {"advantage.estimator": "rloo", "loss.kl": "k2", "loss.entropy": 0.01},
    {"advantage.estimator": "reinforce_pp", "loss.clip-high": 0.28},
    {"advantage.estimator": "gae", "loss.kl_in": "reward"},
    {"rollout.dynamic-sampling": "true", "rollout.overlap": "true", "loss.ratio": "sequence"},
    {"advantage.outcome-gate": "true", "loss.aggregation": "sequence_mean"},
    {"rollout.dynamic-sampling": "true", "model.dtype": "bf16"},
    {"model.gradient-checkpointing": "true", "train.tokens-per-micro-batch": 300},
]


@pytest.mark.parametrize("settings", SWITCHES, ids=lambda s: "+".join(f"{k.split('.')[-1]}={v}" for k, v in s.items()))
def test_every_estimator_and_option_trains(mini_demo, tmp_path, settings):
    words = command(mini_demo, tmp_path / "run", **{"train.steps": 2, "warm-start.epochs": 0, **settings})
    train(*load_settings(words[3:]))
    lines = metrics(tmp_path / "run")
    assert len(lines) == 2
    assert all(v is None or np.isfinite(v) for line in lines for v in line.values())


@pytest.mark.slow
def test_mistakes_are_one_line(mini_demo, tmp_path):
    full = tmp_path / "full"
    full.mkdir()
    (full / "notes.txt").write_text("mine")
    cases = [
        ({"data.path": tmp_path / "nowhere"}, "nowhere"),
        ({"data.path": mini_demo, "model.path": "./no-such-model"}, "no-such-model"),
        ({"data.path": mini_demo, "output-dir": full}, "not empty"),
        ({"data.path": mini_demo, "rewards.qas": 1}, "rewards.qas"),
        ({"data.path": mini_demo, "data.max-prompt-tokens": 3}, "max_prompt_tokens"),
        ({"data.path": mini_demo, "loss.kl-in": "reward"}, "advantage.estimator"),
    ]
    for number, (settings, message) in enumerate(cases):
        output = {} if "output-dir" in settings else {"output-dir": tmp_path / f"out{number}"}
        with pytest.raises(UserError, match=message) as caught:
            train(*load_settings(command(None, None, **output, **settings)[3:]))
        assert "\n" not in str(caught.value)
    told = run(command(None, None, **cases[0][0]), code=2)
    *waits, mistake = told.splitlines()
    assert all(line.endswith(" ...") for line in waits)  # on a slow machine what is waited for is told before
    assert mistake.startswith("error: ")
    assert (full / "notes.txt").read_text() == "mine"
