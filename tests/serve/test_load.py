"""Fifty clients at once: nothing lost or mixed, bounded memory and threads, clean refusals."""

from __future__ import annotations

import asyncio
import json
import signal
import time

import pytest

httpx = pytest.importorskip("httpx", reason="httpx is missing: pip install .[test]")

CLIENTS = 50
GROWTH = 32  # MiB of resident memory that two further rounds of the load may add


def text_of(number):
    return f"Find me a film with the number {number}"


def request(number):
    return {"messages": [{"role": "user", "content": text_of(number)}], "temperature": 1, "seed": number}


async def ask_all(url, stream, body):
    """All clients at once; after a 429 each sends again when its Retry-After has passed. Answers, and the 429s."""
    told = []

    async def one(client, number):
        sent = {**body, **request(number), "stream": stream}
        while True:
            response = await client.post("/v1/chat/completions", json=sent)
            if response.status_code != 429:
                break
            told.append(response)
            await asyncio.sleep(float(response.headers["Retry-After"]))
        assert response.status_code == 200, response.text
        return read_stream(response.text) if stream else read_whole(response.json())

    limits = httpx.Limits(max_connections=CLIENTS)  # a connection each
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        return await asyncio.gather(*(one(client, number) for number in range(CLIENTS))), told


def read_whole(answer):
    return answer["choices"][0]["message"]["content"], answer["rerec"]


def read_stream(text):
    lines = text.strip().split("\n\n")
    assert lines.pop() == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert len({chunk["id"] for chunk in chunks}) == 1
    return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks), chunks[-1]["rerec"]


@pytest.mark.slow
def test_fifty_clients_get_their_own_answers_and_memory_stays(server, record_property):
    """Answers differ by request and seed; each must be the one that its request gets alone."""
    body = {"model": "rerec", "max_tokens": 10}
    with httpx.Client(base_url=server.url, timeout=60) as client:
        alone = [
            read_whole(client.post("/v1/chat/completions", json={**body, **request(number)}).json())
            for number in range(CLIENTS)
        ]
    assert [rerec["request"] for _, rerec in alone] == [text_of(number) for number in range(CLIENTS)]
    assert len({content for content, _ in alone}) > CLIENTS * 0.9
    answers, told = asyncio.run(ask_all(server.url, True, body))
    assert (answers, told) == (alone, [])
    memory, threads = server.memory(), server.threads()
    began = time.monotonic()
    for stream in (True, False):
        answers, told = asyncio.run(ask_all(server.url, stream, body))
        assert (answers, told) == (alone, [])
    seconds = time.monotonic() - began
    grown = server.memory() - memory
    record_property(
        "figures", [f"{2 * CLIENTS / seconds:.0f} answers/s, {memory:.0f} MiB resident, {grown:+.1f} after the load"]
    )
    assert grown < GROWTH
    assert server.threads() == threads


@pytest.mark.slow
def test_overflow_is_429_and_everyone_gets_an_answer_in_the_end(serve_here, record_property):
    url = serve_here(concurrent=2, queue=30, new_tokens=10)
    answers, told = asyncio.run(ask_all(url, True, {"model": "rerec"}))
    assert [rerec["request"] for _, rerec in answers] == [text_of(number) for number in range(CLIENTS)]
    assert told
    for response in told:
        assert response.json()["error"]["code"] == "rate_limit_exceeded"
        assert 1 <= int(response.headers["Retry-After"]) <= 60
    record_property("figures", [f"{CLIENTS} clients, 2 at once, 30 waiting: {len(told)} times 429, all answered"])
    state = httpx.get(f"{url}/health").json()
    assert (state["running"], state["waiting"]) == (0, 0)


@pytest.mark.slow
def test_signal_ends_a_server_that_is_answering(server):
    """The last test of the file: the server is gone afterwards."""
    endless = {"model": "rerec", **request(0), "temperature": 2, "stream": True}
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=endless) as response:
        next(response.iter_text())
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(20)
    assert server.process.returncode == -signal.SIGTERM
