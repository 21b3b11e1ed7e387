"""Every limit and error of the HTTP side, with a conversation that says what the test wants."""

from __future__ import annotations

import json
import threading
import time

import pytest

pytest.importorskip("fastapi", reason="the server is not installed: pip install .[serve]")
pytest.importorskip("httpx", reason="httpx is missing: pip install .[test]")

from fastapi.testclient import TestClient

from rerec_engine.errors import RunError
from rerec_engine.serve.app import create_app
from rerec_engine.serve.conversation import Reply
from rerec_engine.serve.errors import ApiError
from rerec_engine.serve.limits import Limits

URL = "/v1/chat/completions"
LIMITS = Limits(body=4096, new_tokens=20, concurrent=1, queue=1, seconds=20, messages=4, characters=500)


class Backend:
    name = "sampler"
    broken = None
    closed = False

    def fault(self):
        return self.broken

    def close(self):
        self.closed = True


class Fake:
    """Answers with the question's words; `hold` in a request: not before `release` is set."""

    def __init__(self):
        self.backend = Backend()
        self.release = threading.Event()
        self.questions = []
        self.cancelled = threading.Event()

    def stream(self, question):
        self.questions.append(question)
        if "refuse" in question.text:
            raise ApiError(400, "no such title", param="candidates")
        if "crash" in question.text:
            raise ZeroDivisionError("secret of the house")
        return self.say(question)

    def say(self, question):
        words = question.text.split()
        for word in words:
            yield f" {word}"
        while "hold" in words and not self.release.wait(0.01):
            if time.monotonic() > question.deadline:
                raise ApiError(504, "the answer took too long", code="timeout")
            try:
                yield ""
            except GeneratorExit:
                self.cancelled.set()
                raise
        if "break" in words:
            raise RunError("the engine is gone")
        if "late" in words:
            raise ZeroDivisionError("secret of the house")
        yield Reply("1. Heat (1995)", {"request": question.text}, "stop", 7, len(words))


@pytest.fixture
def fake():
    made = Fake()
    yield made
    made.release.set()


@pytest.fixture
def client(fake):
    with TestClient(create_app(fake, LIMITS), raise_server_exceptions=False) as made:
        yield made
        fake.release.set()


def body(text="a drama", **more):
    return {"model": "rerec", "messages": [{"role": "user", "content": text}], **more}


def events(response):
    lines = [line for line in response.text.split("\n\n") if line]
    assert lines.pop() == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def refused(response, status, message, param=None, code=None):
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert message in error["message"]
    assert (error["param"], error["code"]) == (param, code)


def test_answer_in_one_piece(client):
    answer = client.post(URL, json=body()).json()
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"] == {
        "role": "assistant",
        "content": " a drama\n\n1. Heat (1995)",
        "refusal": None,
    }
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"] == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    assert answer["rerec"] == {"request": "a drama"}


def test_streamed_answer_has_the_same_text(client):
    response = client.post(URL, json=body(stream=True, stream_options={"include_usage": True}))
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    found = events(response)
    assert len({event["id"] for event in found}) == 1
    deltas = [event["choices"][0]["delta"] for event in found[:-1]]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("content", "") for delta in deltas) == " a drama\n\n1. Heat (1995)"
    assert [event["choices"][0]["finish_reason"] for event in found[:-1]] == [None] * (len(found) - 2) + ["stop"]
    assert found[-2]["rerec"] == {"request": "a drama"}
    assert found[-1]["choices"] == []
    assert found[-1]["usage"]["total_tokens"] == 9


def test_question_holds_what_was_asked(client, fake):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "a drama"},
        {"role": "assistant", "content": "Heat", "refusal": None},
        {"role": "user", "content": [{"type": "text", "text": "an"}, {"type": "text", "text": "older one"}]},
    ]
    more = {"user": "12", "candidates": ["A", "B"], "top_k": 3, "temperature": 0.5, "max_tokens": 9, "seed": 4}
    more["chat_template_kwargs"] = {"enable_thinking": False}
    harmless = {"n": 1, "stop": [], "top_p": 1.0, "logit_bias": {}, "store": False, "response_format": {"type": "text"}}
    assert client.post(URL, json={"model": "rerec", "messages": messages, **more, **harmless}).status_code == 200
    (question,) = fake.questions
    assert question.text == "an\nolder one"
    assert [turn["content"] for turn in question.earlier] == ["a drama", "Heat"]
    assert (question.user, question.candidates, question.top_k) == ("12", ("A", "B"), 3)
    assert question.switches == {"enable_thinking": False}
    sampling = question.sampling
    assert (sampling.max_new_tokens, sampling.temperature, sampling.seed) == (9, 0.5, 4)


def test_requests_without_a_seed_have_those_of_the_server():
    def seeds(**settings):
        fake = Fake()
        with TestClient(create_app(fake, LIMITS, **settings)) as client:
            for more in ({}, {"seed": 4}, {}):
                client.post(URL, json=body(**more))
        return [question.sampling.seed for question in fake.questions]

    first, given, second = seeds(seed=1)
    assert given == 4
    assert first != second
    assert seeds(seed=1) == [first, given, second]
    assert not {*seeds(), *seeds(seed=2)} & {first, second}
    assert seeds() == seeds(seed=0)


def test_defaults_are_greedy_and_the_most_tokens(client, fake):
    client.post(URL, json=body())
    assert (fake.questions[0].sampling.temperature, fake.questions[0].sampling.max_new_tokens) == (0.0, 20)


@pytest.mark.parametrize(
    ("change", "param", "message"),
    [
        ({"n": 2}, "n", "n is not supported (only 1)"),
        ({"stop": "x"}, "stop", "stop is not supported"),
        ({"tools": [{"type": "function"}]}, "tools", "tools is not supported"),
        ({"logprobs": True}, "logprobs", "logprobs is not supported"),
        ({"response_format": {"type": "json_object"}}, "response_format", "response_format is not supported"),
        ({"temperature": 2.5}, "temperature", "temperature: Input should be less than or equal to 2"),
        ({"max_tokens": 21}, "max_tokens", "max_tokens is at most 20 here, got 21"),
        ({"max_completion_tokens": 21}, "max_completion_tokens", "max_completion_tokens is at most 20"),
        ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"max_tokens": 1, "max_completion_tokens": 2}, "max_tokens", "differ"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "stream: true"),
        ({"candidates": []}, "candidates", "at least 1 item"),
        ({"chat_template_kwargs": "{}"}, "chat_template_kwargs", "chat_template_kwargs: Input should be a valid dict"),
        ({"canditates": ["A"]}, "canditates", "unknown field canditates"),
        ({"messages": []}, "messages", "at least 1 item"),
        ({"messages": [{"role": "user", "content": "x"}] * 5}, "messages", "at most 4 messages, got 5"),
        ({"messages": [{"role": "user", "content": "x" * 501}]}, "messages", "at most 500 characters"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages", "the last message must be the user's"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role", "'user'"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages.0.content",
            "every part of a message's content must be text",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_supported_is_refused(client, fake, change, param, message):
    refused(client.post(URL, json={**body(), **change}), 400, message, param)
    assert fake.questions == []


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"[" * 4000, b'{"model": "\xff"}', b'"x"'],
    ids=lambda content: content[:5].decode("latin1"),
)
def test_body_that_is_no_json_object(client, content):
    response = client.post(URL, content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_half_a_surrogate_pair(client):
    content = json.dumps(body("a \ud800 b"))
    response = client.post(URL, content=content, headers={"Content-Type": "application/json"})
    refused(response, 400, "no valid Unicode", "messages")


def test_form_post_that_any_page_could_send_is_refused(client, fake):
    response = client.post(URL, content=json.dumps(body()), headers={"Content-Type": "text/plain"})
    refused(response, 400, "Content-Type: application/json")
    assert fake.questions == []


def test_body_too_large_whether_its_length_is_told_or_not(client):
    def pieces():
        for _ in range(5):
            yield b"x" * 1000

    for content in (b"x" * 4097, pieces()):
        response = client.post(URL, content=content, headers={"Content-Type": "application/json"})
        refused(response, 413, "at most 4096 bytes", code="body_too_large")


def test_unknown_model(client):
    refused(client.post(URL, json={**body(), "model": "other"}), 404, "only 'rerec'", "model", "model_not_found")
    refused(client.get("/v1/models/other"), 404, "only 'rerec'", "model", "model_not_found")


def test_models(client):
    (card,) = client.get("/v1/models").json()["data"]
    assert (card["id"], card["object"]) == ("rerec", "model")
    assert client.get("/v1/models/rerec").json() == card


def test_unknown_path_and_method_have_the_same_shape(client):
    refused(client.get("/nothing"), 404, "Not Found")
    refused(client.get(URL), 405, "Method Not Allowed")


def test_error_before_the_answer_has_its_status_streamed_or_not(client):
    for stream in (False, True):
        refused(client.post(URL, json=body("refuse", stream=stream)), 400, "no such title", "candidates")
        refused(client.post(URL, json=body("crash", stream=stream)), 500, "internal error")


@pytest.mark.parametrize(("word", "kind"), [("break", "the engine is gone"), ("late", "internal error")])
def test_error_on_the_way_is_an_event(client, word, kind):
    found = events(client.post(URL, json=body(f"a {word}", stream=True)))
    assert found[-1]["error"]["type"] == "server_error"
    assert found[-1]["error"]["message"] == kind


def test_broken_engine_is_503_and_unhealthy(client, fake):
    assert client.get("/health").json() == {"status": "ok", "engine": "sampler", "running": 0, "waiting": 0}
    refused(client.post(URL, json=body("a break")), 503, "the engine is gone", code="engine_failed")
    fake.backend.broken = RunError("vLLM ended")
    refused(client.post(URL, json=body()), 503, "vLLM ended", code="engine_failed")
    health = client.get("/health")
    assert (health.status_code, health.json()["status"]) == (503, "vLLM ended")


def wait_for(client, **counts):
    end = time.monotonic() + 10
    while {name: client.get("/health").json()[name] for name in counts} != counts:
        assert time.monotonic() < end, client.get("/health").json()
        time.sleep(0.01)


def test_full_queue_is_429_and_those_who_wait_are_served(client, fake):
    answers = []
    asking = [threading.Thread(target=lambda: answers.append(client.post(URL, json=body("hold")))) for _ in range(2)]
    for thread in asking:
        thread.start()
    wait_for(client, running=1, waiting=1)
    busy = client.post(URL, json=body())
    refused(busy, 429, "busy", code="rate_limit_exceeded")
    assert busy.json()["error"]["type"] == "rate_limit_error"
    assert 1 <= int(busy.headers["retry-after"]) <= 60
    fake.release.set()
    for thread in asking:
        thread.join()
    assert [answer.status_code for answer in answers] == [200, 200]
    wait_for(client, running=0, waiting=0)
    assert client.post(URL, json=body()).status_code == 200


@pytest.fixture
def hasty(fake):
    with TestClient(create_app(fake, Limits(concurrent=1, queue=1, seconds=0.2))) as made:
        yield made
        fake.release.set()


def test_answer_that_takes_too_long(hasty):
    refused(hasty.post(URL, json=body("hold")), 504, "took too long", code="timeout")
    found = events(hasty.post(URL, json=body("hold", stream=True)))
    assert found[-1]["error"]["code"] == "timeout"
    wait_for(hasty, running=0)


def test_wait_for_a_place_that_takes_too_long(fake):
    slow = Limits(concurrent=1, queue=1, seconds=0.3)
    with TestClient(create_app(fake, slow)) as client:
        fake.stream, whole = (lambda question: (fake.release.wait(5), whole(question))[1]), fake.stream
        first = threading.Thread(target=lambda: client.post(URL, json=body()))
        first.start()
        wait_for(client, running=1)
        refused(late := client.post(URL, json=body()), 503, "no free place", code="queue_timeout")
        assert int(late.headers["retry-after"]) >= 1
        fake.release.set()
        first.join()
        wait_for(client, running=0, waiting=0)


def test_key_is_asked_for_under_v1_alone(fake):
    with TestClient(create_app(fake, LIMITS, key="right")) as client:
        for header in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "right"},
            {"Authorization": "Bearer é"},
        ):
            encoded = {name: value.encode() for name, value in header.items()}
            response = client.post(URL, json=body(), headers=encoded)
            refused(response, 401, "API key", code="invalid_api_key")
            assert response.headers["www-authenticate"] == "Bearer"
        assert client.post(URL, json=body(), headers={"Authorization": "Bearer right"}).status_code == 200
        assert client.get("/").status_code == client.get("/health").status_code == 200
    assert len(fake.questions) == 1


def test_other_hosts_and_origins_are_refused(fake):
    app = create_app(fake, LIMITS, hosts=["127.0.0.1", "localhost", "::1"])
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        for host in ("evil.example", "evil.example:8000", "localhost.evil.example", ""):
            response = client.post(URL, json=body(), headers={"Host": host})
            refused(response, 400, "expected one of 127.0.0.1, localhost, ::1", code="wrong_host")
        for origin in ("http://evil.example", "null", "http://127.0.0.1:9000"):
            refused(client.post(URL, json=body(), headers={"Origin": origin}), 403, "origin", code="wrong_origin")
        assert fake.questions == []
        for host in ("localhost:8000", "[::1]:8000", "127.0.0.1"):
            assert client.post(URL, json=body(), headers={"Host": host}).status_code == 200
        own = client.post(URL, json=body(), headers={"Origin": "http://127.0.0.1:8000"})
        assert own.status_code == 200
        assert "access-control-allow-origin" not in own.headers


def test_page_and_its_files_are_ours_and_carry_a_policy(client):
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in page.text.replace("http-equiv", "")
    for name in ("page.css", "page.js", "answer.js"):
        assert client.get(f"/{name}").status_code == 200
        assert "innerHTML" not in client.get(f"/{name}").text


def test_end_of_the_app_closes_the_backend(fake):
    with TestClient(create_app(fake, LIMITS)):
        assert not fake.backend.closed
    assert fake.backend.closed
