"""Requests as OpenAI's clients send them: what is read, what changes nothing, what is refused."""

from __future__ import annotations

import pytest

pytest.importorskip("fastapi", reason="fastapi is missing: pip install .[serve]")

from pydantic import ValidationError

from rerec_engine.serve.errors import ApiError
from rerec_engine.serve.limits import Limits
from rerec_engine.serve.schema import IGNORED, UNSUPPORTED, ChatMessage, ChatRequest

LIMITS = Limits(new_tokens=20, messages=3, characters=30)
USER = {"role": "user", "content": "a drama"}


def request(**more):
    return ChatRequest.model_validate({"model": "rerec", "messages": [USER], **more})


def test_what_is_not_said():
    asked = request()
    assert asked.request == "a drama"
    assert (asked.user_id, asked.candidates, asked.top_k, asked.seed, asked.temperature) == (None,) * 5
    assert not asked.stream
    assert not asked.include_usage
    assert asked.new_tokens(LIMITS) == 20
    asked.check(LIMITS)


def test_parts_of_a_message_are_its_lines():
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert ChatMessage(role="user", content=parts).text == "a\nb"
    assert ChatMessage(role="user", content=[]).text == ""
    assert request(messages=[{"role": "system", "content": "x"}, {**USER, "content": parts}]).request == "a\nb"


@pytest.mark.parametrize("part", [{"type": "image_url"}, {"text": "x"}, "x", None, ["text"]], ids=str)
def test_a_part_that_is_no_text_is_refused(part):
    with pytest.raises(ValidationError, match="every part of a message's content must be text"):
        ChatMessage(role="user", content=[{"type": "text", "text": "a"}, part])


@pytest.mark.parametrize("name", sorted(UNSUPPORTED))
def test_a_field_that_would_change_the_answer_is_refused_and_its_empty_forms_are_not(name):
    for value in (None, "", [], {}, *UNSUPPORTED[name]):
        assert request(**{name: value}) == request()
    with pytest.raises(ValidationError, match=f"{name} is not supported"):
        request(**{name: "something else"})


def test_only_what_is_harmless_is_named():
    with pytest.raises(ValidationError, match=r"n is not supported \(only 1\)"):
        request(n=2)
    with pytest.raises(ValidationError, match=r'response_format is not supported \(only \{"type": "text"\}\)'):
        request(response_format={"type": "json_object"})
    with pytest.raises(ValidationError, match=r"stop is not supported \["):
        request(stop=["x"])


def test_what_changes_nothing_is_left_out_and_the_unknown_refused():
    assert request(**dict.fromkeys(IGNORED, "whatever")) == request()
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        request(canditates=["A"])


@pytest.mark.parametrize(
    "more",
    [
        {"temperature": -0.1},
        {"temperature": 1e-39},
        {"temperature": 2.1},
        {"temperature": float("nan")},
        {"max_tokens": 0},
        {"seed": 2**63},
        {"seed": -(2**63) - 1},
        {"candidates": []},
        {"candidates": ["x"] * 101},
        {"top_k": 0},
        {"top_k": 101},
        {"messages": []},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": "user"}]},
        {"user": [1]},
        *({"chat_template_kwargs": wrong} for wrong in ("{}", [], True, 1, [["a", 1]])),
        *({name: True} for name in ("user", "temperature", "max_tokens", "max_completion_tokens", "seed", "top_k")),
    ],
    ids=lambda more: f"{next(iter(more))}",
)
def test_values_out_of_range(more):
    with pytest.raises(ValidationError) as caught:
        request(**more)
    assert next(iter(more)) in caught.value.errors()[0]["loc"]


def test_a_templates_variables_may_be_any_json():
    for value in (None, {}, {"enable_thinking": False, "words": ["a", {"b": None}], "budget": 3.5}):
        asked = request(chat_template_kwargs=value)
        asked.check(LIMITS)
        assert asked.chat_template_kwargs == value


def test_the_ends_of_the_ranges_are_in_them():
    for more in ({"temperature": 0}, {"temperature": 2}, {"seed": 2**63 - 1}, {"seed": -(2**63)}, {"top_k": 100}):
        ((name, value),) = more.items()
        assert getattr(request(**more), name) == value


@pytest.mark.parametrize(
    ("user", "expected"), [("cust0066", "cust0066"), (12, "12"), (0, "0"), (" 7 ", "7"), ("", None), ("  ", None)]
)
def test_the_datasets_user(user, expected):
    assert request(user=user).user_id == expected


@pytest.mark.parametrize(
    ("more", "tokens"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
        ({"max_tokens": 7, "max_completion_tokens": 7}, 7),
        ({"max_completion_tokens": 20}, 20),
    ],
)
def test_tokens_of_the_answer(more, tokens):
    asked = request(**more)
    asked.check(LIMITS)
    assert asked.new_tokens(LIMITS) == tokens


def test_counts_are_for_streams_alone():
    options = {"stream_options": {"include_usage": True}}
    assert request(stream=True, **options).include_usage
    request(stream=True, **options).check(LIMITS)
    with pytest.raises(ApiError, match="stream: true alone"):
        request(**options).check(LIMITS)


@pytest.mark.parametrize(
    ("more", "status", "param", "message"),
    [
        ({"model": "other"}, 404, "model", "no model 'other' here, only 'rerec'"),
        ({"messages": [USER] * 4}, 400, "messages", "at most 3 messages, got 4"),
        ({"messages": [{**USER, "content": "x" * 16}] * 2}, 400, "messages", "at most 30 characters in all messages"),
        ({"messages": [{**USER, "content": "x" * 31}]}, 400, "messages", "got 31"),
        ({"messages": [USER, {"role": "system", "content": "x"}]}, 400, "messages", "not the system's"),
        ({"max_tokens": 21}, 400, "max_tokens", "max_tokens is at most 20 here, got 21"),
        ({"max_completion_tokens": 21}, 400, "max_completion_tokens", "max_completion_tokens is at most 20"),
        ({"max_tokens": 1, "max_completion_tokens": 2}, 400, "max_tokens", "differ; give one"),
        ({"messages": [{**USER, "content": "a \ud800"}]}, 400, "messages", "no valid Unicode"),
        ({"candidates": ["\udfff"]}, 400, "messages", "no valid Unicode"),
        ({"chat_template_kwargs": {"a": ["\udfff"]}}, 400, "chat_template_kwargs", "JSON object of valid Unicode"),
        ({"chat_template_kwargs": {"a": float("inf")}}, 400, "chat_template_kwargs", "JSON object of valid Unicode"),
    ],
)
def test_what_is_more_than_the_limits(more, status, param, message):
    asked = request(**more)
    with pytest.raises(ApiError) as caught:
        asked.check(LIMITS)
    assert (caught.value.status, caught.value.param) == (status, param)
    assert message in caught.value.message


def test_exactly_the_limits_are_allowed():
    request(messages=[{**USER, "content": "x" * 10}] * 3, max_tokens=20).check(LIMITS)


def test_a_models_name_is_told_in_part():
    with pytest.raises(ApiError) as caught:
        request(model="x" * 500).check(LIMITS)
    assert len(caught.value.message) < 150
