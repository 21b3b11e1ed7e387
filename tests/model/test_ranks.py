"""Several ranks do what one does: the same losses and weights, from checkpoints of any number of ranks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from rerec_engine.model.ranks import Ranks

SMALL = {
    "warm_start.epochs": 1,
    "model.hidden-size": 32,
    "model.layers": 2,
    "rollout.max-new-tokens": 24,
    "rollout.responses-per-query": 4,
    "advantage.outcome-gate": "false",
    "optim.learning-rate": 1e-3,
    "optim.warmup-steps": 0,
    "optim.final-share": 1.0,
    "optim.weight-decay": 0.01,
    "loss.beta": 0.01,
    "loss.entropy": 0.05,  # gradients that are not small, whatever the rewards
    "train.steps": 5,
    "train.queries-per-step": 8,
    "train.queries-per-update": 5,
    "train.tokens-per-micro-batch": 600,
    "train.checkpoint-every": 2,
    "train.keep-checkpoints": 9,
    "train.eval-every": 3,
    "threads": 1,
    "device": "cpu",
}


def command(data: Path, output: Path, **settings: object) -> list[str]:
    chosen = {**SMALL, "data.path": data, "output-dir": output, **settings}
    return ["-m", "rerec_engine.train", *(w for name, value in chosen.items() for w in (f"--{name}", str(value)))]


def start(words: list[str], ranks: int) -> list[subprocess.Popen[str]]:
    """The processes that `torchrun` would start, without torchrun."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1"}
    common["MASTER_PORT"] = str(port)
    return [
        subprocess.Popen(
            [sys.executable, *words],
            env={**os.environ, **(common if ranks > 1 else {}), "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(ranks)
    ]


def run(words: list[str], ranks: int) -> None:
    processes = start(words, ranks)
    told = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * ranks, "\n".join(told)[-3000:]


def lines(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def assert_close(a: Path, b: Path) -> None:
    """The same run up to fp32 rounding: its metrics, its evaluations, its weights."""
    first, second = lines(a), lines(b)
    assert [line["step"] for line in first] == [line["step"] for line in second] == [1, 2, 3, 4, 5]
    same = "reward response_length trained_tokens curriculum_epoch weight_version staleness".split()
    for x, y in zip(first, second, strict=True):
        assert {k: x.get(k) for k in same} == {k: y.get(k) for k in same}
        for name in ("loss", "grad_norm", "entropy", "kl", "value_error"):
            if x.get(name) is not None:
                assert x[name] == pytest.approx(y[name], rel=2e-4, abs=1e-7), name
    assert (a / "eval.jsonl").read_text() == (b / "eval.jsonl").read_text()
    weights = [load_file(path / "final" / "model.safetensors") for path in (a, b)]
    start = load_file(a / "start" / "model.safetensors")
    adapted = (a / "checkpoints" / "step_4" / "adapter_model.safetensors").exists()
    assert weights[0].keys() == weights[1].keys()
    for name, one in weights[0].items():
        moved = (one - start[name]).norm()
        assert moved > 0 or adapted  # an adapter leaves norms and embeddings alone
        assert (one - weights[1][name]).norm() <= 5e-3 * moved, name  # Adam magnifies the rounding of tiny gradients


@pytest.fixture(scope="module")
def one_rank(tmp_path_factory: pytest.TempPathFactory, mini_demo: Path) -> Path:
    path = tmp_path_factory.mktemp("ranks") / "one"
    run(command(mini_demo, path), 1)
    return path


@pytest.mark.slow
def test_torchrun_with_two_ranks_equals_one(one_rank, mini_demo, tmp_path):
    path = tmp_path / "two"
    words = ["-m", "torch.distributed.run", "--nproc-per-node", "2", *command(mini_demo, path)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert_close(one_rank, path)
    assert done.stderr.count("train queries:") == 1  # rank 0 alone speaks
    parts = path / "checkpoints" / "step_4" / "parts"
    assert {file.name for file in parts.glob("*.distcp")} == {"__0_0.distcp", "__1_0.distcp"}


@pytest.mark.slow
def test_a_killed_rank_ends_the_other_and_resume_goes_on_alone(one_rank, mini_demo, tmp_path):
    path = tmp_path / "killed"
    processes = start(command(mini_demo, path), 2)
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and all(process.poll() is None for process in processes):
        if (path / "metrics.jsonl").exists() and len(lines(path)) >= 3:
            break
        time.sleep(0.02)
    processes[1].send_signal(signal.SIGKILL)
    told = processes[0].communicate(timeout=60)[1]
    processes[1].communicate()
    assert processes[0].returncode == 1, told[-2000:]
    last = told.strip().splitlines()[-1]
    assert last.startswith("error: rank 0 of 2 lost another rank in step")
    assert f"--resume {path}" in last
    assert "Traceback" not in told
    run(["-m", "rerec_engine.train", "--resume", str(path)], 1)
    assert_close(one_rank, path)


@pytest.mark.slow
def test_a_signal_to_one_rank_stops_all_after_the_same_step(mini_demo, tmp_path):
    path = tmp_path / "stopped"
    processes = start(command(mini_demo, path, **{"train.steps": 500, "train.checkpoint-every": 0}), 2)
    file = path / "metrics.jsonl"
    while not (file.exists() and file.read_text()) and all(process.poll() is None for process in processes):
        time.sleep(0.02)
    processes[1].send_signal(signal.SIGTERM)
    told = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [128 + signal.SIGTERM] * 2, told[0][-2000:]
    assert f"continue with --resume {path}" in told[0]
    assert f"step_{lines(path)[-1]['step']}" in {checkpoint.name for checkpoint in (path / "checkpoints").iterdir()}


@pytest.mark.slow
def test_two_ranks_go_on_from_what_one_saved(one_rank, tmp_path):
    path = tmp_path / "more"
    shutil.copytree(one_rank, path)
    shutil.rmtree(path / "final")
    for step in (4, 5):
        shutil.rmtree(path / "checkpoints" / f"step_{step}")
    run(["-m", "rerec_engine.train", "--resume", str(path)], 2)
    assert_close(one_rank, path)


@pytest.mark.slow
def test_critic_overlap_and_importance_weights_too(mini_demo, tmp_path):
    settings = {"advantage.estimator": "gae", "loss.kl-in": "reward", "rollout.overlap": "true"}
    settings |= {"loss.importance-cap": 2, "model.gradient-checkpointing": "true"}
    for ranks in (1, 2):
        run(command(mini_demo, tmp_path / str(ranks), **settings), ranks)
    assert_close(tmp_path / "1", tmp_path / "2")
    assert [line["staleness"] for line in lines(tmp_path / "1")] == [0, 1, 1, 1, 1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings", [{"model.lora-rank": 4}, {"model.offload-reference": "true", "model.packing": "false"}]
)
def test_adapters_and_an_offloaded_reference_too(mini_demo, tmp_path, settings):
    pytest.importorskip("peft", reason="no peft: pip install .[test]") if "model.lora-rank" in settings else None
    for ranks in (1, 2):
        run(command(mini_demo, tmp_path / str(ranks), **settings), ranks)
    assert_close(tmp_path / "1", tmp_path / "2")
    shutil.rmtree(tmp_path / "2" / "final")
    shutil.rmtree(tmp_path / "2" / "checkpoints" / "step_5")
    run(["-m", "rerec_engine.train", "--resume", str(tmp_path / "2")], 1)
    assert_close(tmp_path / "1", tmp_path / "2")


def shard_and_compare(rank: int, directory: str, port: int) -> None:
    """One of two processes: a sharded model's log-probs, gradients and saved weights are the whole model's."""
    from rerec_engine.cli import end_now
    from rerec_engine.model.policy import load_policy
    from rerec_engine.model.ranks import join, leave

    torch.set_num_threads(1)
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()}, MASTER_ADDR="127.0.0.1")
    ranks = join("cpu")
    rows = [([5, 6, 7, 8], [9, 10, 11]), ([4, 9], [8, 8, 8, 1])]
    for kind in ("qwen2", "untied", "gpt2"):
        whole = load_policy(f"{directory}/{kind}", "cpu")
        policy = load_policy(f"{directory}/{kind}", "cpu", empty=not ranks.main)
        assert ranks.main or next(policy.model.parameters()).is_meta
        policy.shard(torch.device("cpu"))
        expected, found = (p.token_logprobs(rows)[0] for p in (whole, policy))
        assert torch.allclose(found, expected, atol=1e-6)
        expected.mean().backward(), found.mean().backward()
        for (name, a), (_, b) in zip(whole.model.named_parameters(), policy.model.named_parameters(), strict=True):
            assert torch.allclose(b.grad.full_tensor(), a.grad, atol=1e-6), name
        policy.save(f"{directory}/{kind}-saved", ranks.main)
        if ranks.main:
            saved = load_policy(f"{directory}/{kind}-saved", "cpu").model.state_dict()
            assert all(torch.equal(value, saved[name]) for name, value in whole.model.state_dict().items())
    assert ranks.sum(torch.tensor(float(rank + 1))) == 3
    assert (ranks.gather(rank), ranks.first(rank), ranks.any(rank == 1)) == ([0, 1], 0, True)
    leave(ranks)
    end_now(0)


@pytest.mark.slow
def test_shards_are_the_whole_model(tiny_policy, tmp_path):
    tiny_policy().save(tmp_path / "untied")
    tiny_policy(tie_word_embeddings=True).save(tmp_path / "qwen2")
    tiny_policy("gpt2").save(tmp_path / "gpt2")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = "import importlib.util, sys; spec = importlib.util.spec_from_file_location('t', sys.argv[1]); "
    code += "t = importlib.util.module_from_spec(spec); spec.loader.exec_module(t); "
    code += "t.shard_and_compare(int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))"
    words = [sys.executable, "-c", code, __file__]
    processes = [subprocess.Popen([*words, str(r), str(tmp_path), str(port)], stderr=subprocess.PIPE) for r in (0, 1)]
    told = [process.communicate(timeout=120)[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(told)[-3000:]


def test_shares_are_even_in_order_and_whole():
    for size in (1, 2, 3, 7):
        for count in (0, 1, 5, 64):
            shares = [range(count)[Ranks(rank, size).share(count)] for rank in range(size)]
            assert np.concatenate([np.array(share, dtype=int) for share in shares]).tolist() == list(range(count))
            assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert range(7)[Ranks().share(7, group=2)] == range(7)  # one process, an engine on two GPUs
    first = [range(7)[Ranks(rank, 6).share(7, group=2)] for rank in range(6)]
    assert [list(share) for share in first] == [[0, 1], [], [2, 3], [], [4, 5, 6], []]
