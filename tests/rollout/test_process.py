"""A child that answers messages: its answers, its faults in one line, and its end with all that it started."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rerec_engine.errors import RunError, UserError
from rerec_engine.rollout import process as module
from rerec_engine.rollout.child import engine_wire
from rerec_engine.rollout.process import EngineProcess, end_group, ending, last_line

PROGRAM = Path(__file__).parent / "answering_child.py"
ENVIRONMENT = {"PYTHONPATH": str(Path(engine_wire.__file__).parent), "SAID": "this alone"}


@pytest.fixture
def start(tmp_path):
    """Starts the program; all that is left of it goes at the end."""
    made = []

    def make(python: str = sys.executable, descriptors=(), remedy: str = "") -> EngineProcess:
        made.append(EngineProcess(python, PROGRAM, tmp_path / "a" / "engine.log", ENVIRONMENT, descriptors, remedy))
        return made[-1]

    yield make
    for process in made:
        process.kill()


def test_answers_and_what_the_child_is_given(start):
    source, sink = os.pipe()
    os.write(sink, b"through a descriptor")
    process = start(descriptors=[source])
    answer = process.ask({"op": "read", "value": [1, (2.5, None), b"x" * 200_000]}, 20)
    assert answer["text"] == "through a descriptor"
    assert answer["value"] == [1, (2.5, None), b"x" * 200_000]
    assert answer["arguments"] == [str(source), str(os.getpid())]
    assert answer["environment"].keys() - {"LC_CTYPE"} == {"PYTHONPATH", "SAID"}  # nothing of ours
    assert os.getpgid(process.process.pid) == process.process.pid
    assert process.running
    os.close(source), os.close(sink)


@pytest.mark.parametrize(
    ("message", "how"),
    [
        ({"op": "exit", "code": 3}, "ended with exit code 3 at exit"),
        ({"op": "exit", "code": 0}, "ended with exit code 0 at exit"),
        ({"op": "die"}, "was killed by signal 9 (SIGKILL, perhaps for want of memory) at die"),
    ],
    ids=["exit", "end", "killed"],
)
def test_a_child_that_dies_is_one_line_and_takes_its_helpers_along(start, message, how, group, gone):
    process = start(remedy="; go on so")
    pid, log = process.process.pid, process.log
    process.ask({"op": "help"}, 20)
    assert len(group(pid)) == 2
    with pytest.raises(RunError) as caught:
        process.ask(message, 20)
    assert str(caught.value) == f"the rollout engine (process {pid}) {how} (log: {log}); go on so"
    assert gone(pid)
    assert not process.running
    with pytest.raises(RunError, match=rf"\(process {pid}\) was closed or has ended before at again \(log: "):
        process.ask({"op": "again"}, 20)


def test_the_last_line_of_this_start_is_quoted_and_none_of_an_earlier_one(start):
    first = start()
    first.ask({"op": "say", "text": "ValueError: of the first start"}, 20)
    first.kill()
    second = start()
    second.ask({"op": "say", "text": "fine so far"}, 20)
    with pytest.raises(RunError, match=rf"exit code 4 at exit; its last line in {second.log}: fine so far$"):
        second.ask({"op": "exit", "code": 4}, 20)
    assert second.log.read_text() == "ValueError: of the first start\nfine so far\n"


@pytest.mark.parametrize(
    ("kind", "error", "text"),
    [
        ("setting", UserError, "lower this"),
        ("broken", RunError, "the rollout engine failed at broken: lower this (log: {log}); go on so"),
    ],
)
def test_a_fault_that_the_child_tells_ends_it(start, kind, error, text, gone):
    process = start(remedy="; go on so")
    with pytest.raises(error) as caught:
        process.ask({"op": kind, "text": "lower this"}, 20)
    assert type(caught.value) is error
    assert str(caught.value) == text.format(log=process.log)
    assert gone(process.process.pid)


def test_a_child_that_hangs_is_killed_at_the_limit(start, gone):
    process = start()
    process.ask({"op": "help"}, 20)
    told = r"gave no answer in 0\.2 s \(rollout\.vllm\.timeout\) and was killed at hang \(log: "
    with pytest.raises(RunError, match=told):
        process.ask({"op": "hang"}, 0.2)
    assert gone(process.process.pid)


def test_a_child_that_hangs_up_but_lives_on_is_ended(start, monkeypatch, gone):
    wait = module._wait
    monkeypatch.setattr(module, "_wait", lambda process, seconds: wait(process, min(seconds, 0.1)))
    process = start()
    with pytest.raises(RunError, match="closed its connection at hang_up"):
        process.ask({"op": "hang_up"}, 20)
    assert gone(process.process.pid)


def test_interrupted_in_an_exchange_the_child_goes_for_its_answer_would_be_anothers(start, monkeypatch, gone):
    def interrupted(_):
        raise KeyboardInterrupt

    process = start()
    monkeypatch.setattr(process._channel, "receive", interrupted)
    with pytest.raises(KeyboardInterrupt):
        process.ask({"op": "say", "text": "late"}, 20)
    assert gone(process.process.pid)


def test_a_python_that_is_not_there_is_told(start):
    with pytest.raises(UserError, match=r"^rollout\.vllm\.python: cannot start /no/such/python: No such file or dir"):
        start(python="/no/such/python")


def test_closed_it_is_asked_to_end_and_ended_whatever_it_answers(start, tmp_path, gone):
    polite, rude, unasked = start(), start(), start()
    polite.close({"op": "close", "path": str(tmp_path / "polite")})
    rude.close({"op": "broken", "text": "I will not"})
    unasked.close()
    assert (tmp_path / "polite").read_text() == "closed"
    assert all(gone(each.process.pid) and not each.running for each in (polite, rude, unasked))
    polite.close({"op": "close", "path": str(tmp_path / "again")})
    assert not (tmp_path / "again").exists()


def test_forgotten_it_ends(tmp_path, gone):
    process = EngineProcess(sys.executable, PROGRAM, tmp_path / "log", ENVIRONMENT)
    pid = process.process.pid
    assert process.ask({"op": "help"}, 20)["op"] == "help"
    del process
    gc.collect()
    assert gone(pid)


def test_a_group_that_is_deaf_to_the_gentle_end_is_killed(gone):
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(1000)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    process.stdout.readline()
    end_group(process, 0.1, owner=os.getpid())
    assert process.returncode == -9
    assert gone(process.pid)
    process.stdout.close()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (None, "closed its connection"),
        (0, "ended with exit code 0"),
        (1, "ended with exit code 1"),
        (-9, "was killed by signal 9 (SIGKILL, perhaps for want of memory)"),
        (-11, "was killed by signal 11 (SIGSEGV)"),
        (-200, "was killed by signal 200"),
    ],
)
def test_how_a_process_ended(code, expected):
    assert ending(code) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("INFO 01-01 [a.py:1] fine\n", ""),
        ("Traceback (most recent call last):\n  File x\n    y = z\n        ^^^\nKeyError: 'z'\n\n", "KeyError: 'z'"),
        ("torch.OutOfMemoryError: CUDA\nbye\n", "torch.OutOfMemoryError: CUDA"),
        ("\x1b[31mfoo\x1b[0m bar\n", "foo bar"),
    ],
)
def test_last_line_that_says_something(tmp_path, text, expected):
    (tmp_path / "log").write_text("ValueError: of an earlier start\n" + text)
    assert last_line(tmp_path / "log", start=len("ValueError: of an earlier start\n")) == expected
    assert last_line(tmp_path / "none") == ""
