"""Options as frozen dataclasses: flags on the command line, values by name. The string under a field describes it."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import functools
import inspect
import json
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from rerec_engine.cli.parser import SWITCH, boolean, json_object
from rerec_engine.errors import UserError

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Option:
    """One field of a dataclass, or of a dataclass in it. name: dotted, such as `reward.qas`."""

    name: str
    hint: Any
    default: Any
    """`dataclasses.MISSING` where it must be given."""
    about: str

    @property
    def flag(self) -> str:
        return f"--{self.name.replace('_', '-')}"


def own_options(kind: type, prefix: str = "") -> Iterator[Option]:
    """A dataclass's options, without those of the dataclasses in it."""
    hints, about = typing.get_type_hints(kind), descriptions(kind)
    for field in dataclasses.fields(kind):
        if not dataclasses.is_dataclass(hints[field.name]):
            made = field.default_factory
            default = field.default if made is dataclasses.MISSING else made()
            yield Option(prefix + field.name, hints[field.name], default, about.get(field.name, ""))


def parts(kind: type) -> dict[str, type]:
    """The dataclasses in a dataclass, by field."""
    hints = typing.get_type_hints(kind)
    fields = [field.name for field in dataclasses.fields(kind)]
    return {name: hints[name] for name in fields if dataclasses.is_dataclass(hints[name])}


def groups(kind: type, prefix: str = "") -> Iterator[tuple[str, type]]:
    """A dataclass and those in it, at any depth, each with its prefix, such as `rollout.vllm.`."""
    yield prefix, kind
    for name, part in parts(kind).items():
        yield from groups(part, f"{prefix}{name}.")


def about(kind: type) -> str:
    """A dataclass's description, empty where it has none."""
    text = " ".join((kind.__doc__ or "").split())
    return "" if text.startswith(f"{kind.__name__}(") else text  # what dataclass writes where there is no docstring


@functools.cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def descriptions(kind: type) -> dict[str, str]:
    """The strings under a dataclass's fields, its bases' too, by field."""
    found: dict[str, str] = {}
    for base in reversed([base for base in kind.__mro__ if dataclasses.is_dataclass(base)]):
        field = None
        for node in _classes(base.__module__)[base.__name__].body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                field = node.target.id
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and field:
                found[field], field = " ".join(str(node.value.value).split()), None
            else:
                field = None
    return found


def choices(hint: Any) -> tuple[str, ...]:
    """What a `Literal` allows; empty for other types."""
    return typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()


def optional(hint: Any) -> tuple[Any, bool]:
    """A type without `None`, and whether `None` was in it."""
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return hint, False
    (inner,) = [part for part in typing.get_args(hint) if part is not type(None)]
    return inner, True


def several(hint: Any) -> bool:
    """Whether the type takes any number of words: `tuple[str, ...]`."""
    return typing.get_origin(hint) is tuple


def mapping(hint: Any) -> bool:
    """Whether the type holds values by name: `dict[str, Any]`."""
    return typing.get_origin(hint) is dict


def reader(hint: Any) -> Callable[[str], Any]:
    """Makes a value of the type out of a word. It raises ArgumentTypeError, which says what was expected."""
    inner, may_be_none = optional(typing.get_args(hint)[0] if several(hint) else hint)
    allowed = choices(inner)

    def read(word: str) -> Any:
        if may_be_none and word in ("None", "none"):
            return None
        if inner is bool:
            return boolean(word)
        if mapping(inner):
            return json_object(word)
        if allowed:
            if word not in allowed:
                raise argparse.ArgumentTypeError(f"expected {' or '.join(filter(None, allowed))}, got {word!r}")
            return word
        try:
            return inner(word)
        except ValueError:
            expected = {int: "an integer", float: "a number"}.get(inner, inner.__name__)
            raise argparse.ArgumentTypeError(f"expected {expected}, got {word!r}") from None

    return read


def value_of(option: Option, value: Any) -> Any:
    """A value as a file gives it, of the option's type. Raises UserError, which names the option."""
    try:
        return reader(option.hint)(word_of(value) if isinstance(value, dict) else str(value))
    except argparse.ArgumentTypeError as error:
        raise UserError(f"{option.name}: {error}") from None


def placeholder(hint: Any) -> str:
    """What stands for the value in the help."""
    inner, _ = optional(hint)
    if mapping(inner):
        return "JSON"
    return "|".join(filter(None, choices(inner))) or {int: "N", float: "X", Path: "PATH"}.get(inner, "TEXT")


def word_of(value: Any) -> str:
    """A value as it is typed."""
    if isinstance(value, dict):
        return json.dumps(value, default=str)
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def add_option(
    group: argparse._ActionsContainer,
    option: Option,
    *aliases: str,
    demo: Mapping[str, Any] | None = None,
    metavar: str | None = None,
) -> None:
    """An option's flag. Where it is given, the namespace holds `option.name`. demo: the demo's values by name."""
    told = []
    if option.default not in (None, "", (), {}, dataclasses.MISSING):
        told.append(f"default: {word_of(option.default)}")
    if demo is not None and demo[option.name] != option.default:
        told.append(f"the demo: {word_of(demo[option.name])}")
    text = " ".join(filter(None, (option.about.removesuffix("."), f"({'; '.join(told)})" if told else "")))
    switch = {**SWITCH} if optional(option.hint)[0] is bool else {}
    words = {"nargs": "+", "action": "extend"} if several(option.hint) else {}
    group.add_argument(
        *aliases,
        option.flag,
        **{
            "dest": option.name,
            "metavar": metavar or placeholder(option.hint),
            "type": reader(option.hint),
            "help": text.replace("%", "%%"),
            "required": option.default is dataclasses.MISSING,
            **switch,
            **words,
            "default": argparse.SUPPRESS,
        },
    )


def build(kind: type[T], values: Mapping[str, Any]) -> T:
    """A dataclass of values by field name, those of the dataclasses in it among them."""
    inner: dict[str, Any] = {name: build(part, values) for name, part in parts(kind).items()}
    own = {option.name: values[option.name] for option in own_options(kind) if option.name in values}
    own = {name: tuple(value) if isinstance(value, list) else value for name, value in own.items()}
    return kind(**own, **inner)
