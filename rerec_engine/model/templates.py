"""The chat template that holds for a model: the tokenizer's own, one of its named ones, or a file's; its switches."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rerec_engine.errors import UserError, file_error

SET = "model.chat_template (--chat-template)"
OURS = {"messages", "add_generation_prompt"}
"""Variables of a template that are not a setting's to choose."""
ALWAYS_GIVEN = {"tools", "documents"}
"""Variables that transformers always hands over, be it as None."""
_NAME = re.compile(r"[A-Za-z_]\w*")


def is_variable(name: str) -> bool:
    """Whether a template's variable may have this name, and a setting may choose its value."""
    return _NAME.fullmatch(name) is not None and name not in OURS


def set_template(tokenizer: Any, named: str | None, switches: Mapping[str, Any], source: str) -> None:
    """Give a tokenizer the template that the settings ask for, with the switches written into it.

    So a saved tokenizer makes the same prompts in any program that reads its template. named: a file, or a template of
    the tokenizer; None: its own one. source: named in errors. Raises UserError where there is no such template, or none
    at all.
    """
    own = tokenizer.chat_template
    several = own if isinstance(own, dict) else {}
    if named is not None:
        text = _named(named, several, source)
    elif own is None:
        raise UserError(f"{source}: the tokenizer has no chat template: set {SET} to a file that holds one (jinja)")
    elif several and "default" not in several:
        names = ", ".join(sorted(several))
        raise UserError(f"{source}: the tokenizer has no default chat template: set {SET} to one of {names}, or a file")
    else:
        text = several.get("default", own)
    if named is not None or switches:
        text = with_switches(text, switches, tokenizer.special_tokens_map)
        tokenizer.chat_template = {**several, "default": text} if several else text


def _named(named: str, several: Mapping[str, str], source: str) -> str:
    path = Path(named).expanduser()
    if path.is_file():
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise file_error(path, f"not readable as a chat template: {error}") from None
    if named not in several:
        known = f"one of the tokenizer's templates ({', '.join(sorted(several))})" if several else "a named template"
        raise UserError(f"{source}: {SET}: {named!r} is neither a file nor {known}")
    return several[named]


def with_switches(text: str, switches: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """A template whose variables have these values unless its caller gives others. given: variables that every caller
    gives; their values here go first.

    >>> with_switches("{{ thinking }}", {"thinking": False}, {})
    '{% set thinking = thinking | default(False) %}\\n{{ thinking }}'
    """
    lines = []
    for name, value in switches.items():
        if not is_variable(name):
            raise UserError(f"model.chat_template_kwargs: {name!r} is no variable of a chat template that can be set")
        fixed = name in ALWAYS_GIVEN or name in given
        chosen = repr(value) if fixed else f"{name} | default({value!r})"
        lines.append(f"{{% set {name} = {chosen} %}}\n")
    return "".join(lines) + text  # a line break behind a block is the block's
