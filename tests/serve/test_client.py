"""The official client, and a client that leaves, against a real server."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest

openai = pytest.importorskip("openai", reason="the openai client is missing: pip install .[test]")
httpx = pytest.importorskip("httpx", reason="httpx is missing: pip install .[test]")


def messages(text):
    return [{"role": "user", "content": text}]


@pytest.fixture(scope="module")
def titles(mini_demo):
    from rerec_engine.data.dataset import load_dataset

    return load_dataset(mini_demo).titles


@pytest.fixture(scope="module")
def client(serve_here):
    url = serve_here(new_tokens=32)
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none needed", max_retries=0) as made:
        yield made


def test_official_client(client, titles):
    assert [model.id for model in client.models.list()] == ["rerec"]
    asked = dict(
        model="rerec", messages=messages("Find a drama"), max_tokens=20, extra_body={"candidates": list(titles[:3])}
    )
    answer = client.chat.completions.create(**asked)
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.rerec["request"] == "Find a drama"
    assert answer.rerec["candidates"] == list(titles[:3])
    assert 0 < answer.usage.completion_tokens <= 20
    pieces = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    text = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    assert text == answer.choices[0].message.content
    assert pieces[0].choices[0].delta.role == "assistant"
    assert pieces[-1].usage == answer.usage
    assert [piece.rerec for piece in pieces if hasattr(piece, "rerec")] == [answer.rerec]
    assert len(pieces) >= 4  # the role, a text, the reason of the end, the counts


def test_official_client_sees_errors_as_its_own_kinds(client):
    ask = client.chat.completions.create
    with pytest.raises(openai.BadRequestError, match="n is not supported"):
        ask(model="rerec", messages=messages("x"), n=2)
    with pytest.raises(openai.BadRequestError, match="Nowhere: in no catalogue") as caught:
        ask(model="rerec", messages=messages("x"), extra_body={"candidates": ["Nowhere"]}, stream=True)
    assert caught.value.param == "candidates"
    with pytest.raises(openai.BadRequestError, match="user '100000' is not known"):
        ask(model="rerec", messages=messages("x"), user="100000")
    with pytest.raises(openai.NotFoundError, match="no model 'gpt'"):
        ask(model="gpt", messages=messages("x"))


def test_sampling_follows_its_seed(client):
    def answer(**options):
        found = client.chat.completions.create(model="rerec", messages=messages("Find a drama"), **options)
        return found.rerec["response"]

    assert answer(temperature=1, seed=3) == answer(temperature=1, seed=3)
    assert len({answer(temperature=1, seed=seed) for seed in range(5)}) > 1
    assert answer() == answer(seed=9)


def state(url):
    return httpx.get(f"{url}/health").json()


def until(true, seconds=20):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("stream", [True, False])
def test_client_that_leaves_ends_its_answer(serve_here, parts, monkeypatch, stream):
    """One answer without an end is being made, another client waits: both go, and the place is free again."""
    from rerec_engine.rollout.sampler import Sampler

    drawn = threading.Event()

    def endless(*_):
        while True:
            drawn.set()
            time.sleep(0.001)
            yield parts[1].tokenizer.encode(" a")[0]

    url = serve_here(concurrent=1, queue=1)
    body = json.dumps({"model": "rerec", "messages": messages("Find a drama"), "stream": stream}).encode()
    host, port = url.removeprefix("http://").split(":")
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}:{port}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with monkeypatch.context() as patch:
        patch.setattr(Sampler, "stream", endless)
        clients = [socket.create_connection((host, int(port))) for _ in range(2)]
        for number, connection in enumerate(clients, start=1):
            connection.sendall(head.encode() + body)
            until(lambda number=number: state(url)["running"] + state(url)["waiting"] == number)
        assert drawn.wait(10)
        clients[1].close()
        until(lambda: state(url)["waiting"] == 0)
        clients[0].close()
        until(lambda: state(url)["running"] == 0)
    answer = httpx.post(f"{url}/v1/chat/completions", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200
