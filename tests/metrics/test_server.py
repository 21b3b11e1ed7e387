"""A server's answers: faults of every kind, from a stand-in on this machine."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rerec_engine.errors import UserError
from rerec_engine.metrics.answer_log import AnswerLog
from rerec_engine.metrics.server import Server, address
from rerec_engine.types import Query

openai = pytest.importorskip("openai", reason="the openai client is missing: pip install .[test]")
QUERIES = [Query(f"q{i}", ({"role": "user", "content": f"number {i}"},), ground_truth=(0,)) for i in range(6)]
Say = Callable[[dict[str, Any]], Any]


def number(body: dict[str, Any]) -> int:
    return int(body["messages"][-1]["content"].split()[1])


def refusal(told: str, code: int = 400) -> tuple[int, dict[str, Any]]:
    return code, {"error": {"message": told, "type": "invalid_request_error", "code": None}}


def first_then(*said: Any) -> Say:
    """Of the first query what is told in turn, then an answer; of the others an answer."""
    left = list(said)

    def say(body: dict[str, Any]) -> Any:
        return left.pop(0) if left and number(body) == 0 else f"answer {number(body)}"

    return say


@pytest.fixture(autouse=True)
def swift(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the pauses between tries, and without a key."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setattr("rerec_engine.metrics.server.PAUSE", 0.01)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., tuple[dict[str, Any], dict[str, str], Server]]:
    """(the log's entries, unanswered queries, the server as it was left)"""

    def ask(
        stand_in: Any, url: str = "", queries: Any = QUERIES, skip_bad: bool = False, concurrency: int = 3, **how: Any
    ) -> Any:
        server = Server(url or stand_in.url, "stand-in", **{"max_tokens": 9, "retries": 3, **how})
        log = AnswerLog(tmp_path / "log.jsonl", {"model": "stand-in"})
        try:
            return log.entries, server.ask(queries, log, concurrency=concurrency, skip_bad=skip_bad), server
        finally:
            log.close()

    return ask


def test_every_query_is_asked_once_and_kept(stand_in: Any, ask: Any, tmp_path: Path) -> None:
    server = stand_in(lambda body: f"answer {number(body)}")
    entries, failed, _ = ask(server)
    assert failed == {}
    assert {i: entry["response"] for i, entry in entries.items()} == {f"q{i}": f"answer {i}" for i in range(6)}
    assert {number(body) for body in server.asked} == set(range(6))
    assert all((body["max_tokens"], body["temperature"], body["model"]) == (9, 0, "stand-in") for body in server.asked)
    entry = entries["q0"]
    assert (entry["prompt_tokens"], entry["completion_tokens"], entry["finish"]) == (7, 2, "stop")
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[0] == {"answers_of": {"model": "stand-in"}}
    assert {line["id"]: line for line in lines[1:]} == entries
    ask(server)
    assert len(server.asked) == 6  # nothing was missing


@pytest.mark.parametrize(
    "fault",
    [
        (429, {"error": {"message": "slow down"}}, {"Retry-After": "0.01"}),
        (500, {"error": {"message": "broken"}}),
        (503, b"<html>busy</html>", {"Content-Type": "text/html"}),
        None,
        b"{",
        (200, b"hello", {"Content-Type": "text/plain"}),
        {"choices": []},
        {"choices": None},
        {"choices": [{"message": None}]},
        {"choices": [{"message": {"content": 7}}]},
        [],
        {},
    ],
    ids=lambda fault: str(fault)[:30],
)
def test_a_passing_fault_costs_a_try(fault: Any, stand_in: Any, ask: Any) -> None:
    server = stand_in(first_then(fault, fault))
    entries, failed, _ = ask(server)
    assert (len(entries), failed) == (6, {})
    assert entries["q0"]["response"] == "answer 0"
    assert len(server.asked) == 8


def test_a_slow_answer_is_asked_for_again(stand_in: Any, ask: Any) -> None:
    waits = [1.0]

    def say(body: dict[str, Any]) -> str:
        time.sleep(waits.pop() if waits and number(body) == 0 else 0)
        return f"answer {number(body)}"

    entries, _, _ = ask(stand_in(say), seconds=0.3)
    assert len(entries) == 6


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (refusal("no such parameter"), "refuses the request: 400 no such parameter"),
        (refusal("Incorrect API key", 401), "asks for a key: set OPENAI_API_KEY (Incorrect API key)"),
        (refusal("no access", 403), "asks for a key"),
        (refusal("not here", 404), "has no model 'stand-in' (it has: a, b): not here"),
        ((500, {"error": {"message": "broken"}}), "gives no answer to query 'q0': 500 broken (5 answers are in "),
        (b"{", "gives no answer to query 'q0': an answer without a message"),
        (None, "gives no answer to query 'q0': "),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_lasting_fault_is_one_line(fault: Any, told: str, stand_in: Any, ask: Any) -> None:
    others = threading.Semaphore(0)

    def say(body: dict[str, Any]) -> Any:
        if number(body):
            others.release()
            return "x"
        return fault

    server = stand_in(say, models=["a", "b"])
    with pytest.raises(UserError) as caught:
        ask(server, queries=[*QUERIES[1:], QUERIES[0]])
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_there_survives_a_lasting_fault_and_is_not_asked_again(stand_in: Any, ask: Any) -> None:
    broken = stand_in(lambda body: (500, {}) if number(body) == 3 else f"answer {number(body)}")
    with pytest.raises(UserError, match=r"3 answers are in .*log\.jsonl, the same command goes on; --skip-bad"):
        ask(broken, queries=QUERIES[:4], concurrency=1, retries=0)  # of several at once some would be given up
    whole = stand_in(lambda body: f"answer {number(body)}")
    entries, _, _ = ask(whole)
    assert sorted(map(number, whole.asked)) == [3, 4, 5]
    assert len(entries) == 6


def test_queries_without_an_answer_may_be_left_out(stand_in: Any, ask: Any) -> None:
    server = stand_in(lambda body: (500, {"error": {"message": "broken"}}) if number(body) == 2 else "x")
    entries, failed, _ = ask(server, skip_bad=True, retries=1)
    assert set(entries) == {"q0", "q1", "q3", "q4", "q5"}
    assert failed == {"q2": "500 broken"}


def test_a_dead_server_is_given_up_all_the_same(stand_in: Any, ask: Any) -> None:
    server = stand_in(lambda _: (500, {}))
    queries = [replace(QUERIES[0], id=f"q{i}") for i in range(50)]
    with pytest.raises(UserError, match="gives no answer"):
        ask(server, queries=queries, skip_bad=True, retries=0)
    assert len(server.asked) < 15


def test_no_server_is_told_at_once(ask: Any) -> None:
    start = time.monotonic()
    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:9/v1 cannot be asked: Connection error"):
        ask(None, url="http://127.0.0.1:9", retries=100)
    assert time.monotonic() - start < 30


@pytest.mark.parametrize(
    "told",
    [
        "This model's maximum context length is 2048 tokens. However, you requested 2100 tokens.",
        "'max_tokens' or 'max_completion_tokens' is too large: 768. This model's maximum context length is 99 tokens",
        "the request exceeds the available context size, try increasing it",
        "`inputs` tokens + `max_new_tokens` must be <= 4096",
        "prompt is too long: 9 tokens > 8 maximum",
    ],
)
def test_a_query_too_long_for_the_model_has_no_answer(told: str, stand_in: Any, ask: Any) -> None:
    server = stand_in(lambda body: refusal(told) if number(body) == 1 else "x")
    entries, failed, _ = ask(server)
    assert (len(entries), failed) == (6, {})
    assert entries["q1"] == {"id": "q1", "response": "", "error": f"too long: {told}"}
    ask(server)
    assert len(server.asked) == 6


def test_settings_that_a_model_refuses_are_renamed_or_left_out(
    stand_in: Any, ask: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def say(body: dict[str, Any]) -> Any:
        if "max_tokens" in body:
            told = "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
            return refusal(f"Unsupported parameter: {told}")
        if "temperature" in body:
            return refusal("Unsupported value: 'temperature' does not support 0 with this model.")
        return "x"

    server = stand_in(say)
    entries, _, left = ask(server)
    assert len(entries) == 6
    assert left.settings == {"max_completion_tokens": 9}
    assert capsys.readouterr().err.count("stand-in takes no temperature 0: its own is left") == 1


def test_a_block_of_reasoning_is_kept_apart(stand_in: Any, ask: Any) -> None:
    def say(body: dict[str, Any]) -> Any:
        own: dict[str, Any] = {"content": "said"}
        name = ("reasoning_content", "reasoning", "")[number(body) % 3]
        message = {**own, name: "thought"} if name else {"content": [{"type": "text", "text": "part"}]}
        return {"choices": [{"message": {"role": "assistant", **message}, "finish_reason": "length"}]}

    entries, _, _ = ask(stand_in(say))
    found = {i: (entry["response"], entry.get("reasoning"), entry["finish"]) for i, entry in entries.items()}
    assert found["q0"] == found["q1"] == ("said", "thought", "length")
    assert found["q2"] == ("part", None, "length")
    assert "completion_tokens" not in entries["q0"]


def test_the_key_is_sent_and_told_nowhere(
    stand_in: Any, ask: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    server = stand_in(lambda _: "x")
    ask(server)
    assert server.headers[0]["authorization"] == "Bearer sk-secret"
    assert "secret" not in (tmp_path / "log.jsonl").read_text()
    refusing = stand_in(lambda _: "x", models=(401, {"error": {"message": "wrong key: sk-secret"}}))
    with pytest.raises(UserError, match=r"refuses the key in OPENAI_API_KEY \(wrong key: \*\*\*\)"):
        ask(refusing, queries=[replace(QUERIES[0], id="another")])


@pytest.mark.parametrize("models", [(404, {}), (200, b"{"), {"data": None}, (500, {})], ids=str)
def test_a_server_without_a_list_of_models_will_do(models: Any, stand_in: Any, ask: Any) -> None:
    assert len(ask(stand_in(lambda _: "x", models=models))[0]) == 6


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://h", "http://h/v1"),
        ("https://h:8/v1/", "https://h:8/v1"),
        ("http://h/v1beta/openai", "http://h/v1beta/openai"),
        ("http://h/v1/chat/completions", "http://h/v1"),
        ("http://[::1]:80", "http://[::1]:80/v1"),
    ],
)
def test_addresses(url: str, found: str) -> None:
    assert address(url) == found


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://h", "http://", "", "http://[", "h"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UserError, match="expected an address"):
        address(url)


@pytest.mark.parametrize("url", ["http://me:word@h", "http://h/v1?key=word"])
def test_an_address_holds_no_secret(url: str) -> None:
    with pytest.raises(UserError, match="leave keys and passwords out") as caught:
        address(url)
    assert "word@" not in str(caught.value) and "=word" not in str(caught.value)


def test_without_the_client_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    with pytest.raises(UserError, match=r"pip install 'rerec-engine\[openai\]'"):
        Server("http://h", "m", max_tokens=1)
