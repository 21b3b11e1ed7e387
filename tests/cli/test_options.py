"""Dataclasses as flags and as values by name."""

from __future__ import annotations

import argparse
import dataclasses
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from rerec_engine.cli import options
from rerec_engine.cli.options import Option
from rerec_engine.cli.parser import Parser
from rerec_engine.errors import UserError


@dataclass(frozen=True)
class Base:
    """What all have."""

    seed: int = 0
    """Seed of what
    is drawn."""


@dataclass(frozen=True)
class Inner:
    size: int = 3
    """100 % of it."""
    kind: Literal["", "short", "long"] = ""


@dataclass(frozen=True, kw_only=True)
class Outer(Base):
    """Things
    that are made."""

    output: Path
    """Where."""
    skip_bad: bool = False
    """Leave them out."""
    rate: float | None = None
    note = "no field"
    """No field's description."""
    inner: Inner = field(default_factory=Inner)
    """The part."""


GROUPS = list(options.groups(Outer))
OPTIONS = {option.name: option for prefix, kind in GROUPS for option in options.own_options(kind, prefix)}


def test_options_are_the_fields_at_any_depth() -> None:
    assert list(OPTIONS) == ["seed", "output", "skip_bad", "rate", "inner.size", "inner.kind"]
    assert OPTIONS["seed"] == Option("seed", int, 0, "Seed of what is drawn.")
    assert OPTIONS["output"].default is dataclasses.MISSING
    assert OPTIONS["inner.size"].hint is int
    assert OPTIONS["skip_bad"].flag == "--skip-bad"
    assert OPTIONS["inner.size"].flag == "--inner.size"


def test_parts_are_the_dataclasses_in_it() -> None:
    assert options.parts(Outer) == {"inner": Inner}
    assert [("", Outer), ("inner.", Inner)] == GROUPS
    assert options.parts(Inner) == {}


def test_descriptions_are_the_strings_below_the_fields_and_those_of_the_bases() -> None:
    assert options.descriptions(Outer) == {
        "seed": "Seed of what is drawn.",
        "output": "Where.",
        "skip_bad": "Leave them out.",
        "inner": "The part.",
    }
    assert options.descriptions(Inner) == {"size": "100 % of it."}
    assert options.about(Outer) == "Things that are made."
    assert options.about(Inner) == ""  # not what dataclass writes there


@pytest.mark.parametrize(
    ("hint", "inner", "may_be_none", "choices"),
    [
        (int, int, False, ()),
        (float | None, float, True, ()),
        (Literal["a", "b"], Literal["a", "b"], False, ("a", "b")),
        (Literal["a"] | None, Literal["a"], True, ("a",)),
    ],
)
def test_a_type_is_taken_apart(hint: Any, inner: Any, may_be_none: bool, choices: tuple[str, ...]) -> None:
    assert options.optional(hint) == (inner, may_be_none)
    assert options.choices(inner) == choices


@pytest.mark.parametrize(
    ("hint", "word", "value"),
    [
        (int, "-3", -3),
        (float, "1e-3", 0.001),
        (str, "None", "None"),
        (str, "", ""),
        (Path, "a/b", Path("a/b")),
        (bool, "True", True),
        (bool, "false", False),
        (float | None, "None", None),
        (float | None, "none", None),
        (float | None, "2", 2.0),
        (bool | None, "none", None),
        (Literal["", "short"], "", ""),
        (Literal["", "short"], "short", "short"),
    ],
)
def test_a_word_becomes_a_value_of_the_type(hint: Any, word: str, value: object) -> None:
    read = options.reader(hint)(word)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("hint", "word", "message"),
    [
        (int, "1.5", "expected an integer, got '1.5'"),
        (int, "None", "expected an integer, got 'None'"),
        (float | None, "much", "expected a number, got 'much'"),
        (bool, "1", "expected true or false, got '1'"),
        (Literal["", "short", "long"], "big", "expected short or long, got 'big'"),
    ],
)
def test_a_word_that_is_none_is_refused(hint: Any, word: str, message: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        options.reader(hint)(word)
    assert str(caught.value) == message
    with pytest.raises(UserError) as told:
        options.value_of(Option("a.b", hint, None, ""), word)
    assert str(told.value) == f"a.b: {message}"


@pytest.mark.parametrize(("value", "expected"), [(True, True), ("false", False)])
def test_a_files_value_is_one_of_the_options_type(value: object, expected: bool) -> None:
    assert options.value_of(OPTIONS["skip_bad"], value) is expected
    assert options.value_of(OPTIONS["rate"], None) is None
    assert options.value_of(OPTIONS["rate"], 1) == 1.0


def test_what_stands_for_a_value() -> None:
    shown = {int: "N", float | None: "X", Path: "PATH", str: "TEXT", Literal["", "short", "long"]: "short|long"}
    assert {hint: options.placeholder(hint) for hint in shown} == shown


def test_values_are_shown_as_they_are_typed() -> None:
    assert [options.word_of(value) for value in (True, None, 1e-6, "A", 3)] == ["true", "none", "1e-06", "A", "3"]


def parser(**settings: Any) -> Parser:
    made = Parser(prog="tool", usage="[options]")
    for option in OPTIONS.values():
        options.add_option(made, option, **settings)
    return made


def test_flags_give_the_values_that_were_typed_and_no_others() -> None:
    words = "--output a --skip_bad --rate none --inner.size 5 --inner.kind long"
    found = vars(parser().parse_args(words.split()))
    assert found == {"output": Path("a"), "skip_bad": True, "rate": None, "inner.size": 5, "inner.kind": "long"}
    assert vars(parser().parse_args(["--output", "a", "--no-skip-bad"]))["skip_bad"] is False


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the following arguments are required: --output"),
        (["--output", "a", "--inner.kind", "big"], "--inner.kind: expected short or long, got 'big'"),
    ],
)
def test_flags_that_are_missing_or_wrong_are_told(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parser().parse_args(words)


def test_the_help_tells_defaults_and_the_demos_values() -> None:
    demo = {"seed": 7, "output": Path("d"), "skip_bad": True, "rate": None, "inner.size": 3, "inner.kind": ""}
    told = " ".join(parser(demo=demo).format_help().split())
    assert "--seed N Seed of what is drawn (default: 0; the demo: 7)" in told
    assert "--output PATH Where (the demo: d)" in told
    assert "--skip-bad [true|false] Leave them out (default: false; the demo: true)" in told
    assert "--rate X --inner.size N 100 % of it (default: 3) --inner.kind short|long" in told


def test_a_flag_may_have_another_name_and_another_placeholder() -> None:
    made = Parser(prog="tool", usage="[options]")
    options.add_option(made, OPTIONS["inner.size"], "--size", metavar="INCHES")
    assert vars(made.parse_args(["--size", "4"])) == {"inner.size": 4}
    assert re.search("--size(, --inner.size)? INCHES", made.format_help())  # Python 3.13 writes the placeholder once


def test_a_dataclass_is_built_of_values_by_field_name() -> None:
    values = {"output": Path("a"), "size": 9, "seed": 2, "unknown": 1}
    assert options.build(Outer, values) == Outer(output=Path("a"), seed=2, inner=Inner(size=9))
