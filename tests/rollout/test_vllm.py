"""The rollout engine on real vLLM, against the trainer's recomputed log-probs. `make test-vllm` runs it."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from rerec_engine.config import VllmConfig
from rerec_engine.errors import RunError, UserError
from rerec_engine.rollout.sampler import Sampler
from rerec_engine.rollout.vllm import VllmEngine
from rerec_engine.types import Sampling

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("vllm") is None, reason="vLLM is not installed here: make test-vllm runs this"
)
SIZES = {"hidden_size": 128, "intermediate_size": 192, "max_position_embeddings": 1024}  # heads of 32: vLLM's smallest
MAX_TOKENS = 512


def members(group: int) -> list[int]:
    """Living processes of a process group."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, leader = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(leader) == group and state != "Z":
            found.append(int(path.parent.name))
    return found


def gone(group: int, seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while members(group) and time.monotonic() < end:
        time.sleep(0.05)
    return not members(group)


def start(policy, folder: Path, titles=None, **settings) -> VllmEngine:
    policy.model.config.architectures = [type(policy.model).__name__]
    policy.model.config.save_pretrained(folder / "model")
    return VllmEngine(
        folder / "model",
        policy.model.named_parameters,
        policy.end_ids,
        max_tokens=MAX_TOKENS,
        dtype=settings.pop("dtype", torch.float32),
        device=torch.device("cpu"),
        settings=VllmConfig(**{"kv_cache_gb": 0.25, "timeout": 300.0, **settings}),
        log=folder / "engine.log",
        run_dir=folder,
        titles=titles,
    )


@pytest.fixture(scope="module")
def policy(tiny_policy):
    return tiny_policy("qwen2", tie_word_embeddings=True, **SIZES)


@pytest.fixture(scope="module")
def engine(policy, tmp_path_factory):
    """One engine for all tests that leave it as it is. Its weights are the policy's again after each."""
    made = start(policy, tmp_path_factory.mktemp("vllm"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def prompts(policy):
    """Some longer than two blocks of the prefix cache (128 tokens each), with a prefix in common."""
    rng = np.random.default_rng(0)
    first = rng.integers(5, len(policy.tokenizer), 280).tolist()
    return [[*first, *rng.integers(5, 300, int(k)).tolist()] for k in (1, 17)] + [first[:k] for k in (1, 40)]


def difference(policy, prompts, n, rollouts, temperature=1.0, dtype=None) -> float:
    """The largest absolute difference to the policy's own log-probs, nats."""
    with torch.no_grad():
        rows = [(prompts[i // n], r.token_ids) for i, r in enumerate(rollouts)]
        logp, _ = policy.token_logprobs(rows, temperature)
    return float((logp.cpu() - torch.tensor([x for r in rollouts for x in r.logprobs])).abs().max())


def changed(policy, seed=0) -> dict[str, torch.Tensor]:
    """Change all weights by much; returns the old ones."""
    torch.manual_seed(seed)
    old = {name: value.detach().clone() for name, value in policy.model.named_parameters()}
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.mul_(1 + torch.randn_like(parameter))
    return old


def restore(policy, old) -> None:
    with torch.no_grad():
        for name, parameter in policy.model.named_parameters():
            parameter.copy_(old[name])


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logprobs_equal_the_trainers(policy, engine, prompts, temperature):
    rollouts = engine.generate(prompts, 3, Sampling(50, temperature, seed=1))
    assert len(rollouts) == 3 * len(prompts)
    assert difference(policy, prompts, 3, rollouts, temperature) < 1e-4


def test_greedy_equals_the_samplers_with_logprobs_at_temperature_1(policy, engine, prompts):
    found = engine.generate(prompts, 1, Sampling(50, 0.0))
    expected = Sampler(policy).generate(prompts, 1, Sampling(50, 0.0))
    assert [r.token_ids for r in found] == [r.token_ids for r in expected]
    assert [r.finish for r in found] == [r.finish for r in expected]
    assert difference(policy, prompts, 1, found) < 1e-4


def test_push_replaces_every_weight_and_what_was_cached_of_the_old(policy, engine, prompts):
    sampling = Sampling(50, seed=2)
    before = engine.generate(prompts, 2, sampling)
    version = engine.weight_version
    files = set(Path("/dev/shm").iterdir())
    old = changed(policy)
    try:
        engine.update_weights(version + 1)
        after = engine.generate(prompts, 2, sampling)
        assert {r.weight_version for r in after} == {version + 1}
        assert difference(policy, prompts, 2, after) < 1e-3
        assert difference(policy, prompts, 2, before) > 1
    finally:
        restore(policy, old)
    assert difference(policy, prompts, 2, after) > 1
    engine.update_weights(version)
    assert [r.token_ids for r in engine.generate(prompts, 2, sampling)] == [r.token_ids for r in before]
    assert [path.name for path in set(Path("/dev/shm").iterdir()) - files if "rerec" in path.name] == []


def test_draws_depend_on_seed_and_place(engine, prompts):
    def tokens(asked, **sampling):
        return [r.token_ids for r in engine.generate(asked, 2, Sampling(30, **sampling))]

    whole = tokens(prompts, seed=9)
    assert tokens(prompts, seed=9) == whole
    assert tokens(prompts[:1], seed=9) + tokens(prompts[1:], seed=9, first=1) == whole
    assert tokens(prompts, seed=10) != whole
    assert whole[0] != whole[1]


def test_more_prompt_tokens_than_one_batch_holds(policy, engine, prompts):
    asked = [[*prompts[0], 5 + i] for i in range(40)]  # 11,280 tokens
    rollouts = engine.generate(asked, 1, Sampling(4, seed=6))
    assert difference(policy, asked, 1, rollouts) < 1e-4


def test_finish_tells_an_end_token_which_is_the_last(policy, engine, prompts):
    usual = engine.end_ids
    engine.end_ids = tuple(range(5, 60))  # a fifth of the vocabulary
    try:
        rollouts = engine.generate(prompts, 8, Sampling(20, seed=7))
    finally:
        engine.end_ids = usual
    assert {r.finish for r in rollouts} == {"stop", "length"}
    for rollout in rollouts:
        body, last = rollout.token_ids[:-1], rollout.token_ids[-1]
        assert not set(body) & set(range(5, 60))
        assert (rollout.finish == "stop") == (last in range(5, 60))
        assert rollout.finish == "stop" or len(rollout.token_ids) == 20
    assert difference(policy, prompts, 8, rollouts) < 1e-4


def test_prompt_too_long(engine):
    with pytest.raises(UserError, match="prompt 1 has 500 tokens, with 13 new ones more than the 512"):
        engine.generate([[5], [5] * 500], 1, Sampling(13))
    (rollout,) = engine.generate([[5] * 500], 1, Sampling(12))
    assert len(rollout.token_ids) <= 12


def test_untied_head_and_bf16(tiny_policy, prompts, tmp_path):
    policy = tiny_policy("qwen2", seed=1, tie_word_embeddings=False, **SIZES)
    policy.dtype = torch.bfloat16
    engine = start(policy, tmp_path, dtype=torch.bfloat16)
    try:
        for step in range(2):
            rollouts = engine.generate(prompts, 2, Sampling(50, seed=3))
            with torch.no_grad():
                logp, _ = policy.token_logprobs([(prompts[i // 2], r.token_ids) for i, r in enumerate(rollouts)])
            gap = (logp - torch.tensor([x for r in rollouts for x in r.logprobs])).abs()
            assert gap.mean() < 0.03, f"after {step} pushes"
            with torch.no_grad():  # the head alone
                policy.model.lm_head.weight.mul_(torch.rand_like(policy.model.lm_head.weight) + 0.5)
            engine.update_weights(step + 1)
    finally:
        engine.close()
    assert gone(engine._process.process.pid)


def test_second_run_draws_the_same_and_a_killed_engine_is_told(policy, engine, prompts, tmp_path):
    sampling = Sampling(30, seed=4)
    second = start(policy, tmp_path)
    try:
        found = [(r.token_ids, r.logprobs) for r in second.generate(prompts, 2, sampling)]
        assert found == [(r.token_ids, r.logprobs) for r in engine.generate(prompts, 2, sampling)]
        pid = second._process.process.pid
        threading.Timer(1.0, os.kill, (pid, signal.SIGKILL)).start()
        second.end_ids = ()
        with pytest.raises(RunError, match=r"was killed by signal 9 \(SIGKILL.*; go on with --resume"):
            second.generate(prompts * 256, 8, Sampling(200, seed=5))
        assert gone(pid)
    finally:
        second.close()


def test_hung_engine_is_killed_at_the_time_limit(policy, prompts, tmp_path):
    engine = start(policy, tmp_path)
    try:
        pid = engine._process.process.pid
        engine.settings = VllmConfig(timeout=2.0)
        threading.Timer(0.5, os.kill, (pid, signal.SIGSTOP)).start()
        engine.end_ids = ()
        with pytest.raises(RunError, match="gave no answer in 2 s"):
            engine.generate(prompts * 64, 8, Sampling(200, seed=5))
        assert gone(pid)
    finally:
        engine.close()


def test_engine_goes_with_a_killed_trainer(policy, tmp_path):
    policy.save(tmp_path / "policy")
    script = f"""
import torch
from pathlib import Path
from rerec_engine.config import VllmConfig
from rerec_engine.model.policy import load_policy
from rerec_engine.rollout.vllm import VllmEngine
from rerec_engine.types import Sampling
policy = load_policy({str(tmp_path / "policy")!r}, "cpu")
engine = VllmEngine({str(tmp_path / "policy")!r}, policy.model.named_parameters, (), max_tokens=512,
                    dtype=torch.float32, device=policy.device, settings=VllmConfig(kv_cache_gb=0.25),
                    log=Path({str(tmp_path / "engine.log")!r}))
print(engine._process.process.pid, flush=True)
while True:
    engine.generate([[5] * 50] * 64, 4, Sampling(200))
"""
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    trainer = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment)
    assert trainer.stdout is not None
    pid = int(trainer.stdout.readline())
    time.sleep(1)
    assert members(pid)
    trainer.kill()
    trainer.wait()
    assert gone(pid, 10)


def test_architecture_that_vllm_does_not_know(tiny_policy, tmp_path):
    policy = tiny_policy("qwen2", **SIZES)
    policy.model.config.architectures = ["NoSuchForCausalLM"]
    policy.model.config.save_pretrained(tmp_path / "model")
    with pytest.raises(UserError) as caught:
        VllmEngine(
            tmp_path / "model",
            policy.model.named_parameters,
            (),
            max_tokens=MAX_TOKENS,
            dtype=torch.float32,
            device=torch.device("cpu"),
            settings=VllmConfig(kv_cache_gb=0.25),
            log=tmp_path / "engine.log",
        )
    message = "vLLM does not know the architecture ['NoSuchForCausalLM']; use --rollout.engine sampler"
    assert str(caught.value) == message


def test_constrained_answers_have_the_trainers_log_probs(boxing_policy, tmp_path):
    """In the real engine: titles alone, at the temperature's distribution over what could be drawn; some are free."""
    policy, titles = boxing_policy("qwen2", tie_word_embeddings=True, **SIZES)
    engine = start(policy, tmp_path, titles)
    try:
        rng = np.random.default_rng(0)
        asked = [rng.integers(5, 300, int(k)).tolist() for k in rng.integers(3, 40, 5)]
        candidates = [(3, 7, 21), (5,), (), (40, 41, 42), (79, 1)]
        for temperature in (1.0, 0.7):
            sampling = Sampling(200, temperature, seed=1, candidates=candidates)
            rollouts = engine.generate(asked, 4, sampling)
            rows = [(asked[i // 4], torch.tensor(r.token_ids)) for i, r in enumerate(rollouts)]
            bounds = torch.tensor([0, *np.cumsum([len(r.token_ids) for r in rollouts])])
            allowed = titles.read(torch.cat([r for _, r in rows]), bounds, [candidates[i // 4] for i in range(20)])
            assert int((~allowed.denied).sum()) > 30
            with torch.no_grad():
                logp, _ = policy.token_logprobs(rows, temperature, allowed=allowed)
                free, _ = policy.token_logprobs(rows, temperature)
            sampled = torch.tensor([x for r in rollouts for x in r.logprobs])
            assert (logp - sampled).abs().max() < 1e-4
            assert (free - sampled)[allowed.at[~allowed.denied]].mean() < -1
        again = engine.generate(asked[2:], 4, sampling.part(slice(2, 5)))
        assert [r.token_ids for r in again] == [r.token_ids for r in rollouts[8:]]
        unbound = engine.generate(asked, 4, Sampling(200, 1.0, seed=1))
        bounds = torch.tensor([0, *np.cumsum([len(r.token_ids) for r in unbound])])
        tokens = torch.tensor([t for r in unbound for t in r.token_ids])
        read = titles.read(tokens, bounds, [candidates[i // 4] for i in range(20)])
        assert int((~read.denied).sum()) < 30, "without candidates nothing is constrained"
    finally:
        engine.close()
