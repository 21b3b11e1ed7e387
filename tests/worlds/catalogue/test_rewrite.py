"""Requests in a model's words, from a stand-in server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from rerec_engine.errors import UserError
from rerec_engine.worlds.catalogue import make_requests
from rerec_engine.worlds.catalogue.rewrite import Rewriter
from rerec_engine.worlds.options import CatalogueRequestOptions


@contextmanager
def server(say: Callable[[str], str]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Answers each request with `say` of its last paragraph; yields its address, and what was asked."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({"data": [{"id": "stand-in"}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(body)
            text = body["messages"][-1]["content"].rpartition("\n\n")[2]
            self._answer({"choices": [{"message": {"content": say(text)}}]})

        def _answer(self, value: object) -> None:
            content = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    own = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=own.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{own.server_address[1]}/v1", asked
    finally:
        own.shutdown()
        own.server_close()


@pytest.fixture
def small() -> CatalogueRequestOptions:
    return CatalogueRequestOptions(train_queries=12, val_queries=4, test_queries=4, traces=0)


def test_other_words_that_keep_everything_are_taken(games: Any, small: CatalogueRequestOptions) -> None:
    with server(lambda text: f"Well then: {text}") as (url, asked):
        made = make_requests(games("chat"), replace(small, llm=url))
    queries = [query for split in made.splits.values() for query in split]
    assert len(asked) == len(queries) == 20
    assert {body["model"] for body in asked} == {"stand-in"}
    assert all(query.request.startswith("Well then: ") for query in queries)
    assert all(query.request in query.messages[0]["content"] for query in queries)
    assert all(made.extra_info[query.id]["rewritten"] for query in queries)
    assert made.counts == {"requests in a model's words": 20}


def test_other_words_that_lose_something_are_not(games: Any, small: CatalogueRequestOptions) -> None:
    plain = make_requests(games("chat"), small)
    with server(lambda _: "Anything nice will do.") as (url, asked):
        made = make_requests(games("chat"), replace(small, llm=url, llm_model="mine"))
    assert made.splits == plain.splits
    assert {body["model"] for body in asked} == {"mine"}
    assert not any(own["rewritten"] for own in made.extra_info.values())
    assert made.counts == {"requests whose rewriting lost something, left as they were": 20}


def test_a_form_of_its_own_words_takes_no_others(games: Any, small: CatalogueRequestOptions) -> None:
    with pytest.raises(UserError, match="need the form chat"):
        make_requests(games("sentences"), replace(small, llm="http://localhost:1"))


@pytest.mark.parametrize(
    ("url", "told"), [("localhost:8000", "expected an address"), ("http://127.0.0.1:9/v1", "cannot be asked")]
)
def test_a_server_that_cannot_be_asked_is_told(url: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        Rewriter(url)
