"""A finished run with a small model, and a stand-in for the Hub."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rerec_engine.config import ModelConfig
from rerec_engine.model.small_model import make_small_policy, phrase_tokenizer
from rerec_engine.runs.settings import DEMO, read_yaml, write_yaml


@pytest.fixture
def run(tmp_path: Path, mini_demo: Path) -> Path:
    path = tmp_path / "my_run"
    path.mkdir()
    (path / "data").symlink_to(mini_demo)
    config = read_yaml(DEMO)
    write_yaml(replace(config, rollout=replace(config.rollout, max_new_tokens=12)), path / "config.yaml")
    tokenizer = phrase_tokenizer(json.loads((mini_demo / "vocabulary.json").read_text()))
    policy = make_small_policy(tokenizer, ModelConfig(hidden_size=32, layers=2), max_tokens=512, seed=0, device="cpu")
    policy.save(path / "final")
    before = {
        "step": 0,
        "split": "test",
        "queries": 20,
        "accuracy": 0.1,
        "accuracy_low": 0.05,
        "accuracy_high": 0.2,
        "chance": 0.125,
        "ndcg@1": 0.1,
        "format_rate": 0.75,
        "unknown_item_rate": 0.03,
        "outside_rate": 0.04,
        "mean_length": 9.0,
        "by_category": {"explicit": 0.11, "odd | <b>*one*": 0.12},
        "moment": "before",
    }
    before["interval_by_category"] = {"explicit": [0.012, 0.345]}
    after = before | {"step": 2, "accuracy": 0.65, "accuracy_low": 0.6123, "ndcg@1": 0.65, "moment": "after"}
    (path / "eval.jsonl").write_text(f"{json.dumps(before)}\n{json.dumps(after)}\n")
    step = {"step": 2, "seconds_total": 60.0, "tokens_per_second": 10_000.0}
    (path / "metrics.jsonl").write_text(json.dumps(step) + "\n")
    return path


@dataclass
class Hub:
    """What it was sent: (method, path, body); refuse: a status for whatever comes."""

    url: str = ""
    refuse: int = 0
    asked: list[tuple[str, str, bytes]] = field(default_factory=list)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    state = Hub()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            state.asked.append((self.command, self.path, body))
            found: dict[str, object] = {"id": "me/model", "sha": "0" * 40, "siblings": []}
            if "preupload" in self.path:
                names = [file["path"] for file in json.loads(body)["files"]]
                found = {"files": [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]}
            elif "/commit/" in self.path:
                found = {"commitUrl": f"{state.url}/me/model/commit/1", "commitOid": "1", "hookOutput": ""}
            elif "repos/create" in self.path:
                found = {"url": f"{state.url}/me/model", "name": "me/model", "id": "1"}
            out = json.dumps(found if not state.refuse else {"error": "no"}).encode()
            self.send_response(state.refuse or 200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(out)))
            self.end_headers()
            self.wfile.write(out)

        do_GET = do_POST = do_HEAD = answer

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield state
    server.shutdown()
    server.server_close()
