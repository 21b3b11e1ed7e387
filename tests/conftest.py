"""What every test shares: threads, hypothesis profiles and where the real data lies."""

from __future__ import annotations

import copy
import importlib
import json
import os
import shutil
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import torch

if TYPE_CHECKING:
    from rerec_engine.model.policy import Policy

# Read when transformers is imported, which therefore happens later: a model name never reaches out from a test.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have recorded as `figures`, from any process of the run, and what was skipped, by reason."""
    reasons = Counter(skip_reason(report) for report in terminalreporter.stats.get("skipped", []))
    if reasons:
        terminalreporter.section(f"{sum(reasons.values())} skipped")
        for reason, count in reasons.most_common():
            terminalreporter.write_line(f"{count:5d}  {reason}")
    for kind in ("passed", "failed"):
        for report in terminalreporter.stats.get(kind, []):
            for name, lines in getattr(report, "user_properties", []):
                if name == "figures" and report.when == "call":
                    terminalreporter.section(report.nodeid)
                    terminalreporter.write_line("\n".join(lines))


def skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """What a skipped test, or a file skipped whole, says of itself."""
    told = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return told.removeprefix("Skipped: ")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """The tests run in parallel, a worker a core."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def follow() -> Callable[[str, list[str]], None]:
    """A command as typed, `python -m rerec_engine.MODULE WORDS`, in this process."""

    def run(module: str, words: list[str]) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", [module, *words])
            importlib.import_module(f"rerec_engine.{module}").main()

    return run


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets: `$REREC_SHARED_DATA`, else `../shared/data` beside the repository."""
    root = Path(__file__).resolve().parents[1]
    path = Path(os.environ.get("REREC_SHARED_DATA") or root.parent / "shared" / "data")
    if not path.is_dir():
        pytest.skip(f"no real data at {path}: set REREC_SHARED_DATA")
    return path


@pytest.fixture(scope="session")
def error() -> Callable[[torch.Tensor, torch.Tensor], float]:
    """The relative error of a whole tensor, by its norm; absolute where the truth is 0."""

    def measure(ours: torch.Tensor, truth: torch.Tensor) -> float:
        truth = truth.detach().double()
        norm = truth.norm()
        return float((ours.detach().double() - truth).norm() / (norm if norm > 0 else 1.0))

    return measure


@pytest.fixture(scope="session")
def tiny_policy() -> Callable[..., Policy]:
    """Makes a random policy of a few thousand parameters: `tiny_policy(architecture="qwen2", seed=0, **config)`."""
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    from rerec_engine.model.policy import make_policy
    from rerec_engine.model.small_model import corpus_tokenizer

    texts = ["Find a drama film", "The Silent River (1987)", "need drama yes no", "\\boxed{ The Silent River (1987)}"]
    tokenizer = corpus_tokenizer(texts, vocab_size=320)
    kinds = {
        "qwen2": (Qwen2Config, Qwen2ForCausalLM),
        "llama": (LlamaConfig, LlamaForCausalLM),
        "gpt2": (GPT2Config, GPT2LMHeadModel),
    }

    def make(architecture: str = "qwen2", seed: int = 0, **options: object) -> Policy:
        config_class, model_class = kinds[architecture]
        sizes = {
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 512,
        }
        if architecture == "gpt2":
            sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512}
        ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None}
        torch.manual_seed(seed)
        model = model_class(config_class(vocab_size=len(tokenizer), **{**sizes, **ends, **options}))
        with torch.no_grad():  # spread the distributions, so that differences show
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.05)
        return make_policy(model, tokenizer, "tiny")

    return make


@pytest.fixture(scope="session")
def boxing_policy(tiny_policy: Callable[..., Policy]) -> Callable[..., tuple[Policy, Any]]:
    """A random policy to which a box's beginning is one token, so that it often begins one, and a catalogue's titles as
    answers: `boxing_policy(architecture)` -> policy, `AnswerTitles`."""
    from tokenizers import AddedToken

    from rerec_engine.constrain.titles import AnswerTitles
    from rerec_engine.graph.catalogue import Catalogue
    from rerec_engine.model.policy import make_policy

    def make(architecture: str = "qwen2", seed: int = 0, **options: object) -> tuple[Policy, Any]:
        policy = tiny_policy(architecture, seed, **options)
        tokenizer = copy.deepcopy(policy.tokenizer)
        tokenizer.add_tokens([AddedToken("\\boxed{", normalized=False), AddedToken("\\boxed{\nNe", normalized=False)])
        torch.manual_seed(seed)
        policy.model.resize_token_embeddings(len(tokenizer))
        with torch.no_grad():
            head = policy.model.get_output_embeddings().weight
            head[-2:] = torch.randn(2, head.shape[1]) * head.std()
        titles = [
            f"{name} ({year})" for name in ("Silent", "Need", "Needed", "The River") for year in range(1980, 2000)
        ]
        return make_policy(policy.model, tokenizer, "tiny"), AnswerTitles(Catalogue(titles), tokenizer)

    return make


@pytest.fixture(scope="session")
def mini_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo dataset directory so small that a training step on it takes a fraction of a second."""
    from rerec_engine.worlds.demo import write_demo
    from rerec_engine.worlds.options import DemoOptions

    path = tmp_path_factory.mktemp("mini") / "data"
    write_demo(
        path,
        DemoOptions(
            seed=1,
            films=40,
            books=40,
            users=40,
            train_queries=40,
            val_queries=10,
            test_queries=20,
            candidates=6,
            short_traces=600,
            medium_traces=50,
            full_traces=50,
            biased_traces=20,
            embedding_epochs=2,
        ),
    )
    return path


@dataclass
class StandIn:
    """A server that speaks as much of OpenAI's API as is needed. `asked`: the bodies of its chat requests, so far."""

    url: str
    asked: list[dict[str, Any]]
    headers: list[dict[str, str]]


@pytest.fixture
def stand_in() -> Iterator[Callable[..., StandIn]]:
    """Starts servers: `stand_in(say, models=("stand-in",))`. say: of a chat request's body, the answer's text; or the
    whole body, as an object or as bytes; or a status, a body and perhaps headers; or None, and the line goes dead."""
    servers: list[ThreadingHTTPServer] = []

    def start(say: Callable[[dict[str, Any]], Any], models: Any = ("stand-in",)) -> StandIn:
        asked: list[dict[str, Any]] = []
        headers: list[dict[str, str]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                named = isinstance(models, (list, tuple)) and models and isinstance(models[0], str)
                self._answer({"data": [{"id": name} for name in models]} if named else models)

            def do_POST(self) -> None:
                asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                headers.append({name.lower(): value for name, value in self.headers.items()})
                said = say(asked[-1])
                if isinstance(said, str):
                    usage = {"prompt_tokens": 7, "completion_tokens": len(said.split()), "total_tokens": 0}
                    message = {"role": "assistant", "content": said}
                    said = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}
                self._answer(said)

            def _answer(self, said: Any) -> None:
                status, body, *more = said if isinstance(said, tuple) else (200, said)
                if body is None:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **(more[0] if more else {})}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return StandIn(f"http://127.0.0.1:{server.server_address[1]}/v1", asked, headers)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real headless Chromium. While it is open, no other event loop can run in this thread."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install playwright")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium: install it (Debian and Ubuntu: apt install chromium)")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()
