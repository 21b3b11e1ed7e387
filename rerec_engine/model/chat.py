"""A chat made into a prompt by its tokenizer's template, in the form that the template takes.

Templates differ in what they take: some refuse a system message, some want the roles in turn, some read a content as a
list of parts and make nothing of a text. Which form one takes is measured: by rendering messages of one word each.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rerec_engine.errors import UserError
from rerec_engine.model.templates import is_variable
from rerec_engine.model.thinking import CLOSE, OPEN
from rerec_engine.types import Message

_BETWEEN = "\n\n"  # two messages made one
_told: set[str] = set()

Change = Callable[[list[Message]], list[Message]]


def joined(messages: list[Message]) -> list[Message]:
    """Neighbouring messages of one role as one."""
    out: list[Message] = []
    for message in messages:
        if out and out[-1]["role"] == message["role"]:
            text = f"{out[-1]['content']}{_BETWEEN}{message['content']}"
            out[-1] = Message(role=message["role"], content=text)
        else:
            out.append(message)
    return out


def without_system(messages: list[Message]) -> list[Message]:
    """What the system says, before the first message of the user."""
    said = [message["content"] for message in messages if message["role"] == "system"]
    rest = [message for message in messages if message["role"] != "system"]
    if not said:
        return messages
    first = next((i for i, message in enumerate(rest) if message["role"] == "user"), None)
    if first is None:
        return [Message(role="user", content=_BETWEEN.join(said)), *rest]
    text = _BETWEEN.join([*said, rest[first]["content"]])
    return [*rest[:first], Message(role="user", content=text), *rest[first + 1 :]]


@dataclass(frozen=True)
class Form:
    """How messages are handed to a template: changed, and their contents as text or as parts."""

    changes: tuple[Change, ...] = ()
    in_parts: bool = False

    def of(self, messages: Sequence[Message]) -> list[Any]:
        changed = list(messages)
        for change in self.changes:
            changed = change(changed)
        if not self.in_parts:
            return changed
        return [{**message, "content": [{"type": "text", "text": message["content"]}]} for message in changed]


FORMS = tuple(
    Form(changes, in_parts)
    for changes in ((), (joined,), (without_system,), (without_system, joined))
    for in_parts in (False, True)
)
"""The least change first."""
TOLD: dict[Change, str] = {
    joined: "wants the roles in turn: neighbouring messages of one role are joined",
    without_system: "takes no system message: its text is put before the first user message",
}


class Chat:
    """Makes prompts by a tokenizer's chat template. source: the model's name in errors and in what is told. switches:
    values of the template's variables, which go before its own."""

    def __init__(self, tokenizer: Any, source: str, switches: Mapping[str, Any] | None = None) -> None:
        self.tokenizer, self.source, self._switches = tokenizer, source, dict(switches or {})
        self._opens: bool | None = None
        self._forms: dict[tuple[bool, tuple[str, ...]], Form] = {}

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of the prompt, with the header of the assistant's turn. Raises UserError where there are none."""
        ids = list(self.tokenizer(self.render(messages), add_special_tokens=False)["input_ids"])
        if not ids:
            raise self._error("gives no tokens")
        return ids

    def render(self, messages: Sequence[Message], header: bool = True) -> str:
        """The chat as text. header: end with that of the assistant's turn. Raises UserError where the template refuses
        the messages, or leaves out what the last one says."""
        roles = tuple(message["role"] for message in messages)
        if (header, roles) not in self._forms:
            self._forms[header, roles] = self._measured(roles, header)
        try:
            return self._apply(self._forms[header, roles].of(messages), header)
        except Exception as error:  # a template is a program
            raise self._error(f"fails: {_line(error)}") from error

    def switched(self, switches: Mapping[str, Any]) -> Chat:
        """The same chat with other values of the template's variables. Raises UserError for a name that is none."""
        taken = inspect.signature(self.tokenizer.apply_chat_template).parameters
        for name in switches:
            if not is_variable(name) or name in taken:
                raise UserError(f"{name[:80]!r} is no variable of a chat template that can be set")
        return Chat(self.tokenizer, self.source, {**self._switches, **switches}) if switches else self

    def turn_end(self) -> tuple[int | None, str]:
        """The token with which the template ends a turn of the assistant, None where that is no token of its own; and
        what is written there, without blanks."""
        words = _words(("user", "assistant"))
        try:
            text = self.render(words, header=False)
        except UserError:
            return None, ""
        after = text[text.rfind(words[-1]["content"]) + len(words[-1]["content"]) :]
        for token in self.tokenizer(after, add_special_tokens=False)["input_ids"]:
            piece = self.tokenizer.decode([token]).strip()
            if piece:
                own = token in self.tokenizer.added_tokens_decoder or token in self.tokenizer.all_special_ids
                return (int(token) if own or _is_mark(piece) else None), after.strip()
        return None, after.strip()

    def opens_reasoning(self) -> bool:
        """Whether the header of the assistant's turn opens a block of reasoning and leaves it open."""
        if self._opens is None:
            words = _words(("user",))
            header = self.render(words).rpartition(words[-1]["content"])[2]
            self._opens = header.rfind(OPEN) > header.rfind(CLOSE)
        return self._opens

    def _apply(self, messages: list[Any], header: bool) -> str:
        text: str = self.tokenizer.apply_chat_template(
            messages, add_generation_prompt=header, tokenize=False, **self._switches
        )
        return text

    def _measured(self, roles: tuple[str, ...], header: bool) -> Form:
        """The form in which the template says most of what messages of these roles say."""
        words, refused = _words(roles), None
        said: dict[Form, set[str]] = {}
        for form in FORMS:
            if form.changes and form.of(words) == Form(form.changes[:-1], form.in_parts).of(words):
                continue  # the last change changes nothing
            try:
                text = self._apply(form.of(words), header).lower()
            except Exception as error:  # a template is a program
                refused = refused or error
                continue
            said[form] = {word["content"] for word in words if word["content"] in text}
            if len(said[form]) == len(words):
                break
        if not said:
            raise self._error(f"refuses messages of the roles {', '.join(roles)}: {_line(refused)}")
        form = max(said, key=lambda form: len(said[form]))
        if not said[form]:
            raise self._error(
                "gives no tokens" if not self._apply(form.of(words), header) else "leaves out what is said"
            )
        for change in form.changes:
            self._tell(TOLD[change])
        if len(said[form]) < len(words):
            lost = [word["role"] for word in words if word["content"] not in said[form]]
            if words[-1]["content"] not in said[form]:
                raise self._error(f"leaves out what the last message ({roles[-1]}) says")
            self._tell(f"leaves out messages: of {', '.join(roles)} the {' and the '.join(lost)}")
        return form

    def _error(self, what: str) -> UserError:
        return UserError(f"{self.source}: the chat template {what}")

    def _tell(self, what: str) -> None:
        tell_once(f"{self.source}: the chat template {what}")


def tell_once(line: str) -> None:
    """On stderr, once a process, by the first rank."""
    if line not in _told and os.environ.get("RANK", "0") == "0":
        print(line, file=sys.stderr)
    _told.add(line)


def _words(roles: Sequence[str]) -> list[Message]:
    """A message of one word, unlike the others', for each role."""
    return [
        Message(role=role, content=f"message{chr(ord('a') + i % 26) * (1 + i // 26)}x") for i, role in enumerate(roles)
    ]


def _is_mark(piece: str) -> bool:
    return piece[0] in "<[" and piece[-1] in ">]" and len(piece) > 2


def _line(error: BaseException | None) -> str:
    return " ".join(str(error).split()) or type(error).__name__
