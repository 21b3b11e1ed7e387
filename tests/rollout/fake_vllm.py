"""Stands in for vLLM in the engine's process: the calls that are made of it, no model. Copied to a `vllm.py`.

A prompt's first token says what happens: see `ACTIONS`. The tokens of a response are its prompt's first one, then its
seed's last digits; its log-probs are the sum of the weights that were pushed last.
"""

import os
import signal
import subprocess
import sys
import time
import types
from dataclasses import dataclass, field

MODULES = ("_custom_ops", "model_executor", "model_executor.layers", "model_executor.layers.utils")
for module in MODULES:
    sys.modules[f"vllm.{module}"] = types.ModuleType(module)
_custom_ops = sys.modules["vllm._custom_ops"]
model_executor = sys.modules["vllm.model_executor"]
model_executor.layers = sys.modules["vllm.model_executor.layers"]
model_executor.layers.utils = sys.modules["vllm.model_executor.layers.utils"]


def fail():
    raise RuntimeError("the fake engine\nwas told to fail")


def die_loudly():
    print("INFO 01-01 all is well", flush=True)
    print("MemoryError: no room\n  at a place", flush=True)
    print("INFO 01-01 goodbye", flush=True)
    os._exit(3)


HANG, KILLED, FAIL, EXIT, FEW = 20, 21, 22, 23, 24
ACTIONS = {
    HANG: lambda: time.sleep(1000),
    KILLED: lambda: os.kill(os.getpid(), signal.SIGKILL),
    FAIL: fail,
    EXIT: die_loudly,
}


@dataclass
class SamplingParams:
    temperature: float
    max_tokens: int
    seed: int
    stop_token_ids: list
    ignore_eos: bool
    logprobs: int
    flat_logprobs: bool
    detokenize: bool
    extra_args: dict | None


@dataclass
class Completion:
    token_ids: list
    logprobs: types.SimpleNamespace
    finish_reason: str


@dataclass
class Model:
    values: dict = field(default_factory=dict)

    def named_parameters(self):
        return [("a", None), ("b", None)]

    def load_weights(self, named):
        self.values = {name: tensor.double().sum().item() for name, tensor in named}
        return set(self.values)


class LLM:
    def __init__(self, worker_extension_cls, **arguments):
        if "no-such" in arguments["model"]:
            text = "Model architectures ['NoSuchForCausalLM'] are not supported for now. Supported: dict_keys(['A'])"
            raise ValueError(f"1 validation error\n  Value error, {text}")
        if "slow" in arguments["model"]:
            time.sleep(1000)
        file, _, name = worker_extension_cls.rpartition(".")
        self.worker = type("Worker", (getattr(__import__(file), name),), {})()
        self.model = Model()
        self.worker.model_runner = types.SimpleNamespace(get_model=lambda: self.model)
        self.core = types.SimpleNamespace(shutdown=lambda: None)
        self.llm_engine = types.SimpleNamespace(engine_core=self.core)
        self.helper = subprocess.Popen(["sleep", "1000"])  # a worker process, as with tensor parallelism

    def collective_rpc(self, name, args):
        return [getattr(self.worker, name)(*args)]

    def reset_prefix_cache(self):
        return True

    def generate(self, prompts, parameters, use_tqdm):
        out = []
        for prompt, parameter in zip(prompts, parameters, strict=True):
            ids = prompt["prompt_token_ids"]
            ACTIONS.get(ids[0], lambda: None)()
            if ids[0] == FEW:
                continue
            tokens = [ids[0], parameter.seed % 1000][: parameter.max_tokens]
            logprobs = types.SimpleNamespace(logprobs=[sum(self.model.values.values())] * len(tokens))
            out.append(types.SimpleNamespace(outputs=[Completion(tokens, logprobs, "length")]))
        return out
