"""What stands before the app: who may ask, how much they may send, and how long anything may take."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from urllib.parse import urlsplit

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rerec_engine.serve.errors import ApiError
from rerec_engine.serve.limits import Limits

BODY_SECONDS = 10.0
EXTRA_SECONDS = 5.0  # that a request may take beyond its limit: its body, and a client that reads slowly
DRAINED = 4 * 2**20  # bytes of a body too large that are read and dropped, so that the client gets to read the answer
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware. key: what `Authorization: Bearer` must hold under /v1; None: nobody is asked. hosts: names under
    which it may be asked, of addresses without brackets; None: any.

    A page of another origin is refused. A body is read here, at most `limits.body` bytes of it, before the app runs.
    """

    def __init__(
        self, app: ASGIApp, limits: Limits, key: str | None = None, hosts: Sequence[str] | None = None
    ) -> None:
        self.app, self.limits, self.key, self.hosts = app, limits, key, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no websocket is offered: the server closes it

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        with anyio.move_on_after(self.limits.seconds + BODY_SECONDS + EXTRA_SECONDS):
            try:
                self._admit(scope)
                body = await self._read(scope, receive)
            except ApiError as error:
                await error.response()(scope, receive, send_with_headers)
                return
            await self.app(scope, _replayed(body, receive), send_with_headers)

    def _admit(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if self.hosts is not None and _host(headers.get("host", "")) not in self.hosts:
            known = ", ".join(self.hosts)
            raise ApiError(400, f"the Host header names another machine, expected one of {known}", code="wrong_host")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != headers.get("host"):
            raise ApiError(403, "a page of another origin may not ask here", code="wrong_origin")
        if self.key is None or not scope["path"].startswith("/v1"):
            return
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self.key.encode()):
            raise ApiError(401, "wrong or missing API key (Authorization: Bearer KEY)", code="invalid_api_key")

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        body = bytearray()
        size = 0
        try:
            with anyio.fail_after(BODY_SECONDS):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ApiError(400, "the client went away")
                    size += len(message.get("body", b""))
                    if size <= self.limits.body:
                        body += message.get("body", b"")
                    if not message.get("more_body", False) or size > DRAINED:
                        break
        except TimeoutError:
            raise ApiError(408, f"the body did not come within {BODY_SECONDS:g} s", code="timeout") from None
        if size > self.limits.body:
            raise ApiError(413, f"at most {self.limits.body} bytes of body, got more", code="body_too_large")
        return bytes(body)


def _host(header: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:  # of brackets that do not close
        return ""


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body that was read, then whatever else comes: the client's leaving."""
    parts: Sequence[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    left = iter(parts)

    async def next_message() -> Message:
        return next(left, None) or await receive()

    return next_message
