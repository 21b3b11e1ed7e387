"""Requests in a model's words, from a stand-in server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from rerec_engine.errors import UserError
from rerec_engine.worlds.catalogue import make_requests
from rerec_engine.worlds.catalogue.rewrite import Rewriter
from rerec_engine.worlds.options import CatalogueRequestOptions


def last_paragraph(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"].rpartition("\n\n")[2])


@pytest.fixture
def small() -> CatalogueRequestOptions:
    return CatalogueRequestOptions(train_queries=12, val_queries=4, test_queries=4, traces=0)


def test_other_words_that_keep_everything_are_taken(
    games: Any, small: CatalogueRequestOptions, stand_in: Callable[..., Any]
) -> None:
    server = stand_in(lambda body: f"Well then: {last_paragraph(body)}")
    made = make_requests(games("chat"), replace(small, llm=server.url))
    queries = [query for split in made.splits.values() for query in split]
    assert len(server.asked) == len(queries) == 20
    assert {body["model"] for body in server.asked} == {"stand-in"}
    assert all(query.request.startswith("Well then: ") for query in queries)
    assert all(query.request in query.messages[0]["content"] for query in queries)
    assert all(made.extra_info[query.id]["rewritten"] for query in queries)
    assert made.counts == {"requests in a model's words": 20}


def test_other_words_that_lose_something_are_not(
    games: Any, small: CatalogueRequestOptions, stand_in: Callable[..., Any]
) -> None:
    plain = make_requests(games("chat"), small)
    server = stand_in(lambda _: "Anything nice will do.")
    made = make_requests(games("chat"), replace(small, llm=server.url, llm_model="mine"))
    assert made.splits == plain.splits
    assert {body["model"] for body in server.asked} == {"mine"}
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
