"""vLLM's real server under the command. `make test-vllm` runs it."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("vllm") is None, reason="vLLM is not installed here: make test-vllm runs this"
)
httpx = pytest.importorskip("httpx", reason="httpx is missing: pip install .[test]")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def model(mini_demo, tmp_path_factory):
    """Heads of 32, vLLM's smallest."""
    from rerec_engine.config import ModelConfig
    from rerec_engine.data.dataset import load_dataset
    from rerec_engine.model.small_model import make_small_policy, phrase_tokenizer

    tokenizer = phrase_tokenizer([f" {title}" for title in load_dataset(mini_demo).titles])
    policy = make_small_policy(tokenizer, ModelConfig(hidden_size=64, layers=2, heads=2), max_tokens=1024, seed=0)
    path = tmp_path_factory.mktemp("vllm") / "model"
    policy.save(path)
    return path


def living(session):
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its_session = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(its_session) == session and state != "Z":
            found.append(int(path.parent.name))
    return found


def child_of(pid):
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def test_answers_are_the_samplers_and_nothing_is_left(model, mini_demo, tmp_path, make_answers):
    log = tmp_path / "serve.log"
    command = [sys.executable, "-m", "rerec_engine.serve", "--model", str(model), "--data", str(mini_demo)]
    with open(log, "w") as stderr:
        process = subprocess.Popen(
            [*command, "--port", "0", "--engine", "auto", "--max-new-tokens", "40"],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(tmp_path)},
            stderr=stderr,
        )
    try:
        end = time.monotonic() + 400
        while "chat: " not in log.read_text():
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.2)
        line = log.read_text().splitlines()[-1]
        assert line.endswith("engine: vllm"), log.read_text()
        server = child_of(process.pid)
        assert living(server)
        url = f"{line.split()[1]}/v1/chat/completions"
        for text, expected in make_answers(model).items():
            body = {"model": "rerec", "messages": [{"role": "user", "content": text}]}
            answer = httpx.post(url, json=body, timeout=60).json()
            assert answer["rerec"]["response"] == expected
        process.send_signal(signal.SIGKILL)
        process.wait(20)
        end = time.monotonic() + 20
        while living(server):
            assert time.monotonic() < end
            time.sleep(0.1)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def make_answers(mini_demo):
    """The built-in sampler's greedy responses to some requests."""

    def make(model):
        from rerec_engine.assistant.answer import Assistant
        from rerec_engine.data.dataset import load_dataset
        from rerec_engine.model.policy import load_policy
        from rerec_engine.rollout.sampler import Sampler
        from rerec_engine.types import Sampling

        policy = load_policy(str(model), "cpu")
        sampler, dataset = Sampler(policy), load_dataset(mini_demo)
        assistant = Assistant(dataset, policy.chat, lambda prompt, how, _: sampler.stream(prompt, how))
        greedy = Sampling(40, temperature=0.0)
        texts = ("Find a drama", "A comedy from the nineties, please")
        return {text: assistant.answer(assistant.prepare(text), greedy).response for text in texts}

    return make
