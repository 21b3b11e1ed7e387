"""Stands in for what the adapters import of verl: registries, base classes and the batch. test_verl.py runs them in
the real one, where it is installed."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rerec_engine import integrations

FOLDER = Path(integrations.__file__).parent


class Registry(dict[str, Any]):
    """`@registry("name")` keeps what it decorates."""

    def __call__(self, name: str) -> Any:
        return lambda thing: self.setdefault(name, thing)


class DataProto:
    """Tensors [B, ...] by name and NumPy columns [B] by name."""

    def __init__(self, batch: dict[str, Any], non_tensor_batch: dict[str, Any]) -> None:
        self.batch, self.non_tensor_batch = batch, non_tensor_batch

    def __len__(self) -> int:
        return len(self.batch["responses"])


class AgentLoopOutput:
    """Fields by name; `model_fields_set` are those that were given, as pydantic's models have it."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update({"extra_fields": {}, "reward_score": None, "response_logprobs": None, **fields})
        self.model_fields_set = set(fields)

    def as_dict(self) -> dict[str, Any]:
        fields = {name: getattr(self, name) for name in self.model_fields_set}
        last = [0.0] * (len(self.response_ids) - 1)
        return {**fields, "rm_scores": [*last, self.reward_score]}


class SingleTurnAgentLoop:
    """Answers with `answer`, token ids and mask, to `prompt_ids`; what `run` is given is kept in `asked`."""

    prompt_ids: tuple[int, ...] = ()

    def __init__(self, config: Any, tokenizer: Any, loop: Any, answer: tuple[list[int], list[int]]) -> None:
        self.config, self.tokenizer, self.loop, self.answer = config, tokenizer, loop, answer

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> AgentLoopOutput:
        self.asked = sampling_params, kwargs
        ids, mask = self.answer
        fields = {"prompt_ids": list(self.prompt_ids), "response_ids": ids, "response_mask": mask}
        return AgentLoopOutput(**fields, num_turns=2, extra_fields={"turn": 1})


def install(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The adapters, loaded anew on the stand-ins for one test, with the three registries and the batch's class."""
    found = SimpleNamespace(estimators=Registry(), managers=Registry(), loops=Registry())
    contents = {
        "verl": {"DataProto": DataProto},
        "verl.trainer.ppo.core_algos": {"register_adv_est": found.estimators},
        "verl.workers.reward_manager": {"register": found.managers},
        "verl.workers.reward_manager.abstract": {"AbstractRewardManager": object},
        "verl.experimental.agent_loop.agent_loop": {"AgentLoopOutput": AgentLoopOutput, "register": found.loops},
        "verl.experimental.agent_loop.single_turn_agent_loop": {"SingleTurnAgentLoop": SingleTurnAgentLoop},
    }
    for path, names in contents.items():
        parts = path.split(".")
        for i in range(1, len(parts)):
            outer = ".".join(parts[:i])
            if outer not in contents:
                monkeypatch.setitem(sys.modules, outer, types.ModuleType(outer))
        module = types.ModuleType(path)
        module.__dict__.update(names)
        monkeypatch.setitem(sys.modules, path, module)
    for name in ("verl_raae", "verl_agent"):
        spec = importlib.util.spec_from_file_location(f"rerec_engine.integrations.{name}", FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        setattr(found, name, module)
    found.DataProto = DataProto
    return found
