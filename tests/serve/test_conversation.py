"""A question through the real assistant and the built-in sampler."""

from __future__ import annotations

import copy
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("fastapi", reason="fastapi is missing: pip install .[serve]")

from rerec_engine.assistant.stream import Thought
from rerec_engine.errors import UserError
from rerec_engine.model.chat import Chat
from rerec_engine.serve.conversation import Question, Reply, pairs
from rerec_engine.serve.errors import ApiError
from rerec_engine.types import Sampling


def question(text="Find a drama", tokens=12, seconds=60.0, seed=3, **more):
    return Question(text, Sampling(tokens, 1.0, seed), time.monotonic() + seconds, **more)


def reply_to(conversation, asked):
    *_, reply = conversation.stream(asked)
    assert isinstance(reply, Reply)
    return reply


@pytest.fixture(scope="module")
def conversation(make_conversation):
    return make_conversation(4)


def test_pieces_come_before_the_reply_which_counts_them(conversation):
    *pieces, reply = conversation.stream(question())
    assert "".join(pieces).strip() == reply.structured["reasoning"]
    assert reply.new_tokens == len(pieces) - 1 == 12  # one more at the end
    assert reply.finish == "length"
    assert reply.structured["notes"][0] == "cut off after 12 tokens"
    assert "note: cut off after 12 tokens" in reply.tail
    assert reply.structured["request"] == "Find a drama"
    assert reply.prompt_tokens > 0


def test_a_block_of_reasoning_is_kept_apart(make_conversation):
    conversation = make_conversation(1)
    title, tokenizer = conversation.assistant.dataset.titles[0], conversation.assistant._chat.tokenizer

    def draw(*_):
        yield from tokenizer.encode(f"<think>\nhm \\boxed{{x}}\n</think>\n\nwhy \\boxed{{{title}}}")

    conversation.assistant._draw = draw
    *pieces, reply = conversation.stream(question(tokens=500))
    assert "".join(piece.text for piece in pieces if isinstance(piece, Thought)) == "\nhm \\boxed{x}\n"
    assert "".join(piece for piece in pieces if isinstance(piece, str)) == "why "
    told = reply.structured
    assert (told["thinking"], told["reasoning"], told["items"][0]["title"]) == ("hm \\boxed{x}", "why", title)


def test_answers_of_several_threads_are_those_of_one(conversation):
    def response(number):
        return reply_to(conversation, question(f"Find film {number}", 30, seed=number)).structured["response"]

    alone = [response(number) for number in range(12)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(response, range(12))) == alone
    assert len(set(alone)) == 12


def test_followup_knows_what_was_asked(conversation, parts):
    dataset, _ = parts
    relation, value = dataset.attributes.attributes_of(0)[0]
    film = f"1. {dataset.titles[0]}\n   * {relation}: {value}"
    earlier = ({"role": "user", "content": f"Find something with {value}"}, {"role": "assistant", "content": film})
    reply = reply_to(conversation, question("another", earlier=earlier))
    assert reply.structured["follows"] is True
    assert value.lower() in " ".join(reply.structured["conditions"]).lower()
    assert dataset.titles[0] not in reply.structured["candidates"]
    assert reply_to(conversation, question("another")).structured["follows"] is False


@pytest.fixture
def switchable(conversation, monkeypatch):
    """A template with a switch that opens a block of reasoning, and one that it fails on."""
    tokenizer = copy.deepcopy(conversation.assistant._chat.tokenizer)
    tokenizer.chat_template += (
        "{% if enable_thinking | default(false) %}<think>\n{% endif %}"
        "{% if effort is defined and effort is not string %}{{ raise_exception('effort: low or high') }}{% endif %}"
    )
    monkeypatch.setattr(conversation.assistant, "_chat", Chat(tokenizer, "model"))
    return conversation


def test_a_request_sets_the_templates_variables_for_itself_alone(switchable):
    plain, *others = (
        reply_to(switchable, question(switches=switches))
        for switches in ({}, {"enable_thinking": True}, {"enable_thinking": False}, {"unread": [1]}, {})
    )
    thinking, *same = others
    assert thinking.prompt_tokens > plain.prompt_tokens
    assert thinking.structured["thinking"] == thinking.structured["response"].strip()
    assert all(reply == plain for reply in same)


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        ({"effort": 3}, "the chat template refuses messages of the roles user: effort: low or high"),
        ({"messages": []}, "'messages' is no variable of a chat template that can be set"),
        ({"add_generation_prompt": False}, "'add_generation_prompt' is no variable"),
        ({"tokenize": True}, "'tokenize' is no variable"),
        ({"chat_template": "{{ 1 }}"}, "'chat_template' is no variable"),
        ({"a b": 1}, "'a b' is no variable"),
    ],
)
def test_switches_that_the_template_does_not_take(switchable, switches, message):
    with pytest.raises(ApiError) as caught:
        switchable.stream(question(switches=switches))
    assert (caught.value.status, caught.value.param) == (400, "chat_template_kwargs")
    assert caught.value.message.startswith("chat_template_kwargs: ")
    assert message in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("more", "param", "message"),
    [
        ({"candidates": ("No Such Film",)}, "candidates", "candidates: No Such Film: in no catalogue"),
        ({"user": 10**6}, "user", "user '1000000' is not known: give a row"),
        ({"text": "x" * 8001}, "messages", "1 to 8000 characters"),
    ],
)
def test_what_the_assistant_refuses_is_the_clients_mistake(conversation, more, param, message):
    with pytest.raises(ApiError) as caught:
        conversation.stream(question(**more))  # before a piece is asked for
    assert (caught.value.status, caught.value.param) == (400, param)
    assert message in caught.value.message


def test_prompt_longer_than_the_model_takes(conversation, monkeypatch):
    monkeypatch.setattr(conversation.assistant, "context", 10)
    with pytest.raises(ApiError, match="the model takes 10, the answer included") as caught:
        conversation.stream(question())
    assert (caught.value.param, caught.value.code) == ("messages", "context_length_exceeded")


def test_answer_ends_where_the_model_takes_no_more(conversation, monkeypatch):
    needed = reply_to(conversation, question()).prompt_tokens
    monkeypatch.setattr(conversation.assistant, "context", needed + 5)
    reply = reply_to(conversation, question())
    assert (reply.new_tokens, reply.finish) == (5, "length")


def test_closed_or_late_answer_ends_and_frees_the_sampler(conversation):
    for _ in range(5):  # more often than there are samplers
        events = conversation.stream(question(tokens=500))
        assert isinstance(next(events), str)
        events.close()
        with pytest.raises(ApiError, match="too long"):
            next(conversation.stream(question(seconds=-1)))
    assert reply_to(conversation, question()).new_tokens == 12
    assert threading.active_count() < 50


def test_answer_that_ends_after_its_time_is_no_answer(conversation, monkeypatch):
    """An engine that gives up at the deadline ends its tokens as if the response were whole."""
    asked = question(seconds=0.05)

    def nothing(*_):
        time.sleep(0.1)
        yield from ()

    monkeypatch.setattr(conversation.assistant, "_draw", nothing)
    with pytest.raises(ApiError, match="too long"):
        reply_to(conversation, asked)


def test_a_mistake_that_is_not_the_clients_is_no_400(conversation, monkeypatch):
    def broken(*_):
        raise UserError("queries/test.parquet: row 3 is damaged")

    monkeypatch.setattr(conversation.assistant, "prepare", broken)
    with pytest.raises(UserError, match="damaged"):
        conversation.stream(question())


def test_pairs_of_a_chat():
    user, assistant = (lambda text, role=role: {"role": role, "content": text} for role in ("user", "assistant"))
    assert pairs([]) == []
    assert pairs([assistant("hello"), user("a"), assistant("b"), assistant("c"), user("d")]) == [
        ("a", "\nb\nc"),
        ("d", ""),
    ]
    assert len(pairs([user("a"), assistant("b")] * 20)) == 8
