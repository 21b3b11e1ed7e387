"""What stands before the app, as ASGI: an app that tells what reached it, and messages made by hand."""

from __future__ import annotations

import asyncio
import json

import pytest

pytest.importorskip("fastapi", reason="fastapi is missing: pip install .[serve]")

from rerec_engine.serve import guard
from rerec_engine.serve.guard import DRAINED, HEADERS, Guard
from rerec_engine.serve.limits import Limits

LIMITS = Limits(body=10, seconds=20)


class App:
    """Reads the body, answers it, and keeps what it was asked."""

    def __init__(self):
        self.bodies, self.scopes = [], []

    async def __call__(self, scope, receive, send):
        self.scopes.append(scope["type"])
        if scope["type"] != "http":
            return
        message = await receive()
        self.bodies.append(message["body"])
        assert not message["more_body"]
        self.after = await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})
        await send({"type": "http.response.body", "body": b"fine"})


def part(body=b"", more=False):
    return {"type": "http.request", "body": body, "more_body": more}


GONE = {"type": "http.disconnect"}


def ask(app, *messages, key=None, path="/v1/models", headers=(), limits=LIMITS, kind="http"):
    """(status, headers, body) that the client gets; None where it gets nothing. messages: what it sends, or one
    iterator of them."""
    sent, left = [], iter(messages or (part(), GONE))
    if messages and not isinstance(messages[0], dict):
        (left,) = messages

    async def receive():
        message = next(left, None)
        if message is None:
            await asyncio.sleep(60)
        return message

    async def send(message):
        sent.append(message)

    pairs = [(name.encode(), value.encode()) for name, value in {"host": "here:80", **dict(headers)}.items()]
    scope = {"type": kind, "path": path, "method": "POST", "headers": pairs}
    asyncio.run(Guard(app, limits, key)(scope, receive, send))
    if not sent:
        return None
    start, *bodies = sent
    told = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], told, b"".join(message["body"] for message in bodies)


def error(answer):
    status, _, body = answer
    told = json.loads(body)["error"]
    return status, told["code"], told["message"]


def test_the_app_gets_the_body_in_one_piece_and_then_what_comes():
    app = App()
    status, headers, body = ask(app, part(b"12345", True), part(b"", True), part(b"67890"), GONE)
    assert (status, body, app.bodies, app.after) == (200, b"fine", [b"1234567890"], GONE)
    assert headers == {"x-own": "1", **{name.lower(): value for name, value in HEADERS.items()}}


@pytest.mark.parametrize("pieces", [(b"x" * 11,), (b"x" * 6, b"x" * 5), (b"x" * 1000,) * 3], ids=len)
def test_a_body_too_large_is_read_to_its_end_and_refused(pieces):
    app = App()
    messages = [part(piece, i + 1 < len(pieces)) for i, piece in enumerate(pieces)]
    answer = ask(app, *messages)
    assert error(answer) == (413, "body_too_large", "at most 10 bytes of body, got more")
    assert answer[1]["x-content-type-options"] == "nosniff"
    assert app.scopes == []


def test_a_body_without_an_end_is_read_for_a_while_alone():
    app, read = App(), []

    def pieces():
        for _ in range(100):
            read.append(2**20)
            yield part(b"x" * read[-1], True)

    assert error(ask(app, pieces()))[0] == 413
    assert DRAINED < sum(read) <= DRAINED + 2**20
    assert app.scopes == []


def test_a_body_that_does_not_come(monkeypatch):
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.02)
    app = App()
    assert error(ask(app, part(b"1", True))) == (408, "timeout", "the body did not come within 0.02 s")
    assert app.scopes == []


def test_a_client_that_goes_away_reaches_no_app():
    app = App()
    assert error(ask(app, part(b"1", True), GONE))[0] == 400
    assert app.scopes == []


def test_an_app_that_takes_too_long_is_left(monkeypatch):
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.01)
    monkeypatch.setattr(guard, "EXTRA_SECONDS", 0.01)

    class Slow(App):
        ended = False

        async def __call__(self, scope, receive, send):
            await asyncio.sleep(60)
            self.ended = True

    app = Slow()
    assert ask(app, limits=Limits(seconds=0.01)) is None
    assert not app.ended


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        ("", 401),
        ("Bearer", 401),
        ("Bearer wrong", 401),
        ("right", 401),
        ("Basic right", 401),
        ("Bearer right2", 401),
        ("Bearer é", 401),
        ("Bearer right", 200),
        ("bearer  right ", 200),
    ],
)
def test_the_key_is_asked_for(header, status):
    app = App()
    answer = ask(app, key="right", headers={} if header is None else {"authorization": header})
    assert answer[0] == status
    assert len(app.bodies) == (status == 200)
    if status == 401:
        assert error(answer)[1] == "invalid_api_key"
        assert answer[1]["www-authenticate"] == "Bearer"


def test_the_page_needs_no_key_and_without_one_nobody_is_asked():
    for path in ("/", "/health", "/page.js"):
        assert ask(App(), key="right", path=path)[0] == 200
    assert ask(App(), path="/v1/chat/completions")[0] == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://here:80", 200),
        ("https://here:80", 200),
        ("http://here", 403),
        ("http://here:81", 403),
        ("http://evil.example", 403),
        ("http://evil.example/here:80", 403),
        ("http://here:80.evil.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_a_page_of_another_origin_is_refused(origin, status):
    app = App()
    answer = ask(app, headers={"origin": origin}, path="/")
    assert answer[0] == status
    assert len(app.bodies) == (status == 200)
    if status == 403:
        assert error(answer)[1] == "wrong_origin"


def test_other_kinds_of_connections():
    app = App()
    ask(app, kind="lifespan")
    assert app.scopes == ["lifespan"]
    assert ask(app, kind="websocket") is None
    assert app.scopes == ["lifespan"]
