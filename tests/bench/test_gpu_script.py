"""`bench/gpu.py` as far as a CPU goes: exit code without CUDA, a smoke run, tables, a form that runs out of memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.gpu import fails
from bench.on_gpu.clock import Clock
from bench.on_gpu.ops import Task, measure_task
from bench.on_gpu.report import markdown, write
from bench.ops.peers.case import Case, Result, Truth, Unavailable, make_case
from bench.ops.peers.forms import FORMS

SCRIPT = Path(__file__).resolve().parents[2] / "bench" / "gpu.py"
# One thread, and torch.compile runs what it is given as it is: compiling every form takes a minute.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "TORCHDYNAMO_DISABLE": "1", "CUDA_VISIBLE_DEVICES": ""}


def command(*words: str) -> subprocess.CompletedProcess[str]:
    run = [sys.executable, str(SCRIPT), *words]
    return subprocess.run(run, capture_output=True, text=True, env=ENVIRONMENT, timeout=300)


def test_without_cuda_it_says_so_and_exits_with_2() -> None:
    done = command()
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "no CUDA device" in done.stderr


@pytest.mark.slow
def test_smoke_run_checks_every_op_and_writes_both_files(tmp_path: Path) -> None:
    done = command("--smoke", "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (data,), (text,) = tmp_path.glob("smoke-*.json"), tmp_path.glob("smoke-*.md")
    record = json.loads(data.read_text())
    assert record["smoke"]
    assert "stopped" not in record
    assert all(check["ok"] for check in record["checks"])
    checked = {check["check"].split(",")[0] for check in record["checks"]} | {r["task"] for r in record["ops"]}
    assert {"token_logprob", "linear_grpo_loss", "grpo_loss", "segment_advantage"} <= checked
    ours = [r for r in record["ops"] if r["form"].startswith("ours")]
    assert {r["status"] for r in ours} == {"ok"}
    assert all(r["errors"] and r["ms"] > 0 for r in ours)
    assert [r["status"] for r in record["step"]] == ["ok"] * 3
    assert "Smoke run" in text.read_text()


@pytest.fixture(scope="module")
def case() -> Case:
    return make_case(tokens=16, width=8, vocabulary=50, sequences=4)


@pytest.fixture
def clock() -> Clock:
    return Clock(torch.device("cpu"), seconds=0.001)


def hungry(case: Case) -> Callable[[], Result]:
    def run() -> Result:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 39.80 GiB\nand more")

    return run


def crooked(case: Case) -> Callable[[], Result]:
    return lambda: {"logp": torch.zeros(case.tokens)}


def broken(case: Case) -> Callable[[], Result]:
    raise RuntimeError("no kernel")


def missing(case: Case) -> Callable[[], Result]:
    raise Unavailable("not installed")


@pytest.fixture
def rows(case: Case, clock: Clock) -> dict[str, dict[str, Any]]:
    forms = {"ours": FORMS["logprob"]["ours"], "A": hungry, "B": crooked, "C": broken, "D": missing}
    found = measure_task(clock, case, Truth.of(case), Task("forward", "logprob", forms, 1))
    return {row["form"]: {"model": "M", "tokens": 16, **row} for row in found}


def test_what_stops_a_form_is_its_status_and_the_others_go_on(rows: dict[str, dict[str, Any]]) -> None:
    assert {name: row["status"] for name, row in rows.items()} == {
        "ours": "ok",
        "A": "OOM",
        "B": "wrong",
        "C": "error",
        "D": "absent",
    }
    assert rows["ours"]["times_ours"] == 1
    assert all("ms" not in row for name, row in rows.items() if name != "ours")
    assert rows["A"]["reason"] == "OutOfMemoryError: CUDA out of memory. Tried to allocate 39.80 GiB"
    assert "logp" in rows["B"]["reason"]


def make_record(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    environment = {"device": "NVIDIA Some|Card 80GB", "versions": {"torch": "2", "trl": None}, "date": "2026-01-02"}
    limits = {"before": {"gemm_tflops": 2e-3, "gemm_size": 8, "copy_gb_s": 1.0}}
    checks = [{"check": "op", "dtype": "bf16", "tokens": 7, "ok": False, "reason": "ValueError: no"}]
    record = {"smoke": False, "dtype": "bf16", "environment": environment, "limits": limits, "checks": checks}
    return {**record, "ops": list(rows.values()), "step": []}


def test_tables(rows: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    rows["ours"] |= {"ms": 2.0, "tflops": 1e-3, "peak_mb": 12.4, "errors": {"logp": 1e-6}}
    record = make_record(rows)
    text = markdown(record)
    assert "| ours | 2.000 | 0.0 | 50 % | 12 | 1.00 | logp 1.0e-06 |" in text
    assert "| A | OOM |  |  |  |  | OutOfMemoryError: CUDA out of memory. Tried to allocate 39.80 GiB |" in text
    assert "| D | not installed |" in text
    assert "0 of 1 hold" in text
    assert "trl absent" in text
    assert [path.name for path in write(record, tmp_path)] == [
        "gpu-nvidia-some-card-80gb-2026-01-02.json",
        "gpu-nvidia-some-card-80gb-2026-01-02.md",
    ]


def test_a_run_that_stopped_early_still_has_a_table() -> None:
    record = make_record({}) | {"limits": {}, "checks": [], "stopped": "RuntimeError: gone"}
    assert "stopped early: RuntimeError: gone" in markdown(record)


def test_only_ours_fails_the_run(rows: dict[str, dict[str, Any]]) -> None:
    assert fails(make_record(rows)) == ["op, bf16, 7 tokens"]
    rows["ours"]["status"] = "wrong"
    assert fails(make_record(rows) | {"checks": []}) == ["forward, ours"]
    rows["ours"]["status"] = "OOM"
    assert fails(make_record(rows) | {"checks": []}) == []
