"""The processor of logits in vLLM's batch, with a stand-in for vLLM's interface: requests come, move and go."""

from __future__ import annotations

import enum
import importlib.util
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from rerec_engine import _core
from rerec_engine.rollout import child
from rerec_engine.rollout.vllm import answer_environment

FILE = Path(child.__file__).parent / "engine_answers.py"


class Direction(enum.Enum):
    UNIDIRECTIONAL = 0
    SWAP = 1


@dataclass
class Update:
    removed: list = field(default_factory=list)
    added: list = field(default_factory=list)
    moved: list = field(default_factory=list)


def asked(candidates):
    return types.SimpleNamespace(extra_args=None if candidates is None else {"candidates": candidates})


@pytest.fixture
def answers(boxing_policy, tmp_path, monkeypatch):
    """The processor over the titles, and what `AnswerTitles` would say of a response."""
    policy, titles = boxing_policy()
    titles.save(tmp_path)
    for name, value in answer_environment(str(tmp_path)).items():
        monkeypatch.setenv(name, value)
    interface = types.ModuleType("vllm.v1.sample.logits_processor")
    interface.BatchUpdate, interface.MoveDirectionality, interface.LogitsProcessor = Update, Direction, object
    for name in ("vllm", "vllm.v1", "vllm.v1.sample"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, interface.__name__, interface)
    spec = importlib.util.spec_from_file_location("engine_answers", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "load_core", lambda: _core)  # a second copy of the module would be another's types
    return policy.tokenizer, titles, module.Answers(None, torch.device("cpu"), False)


def masked(titles, said, candidates, width):
    """Logits of ones, of one response."""
    rows = titles.rows()
    rows.join([candidates], 1)
    for token in said:
        rows.advance(torch.tensor([token]))
    return rows.mask(torch.ones(1, width))[0]


def test_requests_come_move_and_go(answers):
    tokenizer, titles, processor = answers
    assert not processor.is_argmax_invariant()
    width = len(tokenizer) + 7
    boxed = tokenizer.encode("\\boxed{Silent")
    said = {name: [] for name in "abcd"}
    candidates = {"a": [3, 7], "b": [], "c": None, "d": [40]}

    def check(places):
        """places: name of the request at each place of the batch."""
        found = processor.apply(torch.ones(len(places), width))
        for row, name in zip(found, places, strict=True):
            free = torch.ones(width)
            right = free if candidates[name] is None else masked(titles, said[name], candidates[name], width)
            assert torch.equal(row, right), name

    processor.update_state(
        Update(added=[(i, asked(candidates[name]), [1], said[name]) for i, name in enumerate("abc")])
    )
    check("abc")
    for token in boxed:
        for name in "ab":
            said[name].append(token)
        said["c"].append(5)
        processor.update_state(None)
        check("abc")
    processor.update_state(Update(moved=[(0, 2, Direction.SWAP)]))
    check("cba")
    processor.update_state(Update(added=[(3, asked(candidates["d"]), [1], said["d"])], removed=[1]))
    said["d"] += tokenizer.encode("\\boxed{")
    processor.update_state(Update(moved=[(3, 1, Direction.UNIDIRECTIONAL)]))
    check("cda")
    processor.update_state(Update(removed=[0, 1, 2]))
    assert torch.equal(processor.apply(torch.ones(2, width)), torch.ones(2, width))


def test_several_tokens_at_once_are_caught_up_with(answers):
    tokenizer, titles, processor = answers
    said = tokenizer.encode("so \\boxed{")  # of a request that vLLM had put off
    processor.update_state(Update(added=[(0, asked([3]), [1], said)]))
    assert torch.equal(processor.apply(torch.ones(1, 400))[0], masked(titles, said, [3], 400))


def test_the_core_of_another_python_is_told(monkeypatch, tmp_path, answers):
    spec = importlib.util.spec_from_file_location("engine_answers", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv("REREC_CORE", str(tmp_path / "_core.cpython-39-other.pyd"))
    monkeypatch.setitem(sys.modules, "rerec_engine", None)
    with pytest.raises(ValueError, match=r"rollout.constrain: .* cannot load .*another Python's"):
        module.load_core()
