"""The file that an interrupted evaluation goes on from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rerec_engine.errors import UserError
from rerec_engine.metrics.answer_log import AnswerLog
from rerec_engine.metrics.predictions import Reply, read_answers

RUN = {"server": "http://h/v1", "model": "m", "split": "test", "max_tokens": 9}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log of two answers."""
    log = AnswerLog(tmp_path / "log.jsonl", RUN)
    log.add({"id": "a", "response": "erste\nZeile \u2028"})
    log.add({"id": "b", "response": "\ud83d", "reasoning": "so", "finish": "length", "completion_tokens": 3})
    log.close()
    return log.path


def entries(path: Path, run: dict[str, Any] = RUN) -> dict[str, dict[str, Any]]:
    log = AnswerLog(path, run)
    log.close()
    return log.entries


def test_it_is_read_back_and_by_predictions_too(path: Path) -> None:
    assert list(entries(path)) == ["a", "b"]
    replies = read_answers(path, ["b", "a"]).replies
    assert replies == {"b": Reply("?", 3, True, "so"), "a": Reply("erste\nZeile \u2028")}
    assert replies["b"].response == "<think>\nso\n</think>\n?"
    assert replies["a"].response == replies["a"].text


def test_a_mark_in_the_reasoning_does_not_end_it() -> None:
    assert Reply("x", reasoning="</think> \\boxed{y}").response == "<think>\n \\boxed{y}\n</think>\nx"


@pytest.mark.parametrize("cut", range(1, 40, 6))
def test_a_last_line_that_was_cut_off_is_asked_again(path: Path, cut: int) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    log = AnswerLog(path, RUN)
    assert list(log.entries) == ["a"]
    log.add({"id": "b", "response": "x"})
    log.close()
    assert list(entries(path)) == ["a", "b"]
    assert path.read_bytes().count(b"\n") == 3


def test_a_header_that_was_cut_off_is_no_run(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])
    assert entries(path) == {}
    assert not path.exists()  # nothing to go on from


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model": "n"}, r'another run \(model: "m", now "n"\): name another file \(--answers\), or remove it'),
        ({"max_tokens": 10}, r"another run \(max_tokens: 9, now 10\)"),
        ({"server": "http://g/v1"}, "another run"),
        ({"temperature": 0}, r"\(temperature: null, now 0\)"),
    ],
)
def test_a_file_of_another_run_is_refused(path: Path, change: dict[str, Any], told: str) -> None:
    before = path.read_bytes()
    with pytest.raises(UserError, match=told) as caught:
        AnswerLog(path, {**RUN, **change})
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hello\n", r"log\.jsonl:1: is no JSON object"),
        ('{"id": "a", "response": "x"}\n', "something else than a server's answers"),
        ("[1]\n", ":1: is no JSON object"),
        ('{"answers_of": RUN}\n{"id": 1, "response": ""}\n', r"log\.jsonl:2: has no text under 'id' and 'response'"),
        ('{"answers_of": RUN}\n{"id": "a"\n', r"log\.jsonl:2: is no JSON object; remove the line"),
        ('{"answers_of": RUN}\n\xff\n', r"log\.jsonl:2: is no JSON object"),
    ],
)
def test_what_is_no_log_is_refused_and_left_as_it_is(tmp_path: Path, text: str, told: str) -> None:
    content = text.replace("RUN", json.dumps(RUN)).encode("latin-1")
    (tmp_path / "log.jsonl").write_bytes(content)
    with pytest.raises(UserError, match=told):
        AnswerLog(tmp_path / "log.jsonl", RUN)
    assert (tmp_path / "log.jsonl").read_bytes() == content


def test_one_evaluation_writes_at_a_time(path: Path) -> None:
    log = AnswerLog(path, RUN)
    with pytest.raises(UserError, match="another evaluation is writing it"):
        AnswerLog(path, RUN)
    log.close()
    entries(path)


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot write: "):
        AnswerLog(tmp_path / "no" / "log.jsonl", RUN)
    with pytest.raises(UserError, match="cannot write: "):
        AnswerLog(tmp_path, RUN)
