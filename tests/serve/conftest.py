"""Servers on a demo world and a tiny model, each on a free port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def require_server() -> None:
    """Skip where the server's libraries are absent."""
    for name in ("fastapi", "uvicorn"):
        pytest.importorskip(name, reason=f"{name} is missing: pip install .[serve]")


@dataclass
class Server:
    """A server as a user starts it: a process."""

    url: str
    process: subprocess.Popen[str]

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/task").iterdir()))

    def memory(self) -> float:
        """Resident, MiB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.fixture(scope="session")
def tiny_model(mini_demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of the demo world: its answers are nonsense."""
    from rerec_engine.config import ModelConfig
    from rerec_engine.data.dataset import load_dataset
    from rerec_engine.model.small_model import make_small_policy, phrase_tokenizer

    titles = load_dataset(mini_demo).titles
    tokenizer = phrase_tokenizer([f" {title}" for title in titles])
    policy = make_small_policy(tokenizer, ModelConfig(hidden_size=32, layers=2, heads=2), max_tokens=1024, seed=0)
    path = tmp_path_factory.mktemp("serve") / "model"
    policy.save(path)
    return path


@pytest.fixture(scope="session")
def server(tiny_model: Path, mini_demo: Path) -> Iterator[Server]:
    """A process of its own, which takes seconds to start: for what cannot be seen inside one process."""
    require_server()
    command = [sys.executable, "-m", "rerec_engine.serve", "--model", str(tiny_model), "--data", str(mini_demo)]
    process = subprocess.Popen(
        [*command, "--port", "0", "--device", "cpu", "--engine", "sampler", "--queue", "100"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process.stderr:
        lines = iter(process.stderr.readline, "")  # ends with the server
        told = next((line for line in lines if not line.endswith("...\n")), "")  # what is waited for
        if not told.startswith("chat: http://127.0.0.1:"):
            process.terminate()
            pytest.fail(told + process.stderr.read())
        yield Server(told.split()[1], process)
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="session")
def parts(tiny_model: Path, mini_demo: Path) -> tuple[Any, Any]:
    """Dataset and policy of the servers inside this process."""
    from rerec_engine.data.dataset import load_dataset
    from rerec_engine.model.policy import load_policy

    return load_dataset(mini_demo), load_policy(str(tiny_model), "cpu")


@pytest.fixture(scope="session")
def make_conversation(parts: tuple[Any, Any]) -> Callable[[int], Any]:
    """`make_conversation(callers)` -> a conversation on the built-in sampler."""
    require_server()
    from rerec_engine.assistant.answer import Assistant
    from rerec_engine.rollout.sampler import Sampler
    from rerec_engine.serve.backend import SamplerBackend
    from rerec_engine.serve.conversation import Conversation

    dataset, policy = parts

    def make(callers: int) -> Conversation:
        backend = SamplerBackend(Sampler(policy), callers)
        assistant = Assistant(dataset, policy.chat, backend.stream, context=1024)
        return Conversation(assistant, backend)

    return make


@pytest.fixture(scope="session")
def serve_here(make_conversation: Callable[[int], Any]) -> Iterator[Callable[..., str]]:
    """`serve_here(key=None, **limits)` -> the URL of a real server in a thread of this process."""
    import uvicorn

    from rerec_engine.serve.app import create_app
    from rerec_engine.serve.limits import Limits

    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(key: str | None = None, **limits: Any) -> str:
        chosen = Limits(**limits)
        app = create_app(make_conversation(chosen.concurrent), chosen, key=key)
        bound = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{bound.getsockname()[1]}"

    yield start
    for server, _ in running:
        server.should_exit = True
    for _, thread in running:
        thread.join(20)
        assert not thread.is_alive()
