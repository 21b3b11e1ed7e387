"""vLLM as the rollout engine: a process of its own, fed with the trainer's weights through shared memory.

The trainer's process never imports vLLM, which patches torch and pins its dependencies; it may live under another
interpreter (`rollout.vllm.python`). After every update the weights go into the running engine, without disk or restart.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rerec_engine import _core
from rerec_engine.config import VllmConfig
from rerec_engine.constrain.titles import AnswerTitles
from rerec_engine.errors import RunError, UserError
from rerec_engine.rollout.base import derive_seed
from rerec_engine.rollout.process import EngineProcess
from rerec_engine.rollout.shared_memory import WeightMemory
from rerec_engine.types import Rollout, Sampling

PROGRAM = Path(__file__).parent / "child" / "engine_program.py"
BATCHED_TOKENS = 8192
LEFT_OUT = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_RANK"}
LEFT_OUT |= {"ROLE_WORLD_SIZE", "ROLE_NAME", "MASTER_ADDR", "MASTER_PORT", "VLLM_CPU_KVCACHE_SPACE"}


class VllmEngine:
    """A `RolloutEngine` on vLLM. Starts the engine's process and gives it the weights.

    model: directory with the model's config.json, or a hub name; its weight files are not read.
    weights: gives every parameter whole, under its Hugging Face name. Called at the start and by `update_weights`, in
        the calling thread, so that the ranks of a sharded policy can gather together.
    end_ids: tokens that end a response. max_tokens: the most that prompt and response have together.
    trust_remote_code: run code that the model brings along. titles: what a call's `candidates` are named by.
    dtype: of the engine's weights and arithmetic. log: file that the engine's output is appended to.
    run_dir: named in errors as what to resume. version: the step after which the weights are the policy's.

    Raises `UserError` for what a user can mend (no vLLM, an architecture it does not know, too little memory for keys
    and values) and `RunError` where the engine dies, hangs or fails. Calls from several threads wait for one another.
    """

    def __init__(
        self,
        model: str | Path,
        weights: Callable[[], Iterable[tuple[str, Tensor]]],
        end_ids: Sequence[int],
        *,
        max_tokens: int,
        dtype: torch.dtype,
        device: torch.device,
        settings: VllmConfig,
        log: Path,
        run_dir: Path | None = None,
        version: int = 0,
        trust_remote_code: bool = False,
        titles: AnswerTitles | None = None,
    ) -> None:
        self.weights, self.end_ids, self.max_tokens = weights, tuple(end_ids), max_tokens
        self.settings, self.device = settings, device
        self._titles, self._asleep = titles, False
        self._lock = threading.Lock()
        self._memory = WeightMemory(dtype)
        self._answers: TemporaryDirectory[str] | None = None
        environment = child_environment(os.environ, str(model), device, settings)
        if titles is not None:
            self._answers = TemporaryDirectory(prefix="rerec-answers-")
            titles.save(Path(self._answers.name))
            environment |= answer_environment(self._answers.name)
        if settings.sleep and device.type != "cuda":
            print("rollout.vllm.sleep: only a GPU's engine sleeps; nothing happens here", file=sys.stderr)
        self._process = EngineProcess(
            settings.python or sys.executable,
            PROGRAM,
            log,
            environment,
            [self._memory.descriptor],
            remedy=f"; go on with --resume {run_dir}" if run_dir else "",
        )
        arguments = engine_arguments(str(model), max_tokens, dtype, device, settings)
        arguments |= {"trust_remote_code": True} if trust_remote_code else {}
        arguments |= ANSWER_ARGUMENTS if titles is not None else {}
        self._ask("start", arguments=arguments)
        self.update_weights(version)

    def generate(self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling) -> list[Rollout]:
        """n responses per prompt, prompt-major. Draws depend on the seed and a response's place in the whole call."""
        if not prompts:
            return []
        self._check(prompts, sampling)
        places = [(sampling.first + place, i) for place in range(len(prompts)) for i in range(n)]
        self.wake()
        with self._lock:
            version = self.weight_version
            answer = self._ask_locked(
                "generate",
                prompts=[list(prompt) for prompt in prompts for _ in range(n)],
                seeds=[derive_seed(sampling.seed, *place) for place in places],
                temperature=float(sampling.temperature),
                max_tokens=sampling.max_new_tokens,
                ends=list(self.end_ids),
                candidates=self._candidates(sampling, len(prompts), n),
            )
        return _rollouts(answer, len(prompts) * n, version)

    def _candidates(self, sampling: Sampling, prompts: int, n: int) -> list[list[int] | None]:
        """Of each response; None where its answer is free."""
        if self._titles is None or sampling.candidates is None:
            return [None] * (prompts * n)
        among = self._titles.only_candidates
        return [[int(item) for item in some] if among else [] for some in sampling.candidates for _ in range(n)]

    def update_weights(self, version: int) -> None:
        """Push the weights as they are into the engine; its prefix cache is emptied."""
        self._push()
        self.weight_version = version

    def sleep(self) -> None:
        """Free the GPU's memory until the next call, where `rollout.vllm.sleep` says so; nothing on a CPU."""
        if self.settings.sleep and self.device.type == "cuda" and not self._asleep:
            self._ask("sleep")
            self._asleep = True

    def wake(self) -> None:
        """Take the GPU's memory again. `generate` and `update_weights` do so by themselves."""
        if self._asleep:
            torch.cuda.empty_cache()  # what the trainer holds and does not use is what the engine takes
            self._ask("wake")
            self._asleep = False

    def close(self) -> None:
        """End the engine's process group; at once where a call is still running."""
        idle = self._lock.acquire(timeout=0.1)
        try:
            self._process.close({"op": "close"} if idle else None)
        finally:
            if idle:
                self._lock.release()
        self._memory.close()
        if self._answers is not None:
            self._answers.cleanup()

    def _push(self) -> None:
        layout = self._memory.write(self.weights())
        self.wake()
        self._ask("load", layout=layout, size=self._memory.size)

    def _ask(self, op: str, **values: Any) -> Any:
        with self._lock:
            return self._ask_locked(op, **values)

    def _ask_locked(self, op: str, **values: Any) -> Any:
        return self._process.ask({"op": op, **values}, self.settings.timeout)

    def _check(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> None:
        for place, prompt in enumerate(prompts):
            if len(prompt) == 0:
                raise UserError(f"prompt {sampling.first + place} is empty: vLLM needs a token to begin with")
            if len(prompt) + sampling.max_new_tokens > self.max_tokens:
                raise UserError(
                    f"prompt {sampling.first + place} has {len(prompt)} tokens, with {sampling.max_new_tokens} new "
                    f"ones more than the {self.max_tokens} that vLLM was started for: raise data.max_prompt_tokens "
                    "or lower rollout.max_new_tokens"
                )


def engine_arguments(
    model: str, max_tokens: int, dtype: torch.dtype, device: torch.device, settings: VllmConfig
) -> dict[str, Any]:
    """What `vllm.LLM` is made with. Weights are dummies, since a push follows at once."""
    on_cuda = device.type == "cuda"
    # vLLM cannot take back what a CPU generator has drawn, as it does after part of a prompt: prompts are never split.
    whole_prompts = dict(enable_chunked_prefill=False, max_num_batched_tokens=max(BATCHED_TOKENS, max_tokens))
    return dict(
        model=model,
        load_format="dummy",
        skip_tokenizer_init=True,
        generation_config="vllm",  # no sampling defaults of the model's
        dtype=str(dtype).removeprefix("torch."),
        max_model_len=max_tokens,
        max_num_seqs=settings.max_num_seqs,
        kv_cache_memory_bytes=int(settings.kv_cache_gb * 2**30),
        tensor_parallel_size=settings.tensor_parallel,
        enforce_eager=settings.enforce_eager or not on_cuda,
        enable_sleep_mode=settings.sleep and on_cuda,
        logprobs_mode="processed_logprobs",  # of the distribution that is sampled, temperature included
        disable_log_stats=True,
        seed=0,
        **({} if on_cuda else whole_prompts),
    )


ANSWER_ARGUMENTS = {"logits_processors": ["engine_answers:Answers"], "async_scheduling": False}
"""Of an engine that constrains answers: what was drawn last must be known before the next logits are looked at."""


def answer_environment(folder: str) -> dict[str, str]:
    """Where such an engine's processes find the titles, written there, and the code that walks them."""
    return {"REREC_ANSWERS": folder, "REREC_CORE": str(_core.__file__), "VLLM_USE_V2_MODEL_RUNNER": "0"}


def child_environment(
    environment: Mapping[str, str], model: str, device: torch.device, settings: VllmConfig
) -> dict[str, str]:
    """The trainer's environment without its place among the ranks, with what vLLM reads."""
    kept = {k: v for k, v in environment.items() if k not in LEFT_OUT and not k.startswith("TORCHELASTIC_")}
    kept.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    kept.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin take the cores that the trainer needs
    kept.update(
        VLLM_ENABLE_V1_MULTIPROCESSING="0",
        VLLM_NO_USAGE_STATS="1",
        VLLM_ZENTORCH_WEIGHT_PREPACK="0",  # packed weights do not see a push
        OMP_NUM_THREADS=str(settings.threads or torch.get_num_threads()),
        PYTHONUNBUFFERED="1",
    )
    if Path(model).exists():
        kept["HF_HUB_OFFLINE"] = "1"
    if device.type == "cuda":
        kept["CUDA_VISIBLE_DEVICES"] = _gpus(environment.get("CUDA_VISIBLE_DEVICES"), device, settings.tensor_parallel)
    return kept


def _gpus(visible: str | None, device: torch.device, count: int) -> str:
    first = int(str(device).partition(":")[2] or torch.cuda.current_device())
    names = visible.split(",") if visible else [str(i) for i in range(torch.cuda.device_count())]
    mine = names[first : first + count]
    if len(mine) < count:
        raise UserError(
            f"rollout.vllm.tensor_parallel {count} needs GPUs {first} to {first + count - 1}, {len(names)} are visible"
        )
    return ",".join(mine)


def _rollouts(answer: Mapping[str, bytes], expected: int, version: int) -> list[Rollout]:
    lengths = np.frombuffer(answer["lengths"], np.int32).astype(np.int64)
    ids = np.frombuffer(answer["token_ids"], np.int32)
    logprobs = np.frombuffer(answer["logprobs"], np.float32)
    if len(lengths) != expected or (lengths < 1).any() or not int(lengths.sum()) == len(ids) == len(logprobs):
        raise RunError(
            f"vLLM returned {len(lengths)} responses with {len(ids)} tokens and {len(logprobs)} log-probs; "
            f"{expected} responses were asked for, with at least a token each and a log-prob for each token"
        )
    ends = np.cumsum(lengths)
    return [
        Rollout(ids[end - k : end].tolist(), logprobs[end - k : end].tolist(), "stop" if stop else "length", version)
        for end, k, stop in zip(ends, lengths, answer["stopped"], strict=True)
    ]
