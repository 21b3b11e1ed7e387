"""What every test shares: threads, hypothesis profiles and where the real data lies."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
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
