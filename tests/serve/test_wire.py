"""The objects of an answer, as OpenAI's clients read them."""

from __future__ import annotations

import json
import time

import pytest

pytest.importorskip("fastapi", reason="fastapi is missing: pip install .[serve]")

from rerec_engine.assistant.stream import Thought
from rerec_engine.serve.conversation import Reply
from rerec_engine.serve.wire import DONE, Wording, delta, model_card, sse, usage

REPLY = Reply("1. Heat (1995)", {"request": "a drama"}, "length", 7, 2)
COUNTS = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}


def test_an_event_is_one_line_and_an_empty_one():
    text = sse({"text": "a\nb\r\u2028é"})
    assert text.startswith("data: ")
    assert text.endswith("\n\n")
    assert text[:-2].splitlines() == [text[:-2]]  # no line end of a text's
    assert json.loads(text[6:]) == {"text": "a\nb\r\u2028é"}
    assert DONE == "data: [DONE]\n\n"


def test_counts():
    assert usage(REPLY) == COUNTS


def test_pieces_of_one_answer_share_its_head():
    wording, before = Wording(), int(time.time())
    piece, last, counts = wording.chunk({"content": "a"}), wording.chunk({}, "length", {}), wording.usage_chunk(REPLY)
    for chunk in (piece, last, counts):
        assert chunk["object"] == "chat.completion.chunk"
        assert chunk["model"] == "rerec"
        assert chunk["id"] == piece["id"]
        assert before - 2 <= chunk["created"] <= time.time()
    assert piece["id"].startswith("chatcmpl-")
    assert piece["choices"] == [{"index": 0, "delta": {"content": "a"}, "logprobs": None, "finish_reason": None}]
    assert "rerec" not in piece
    assert (last["choices"][0]["delta"], last["choices"][0]["finish_reason"], last["rerec"]) == ({}, "length", {})
    assert (counts["choices"], counts["usage"]) == ([], COUNTS)
    assert Wording().chunk({})["id"] != piece["id"]


def test_a_block_of_reasoning_has_a_field_of_its_own():
    message = Wording().whole("1. Heat (1995)", REPLY, "hm")["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("1. Heat (1995)", "hm")
    assert delta("a") == {"content": "a"}
    assert delta(Thought("a")) == {"reasoning_content": "a"}


def test_an_answer_in_one_piece():
    whole = Wording().whole("Mann.\n\n1. Heat (1995)", REPLY)
    assert whole["object"] == "chat.completion"
    assert whole["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Mann.\n\n1. Heat (1995)", "refusal": None},
            "logprobs": None,
            "finish_reason": "length",
        }
    ]
    assert (whole["usage"], whole["rerec"]) == (COUNTS, {"request": "a drama"})


def test_the_one_model():
    assert model_card(5) == {"id": "rerec", "object": "model", "created": 5, "owned_by": "rerec_engine"}
