"""Answers as OpenAI's API words them."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from rerec_engine.assistant.stream import Thought
from rerec_engine.serve.conversation import Reply
from rerec_engine.serve.schema import MODEL

DONE = "data: [DONE]\n\n"


def sse(value: dict[str, Any]) -> str:
    """One server-sent event."""
    return f"data: {json.dumps(value)}\n\n"


def usage(reply: Reply) -> dict[str, int]:
    """Counts of tokens; the answer's are those that the model drew, its box included."""
    total = reply.prompt_tokens + reply.new_tokens
    return {"prompt_tokens": reply.prompt_tokens, "completion_tokens": reply.new_tokens, "total_tokens": total}


def delta(piece: str | Thought) -> dict[str, str]:
    """What a piece of an answer adds."""
    return {"content": piece} if isinstance(piece, str) else {"reasoning_content": piece.text}


class Wording:
    """The objects of one answer, which share an id."""

    def __init__(self) -> None:
        self._head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": MODEL}

    def chunk(
        self, delta: dict[str, Any], finish: str | None = None, rerec: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """One piece of a streamed answer; the last has a finish reason and the answer as JSON."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        extra = {} if rerec is None else {"rerec": rerec}
        return {**self._head, "object": "chat.completion.chunk", "choices": [choice], **extra}

    def usage_chunk(self, reply: Reply) -> dict[str, Any]:
        """What follows the last piece where the counts were asked for."""
        return {**self._head, "object": "chat.completion.chunk", "choices": [], "usage": usage(reply)}

    def whole(self, text: str, reply: Reply, thinking: str = "") -> dict[str, Any]:
        """An answer that is not streamed. thinking: its blocks of reasoning, as DeepSeek's API and vLLM give them."""
        message = {"role": "assistant", "content": text, "refusal": None}
        message |= {"reasoning_content": thinking} if thinking else {}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reply.finish}
        head = {**self._head, "object": "chat.completion", "choices": [choice]}
        return {**head, "usage": usage(reply), "rerec": reply.structured}


def model_card(created: int) -> dict[str, Any]:
    """The one model."""
    return {"id": MODEL, "object": "model", "created": created, "owned_by": "rerec_engine"}
