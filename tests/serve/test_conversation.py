"""A question through the real assistant and the built-in sampler."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("fastapi", reason="fastapi is missing: pip install .[serve]")

from rerec_engine.serve.conversation import Cancelled, Progress, Question, pairs
from rerec_engine.serve.errors import ApiError
from rerec_engine.types import Sampling


def progress(text="Find a drama", tokens=12, seconds=60.0, seed=3, **more):
    pieces, started = [], []
    question = Question(text, Sampling(tokens, 1.0, seed), time.monotonic() + seconds, **more)
    made = Progress(question, lambda: started.append(True), pieces.append)
    return made, pieces, started


@pytest.fixture(scope="module")
def conversation(make_conversation):
    return make_conversation(4)


def test_pieces_come_before_the_reply_which_counts_them(conversation):
    made, pieces, started = progress()
    reply = conversation.answer(made)
    assert started == [True]
    assert "".join(pieces).strip() == reply.structured["reasoning"]
    assert reply.new_tokens == made.new_tokens == 12
    assert reply.finish == "length"
    assert reply.structured["notes"][0] == "cut off after 12 tokens"
    assert "note: cut off after 12 tokens" in reply.tail
    assert reply.structured["request"] == "Find a drama"
    assert reply.prompt_tokens > 0


def test_answers_of_several_threads_are_those_of_one(conversation):
    def response(number):
        return conversation.answer(progress(f"Find film {number}", 30, seed=number)[0]).structured["response"]

    alone = [response(number) for number in range(12)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(response, range(12))) == alone
    assert len(set(alone)) == 12


def test_followup_knows_what_was_asked(conversation, parts):
    dataset, _ = parts
    relation, value = dataset.attributes.attributes_of(0)[0]
    film = f"1. {dataset.titles[0]}\n   * {relation}: {value}"
    earlier = ({"role": "user", "content": f"Find something with {value}"}, {"role": "assistant", "content": film})
    reply = conversation.answer(progress("another", earlier=earlier)[0])
    assert reply.structured["follows"] is True
    assert value.lower() in " ".join(reply.structured["conditions"]).lower()
    assert dataset.titles[0] not in reply.structured["candidates"]
    assert conversation.answer(progress("another")[0]).structured["follows"] is False


@pytest.mark.parametrize(
    ("more", "param", "message"),
    [
        ({"candidates": ("No Such Film",)}, "candidates", "candidates: No Such Film: in no catalogue"),
        ({"user": 10**6}, "user", "user '1000000' is not known: give a row"),
        ({"text": "x" * 8001}, "messages", "1 to 8000 characters"),
    ],
)
def test_what_the_assistant_refuses_is_the_clients_mistake(conversation, more, param, message):
    made, _, started = progress(**more)
    with pytest.raises(ApiError) as caught:
        conversation.answer(made)
    assert (caught.value.status, caught.value.param) == (400, param)
    assert message in caught.value.message
    assert not started


def test_prompt_longer_than_the_model_takes(conversation, monkeypatch):
    monkeypatch.setattr(conversation, "context", 10)
    with pytest.raises(ApiError, match="the model takes 10, the answer included") as caught:
        conversation.answer(progress()[0])
    assert caught.value.code == "context_length_exceeded"


def test_answer_ends_where_the_model_takes_no_more(conversation, monkeypatch):
    needed = conversation.answer(progress()[0]).prompt_tokens
    monkeypatch.setattr(conversation, "context", needed + 5)
    reply = conversation.answer(progress()[0])
    assert (reply.new_tokens, reply.finish) == (5, "length")


def test_cancelled_or_late_answer_ends_and_frees_the_sampler(conversation):
    for _ in range(5):  # more often than there are samplers
        made = progress(tokens=500)[0]
        made.write = lambda piece, made=made: made.cancel.set()
        with pytest.raises(Cancelled):
            conversation.answer(made)
        with pytest.raises(ApiError, match="too long"):
            conversation.answer(progress(seconds=-1)[0])
    assert conversation.answer(progress()[0]).new_tokens == 12
    assert threading.active_count() < 50


def test_pairs_of_a_chat():
    user, assistant = (lambda text, role=role: {"role": role, "content": text} for role in ("user", "assistant"))
    assert pairs([]) == []
    assert pairs([assistant("hello"), user("a"), assistant("b"), assistant("c"), user("d")]) == [
        ("a", "\nb\nc"),
        ("d", ""),
    ]
    assert len(pairs([user("a"), assistant("b")] * 20)) == 8
