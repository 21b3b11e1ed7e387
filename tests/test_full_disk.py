"""A disk that is full in the midst of each kind of write: one line that names the file, and what was there is there.

A limit on the size of files stands in for the disk: the operating system refuses, whichever library writes. Each kind
is first written without one; then anew for each of its files with a limit that this file does not fit.
"""

from __future__ import annotations

import http.server
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
import torch

from rerec_engine.cli import tell_mistakes
from rerec_engine.config import Config, ModelConfig
from rerec_engine.data.dataset import write_dataset
from rerec_engine.data.files.fetching import Archive, fetch
from rerec_engine.files import replacing_directory, write_json, write_text
from rerec_engine.metrics.answer_log import AnswerLog
from rerec_engine.report.page import render
from rerec_engine.runs.checkpoint import latest_checkpoint, save_checkpoint, save_model
from rerec_engine.runs.run_directory import RunDir
from rerec_engine.runs.settings import write_yaml
from rerec_engine.training.warm_start import _save_state
from rerec_engine.types import Query

Write = Callable[[Path, Any, int], None]
"""(folder, policy, version): write the version, 0 before the disk is full."""


def checkpoint(folder: Path, policy: Any, version: int) -> None:
    parts = {"optimizer": {"state": torch.arange(3000.0) + version}}
    save_checkpoint(folder, 1 + version, policy, {"numbers": torch.arange(20_000)}, parts, keep=3)


def adapter_checkpoint(folder: Path, policy: Any, version: int) -> None:
    pytest.importorskip("peft", reason="no peft: pip install .[test]")
    if not policy.adapted:
        policy.prepare(ModelConfig(lora_rank=32, packing=False), seed=0)
    checkpoint(folder, policy, version)


def final_model(folder: Path, policy: Any, version: int) -> None:
    changed(policy, version)
    save_model(folder / "final", policy)


def start_model(folder: Path, policy: Any, version: int) -> None:
    changed(policy, version)
    with replacing_directory(folder / "start") as temporary:
        policy.save(temporary)


def changed(policy: Any, version: int) -> None:
    policy.model.get_input_embeddings().weight.data.fill_(version)


def dataset(folder: Path, policy: Any, version: int) -> None:
    count = 20 + 50 * version
    ask = ({"role": "user", "content": "A film?"},)
    write_dataset(
        folder / "data",
        titles=[f"Film {i} (1990)" for i in range(count)],
        years=[1990] * count,
        relations=["genre"] * 3,
        values=["thriller", "drama", "classic"],
        item_attributes=sp.csr_matrix(np.ones((count, 3), np.int8)),
        interactions=sp.csr_matrix(np.eye(count, dtype=np.float32)),
        item_embeddings=np.eye(count, dtype=np.float32),
        splits={"train": [Query(f"q{i}", ask, (i,), (i, (i + 1) % count)) for i in range(count)]},
        data_source="films",
        files={"traces.parquet": bytes(9000)},
    )


def metrics_line(folder: Path, policy: Any, version: int) -> None:
    RunDir(folder).log("metrics.jsonl", {"step": version, "words": "x" * 9000})


def rollouts(folder: Path, policy: Any, version: int) -> None:
    (folder / "rollouts").mkdir(exist_ok=True)
    RunDir(folder).save_rollouts(1, pa.table({"reward": np.random.default_rng(version).random(5000)}))


def warm_start_state(folder: Path, policy: Any, version: int) -> None:
    changed(policy, version)
    _save_state(folder / "warm_start.pt", version, policy, [])


def answers(folder: Path, policy: Any, version: int) -> None:
    log = AnswerLog(folder / "answers.jsonl", {"split": "test"})
    try:
        log.add({"id": f"q{version}", "response": "x" * 9000})
    finally:
        log.close()


def report(folder: Path, policy: Any, version: int) -> None:
    write_text(folder / "report.html", render({"runs": [{"name": f"run {version}"}]}))  # as write_report does


def evaluation(folder: Path, policy: Any, version: int) -> None:
    write_json(folder / "test.json", [version] * 9000)


def settings(folder: Path, policy: Any, version: int) -> None:
    write_yaml(Config(seed=version), folder / "config.yaml")


KINDS: dict[str, tuple[Write, str]] = {
    "checkpoint": (checkpoint, "step_2: cannot write the checkpoint ("),
    "adapter checkpoint": (adapter_checkpoint, "step_2: cannot write the checkpoint ("),
    "final model": (final_model, "final: cannot write the model ("),
    "start model": (start_model, "start: cannot write: "),
    "dataset": (dataset, "data: cannot write: "),
    "metrics line": (metrics_line, "metrics.jsonl: cannot write: "),
    "rollouts": (rollouts, "rollouts/step_1.parquet: cannot write: "),
    "warm-start state": (warm_start_state, "warm_start.pt: cannot write: "),
    "answers": (answers, "answers.jsonl: cannot write: "),
    "report": (report, "report.html: cannot write: "),
    "evaluation": (evaluation, "test.json: cannot write: "),
    "settings": (settings, "config.yaml: cannot write: "),
}


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Python ignores the signal that comes with it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def ends_with_a_line(work: Callable[[], object], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        tell_mistakes(work)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    return told


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_there_stays_and_a_line_names_the_file(
    kind: str, tmp_path: Path, tiny_policy: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    write, told = KINDS[kind]
    policy = tiny_policy()
    free = tmp_path / "free"
    free.mkdir()
    write(free, policy, 0)
    before = contents(free)
    write(free, policy, 1)
    grown = [len(content) for name, content in contents(free).items() if before.get(name) != content]
    assert grown
    for limit in sorted({0, *(size - 1 for size in grown)}):
        folder = tmp_path / str(limit)
        folder.mkdir()
        write(folder, policy, 0)
        assert contents(folder).keys() == before.keys()
        before_here = contents(folder)
        with files_of_at_most(limit):
            line = ends_with_a_line(partial(write, folder, policy, 1), capsys)
        assert line.startswith(f"error: {folder}/{told}")
        assert "File too large" in line
        assert contents(folder) == before_here
        write(folder, policy, 1)  # there is room again
        assert contents(folder).keys() == contents(free).keys()
    if write in (checkpoint, adapter_checkpoint):
        assert latest_checkpoint(folder).name == "step_2"


def test_of_a_download_what_has_come_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "x.zip").write_bytes(bytes(90_000))
    handler = partial(Quiet, directory=str(tmp_path / "served"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    archive = Archive(f"http://127.0.0.1:{server.server_address[1]}/x.zip", "", 1, "")
    try:
        with files_of_at_most(1000):
            line = ends_with_a_line(partial(fetch, archive, tmp_path / "raw"), capsys)
    finally:
        server.shutdown()
        server.server_close()
    told = "download.part: cannot write: File too large; the same command goes on from there"
    assert line == f"error: {tmp_path / 'raw'}/{told}\n"
    assert len((tmp_path / "raw" / "download.part").read_bytes()) == 1000


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass
