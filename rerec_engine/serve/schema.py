"""Requests and answers of `/v1/chat/completions`."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from rerec_engine.serve.errors import ApiError
from rerec_engine.serve.limits import Limits
from rerec_engine.types import LOWEST_TEMPERATURE

MODEL = "rerec"
UNSUPPORTED: dict[str, tuple[Any, ...]] = {  # field: values that change nothing, besides empty ones
    "n": (1,),
    "stop": (),
    "top_p": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": (),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "tools": (),
    "tool_choice": ("none", "auto"),
    "functions": (),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
}
WORDED = ("unsupported", "not_text")  # kinds of our own errors, whose messages name the field
IGNORED = {
    *("metadata", "store", "service_tier", "parallel_tool_calls", "safety_identifier", "prompt_cache_key"),
    *("reasoning_effort", "verbosity"),
}


def _no_truth_value(value: Any) -> Any:
    """Python takes true for 1, and so would pydantic."""
    if isinstance(value, bool):
        raise PydanticCustomError("number_type", "Input should be a number, not {told}", {"told": json.dumps(value)})
    return value


def _drawn(temperature: float) -> float:
    if 0 < temperature < LOWEST_TEMPERATURE:
        told = {"lowest": LOWEST_TEMPERATURE}
        raise PydanticCustomError("temperature", "Input should be 0 (greedy), or {lowest} or more", told)
    return temperature


DRAWN = AfterValidator(_drawn)
NO_TRUTH_VALUE = BeforeValidator(_no_truth_value)
Whole = Annotated[int, NO_TRUTH_VALUE]


class TextPart(BaseModel):
    """One part of a message whose content is a list."""

    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """One message. A part that is no text is refused."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]
    name: str | None = None

    @field_validator("content", mode="before")
    @classmethod
    def _parts_are_text(cls, value: Any) -> Any:
        if isinstance(value, list) and not all(isinstance(p, dict) and p.get("type") == "text" for p in value):
            raise PydanticCustomError("not_text", "every part of a message's content must be text")
        return value

    @property
    def text(self) -> str:
        return self.content if isinstance(self.content, str) else "\n".join(part.text for part in self.content)


class StreamOptions(BaseModel):
    """include_usage: a last chunk with the counts of tokens."""

    include_usage: bool | None = False
    include_obfuscation: bool | None = None


class ChatRequest(BaseModel):
    """A request. candidates, top_k and the dataset's user in `user` are ours, chat_template_kwargs is vLLM's; a field
    that would change the answer and is not supported is an error, and so is an unknown one.
    """

    model_config = ConfigDict(extra="forbid")

    model: str
    messages: list[ChatMessage] = Field(min_length=1)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, NO_TRUTH_VALUE, DRAWN] | None = Field(default=None, ge=0, le=2, allow_inf_nan=False)
    max_tokens: Whole | None = Field(default=None, ge=1)
    max_completion_tokens: Whole | None = Field(default=None, ge=1)
    seed: Whole | None = Field(default=None, ge=-(2**63), lt=2**63)
    user: Annotated[str | int | None, NO_TRUTH_VALUE] = None
    candidates: list[str] | None = Field(default=None, min_length=1, max_length=100)
    top_k: Whole | None = Field(default=None, ge=1, le=100)
    chat_template_kwargs: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _take_out_what_changes_nothing(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        for name, harmless in UNSUPPORTED.items():
            value = values.get(name)
            if value not in (None, "", [], {}, *harmless):
                only = f" (only {json.dumps(harmless[0])})" if harmless else ""
                raise PydanticCustomError(
                    "unsupported", "{param} is not supported{only}", {"param": name, "only": only}
                )
        return {name: value for name, value in values.items() if name not in IGNORED and name not in UNSUPPORTED}

    @property
    def user_id(self) -> str | None:
        """The dataset's user, as the source calls them or by their row; None for nobody."""
        return str(self.user).strip() or None if self.user is not None else None

    @property
    def request(self) -> str:
        """The last message, which is the user's."""
        return self.messages[-1].text

    @property
    def include_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    def new_tokens(self, limits: Limits) -> int:
        """The most tokens of the answer."""
        asked = self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
        return limits.new_tokens if asked is None else asked

    def check(self, limits: Limits) -> None:
        """Raises `ApiError` where the request is more than the limits allow, or not for this model."""
        if self.model != MODEL:
            raise ApiError(
                404, f"no model {self.model[:80]!r} here, only {MODEL!r}", param="model", code="model_not_found"
            )
        if len(self.messages) > limits.messages:
            raise _bad("messages", f"at most {limits.messages} messages, got {len(self.messages)}")
        length = sum(len(message.text) for message in self.messages)
        if length > limits.characters:
            raise _bad("messages", f"at most {limits.characters} characters in all messages, got {length}")
        if self.messages[-1].role != "user":
            raise _bad("messages", f"the last message must be the user's, not the {self.messages[-1].role}'s")
        if None not in (self.max_tokens, self.max_completion_tokens) and self.max_tokens != self.max_completion_tokens:
            raise _bad("max_tokens", "max_tokens and max_completion_tokens differ; give one")
        if self.new_tokens(limits) > limits.new_tokens:
            name = "max_tokens" if self.max_completion_tokens is None else "max_completion_tokens"
            raise _bad(name, f"{name} is at most {limits.new_tokens} here, got {self.new_tokens(limits)}")
        if self.stream_options is not None and not self.stream:
            raise _bad("stream_options", "stream_options is for stream: true alone")
        try:
            "".join([*(message.text for message in self.messages), *(self.candidates or [])]).encode()
        except UnicodeEncodeError:
            raise _bad("messages", "half a surrogate pair in a text: it is no valid Unicode") from None
        try:
            json.dumps(self.chat_template_kwargs, ensure_ascii=False, allow_nan=False).encode()
        except ValueError:
            raise _bad("chat_template_kwargs", "chat_template_kwargs: not a JSON object of valid Unicode") from None


def _bad(param: str, message: str) -> ApiError:
    return ApiError(400, message, param=param)
