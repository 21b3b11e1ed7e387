"""Words as users type them: switches, hyphens, numbers below 0, typos; the help; the flags that commands share."""

from __future__ import annotations

import argparse
import re
import sys
from importlib import metadata
from typing import Any

import pytest

import rerec_engine
from rerec_engine.cli import parser as module
from rerec_engine.cli.parser import SHARED, SWITCH, Parser, boolean, natural, not_negative, positive, versions
from rerec_engine.errors import UserError


@pytest.fixture
def parser() -> Parser:
    """Of a command with a switch, a number, a text with an underscore in its name, and words."""
    made = Parser(prog="tool", usage="WORDS [options]")
    made.add_argument("words", nargs="*")
    made.add_argument("--json", **SWITCH)
    made.add_argument("--weight", type=float, default=0.0)
    made.add_argument("--max-len", dest="max_len", default="")
    return made


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", {}),
        ("--json", {"json": True}),
        ("--json true", {"json": True}),
        ("--json FALSE", {"json": False}),
        ("--json=false", {"json": False}),
        ("--no-json", {"json": False}),
        ("--no_json", {"json": False}),
        ("--json --no-json", {"json": False}),
        ("--json a true", {"json": True, "words": ["a", "true"]}),
        ("--max_len 3", {"max_len": "3"}),
        ("--max_len=a_b", {"max_len": "a_b"}),
        ("--max-len=a=b", {"max_len": "a=b"}),
        ("--weight -1.5", {"weight": -1.5}),
        ("--weight -.5e1", {"weight": -5.0}),
        ("--weight=-2", {"weight": -2.0}),
        ("a_b c_d --weight 1", {"words": ["a_b", "c_d"], "weight": 1.0}),
        ("--json -- --no_such -1", {"json": True, "words": ["--no_such", "-1"]}),
    ],
)
def test_words_are_read_as_typed(parser: Parser, typed: str, expected: dict[str, Any]) -> None:
    default = {"words": [], "json": False, "weight": 0.0, "max_len": ""}
    assert vars(parser.parse_args(typed.split())) == default | expected


def test_a_word_with_spaces_is_no_flag(parser: Parser) -> None:
    assert parser.parse_args(["--weight", "2", "-- a_b in words"]).words == ["-- a_b in words"]


def test_without_words_the_command_line_is_read(parser: Parser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["tool", "--max_len", "7"])
    assert parser.parse_args().max_len == "7"


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("--jsom", "--jsom is not understood (did you mean --json?)"),
        ("--no-jsom=1", "--no-jsom is not understood"),
        ("--wei 1", "--wei is not understood"),
        ("--zzz", "--zzz is not understood"),
        ("--no-weight", "--no-weight is not understood"),
        ("--json=maybe", "--json: expected true or false, got 'maybe'"),
        ("--weight x", "--weight: invalid float value: 'x'"),
        ("--weight", "--weight: expected one argument"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_flag(parser: Parser, typed: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        parser.parse_args(typed.split())
    assert str(caught.value).startswith(message)
    assert str(caught.value).endswith(" (see --help)")
    assert "\n" not in str(caught.value)


def test_a_typo_is_told_by_the_flags_of_the_parts() -> None:
    parser = Parser(prog="tool", usage="PART")
    part = parser.add_subparsers(dest="part").add_parser("demo", prog="tool demo", usage="[options]")
    part.add_argument("--films")
    assert parser.parse_args(["demo", "--films", "3"]).films == "3"
    with pytest.raises(UserError, match=r"^--filns is not understood \(did you mean --films\?\) \(see --help\)$"):
        parser.parse_args(["demo", "--filns", "3"])


@pytest.mark.parametrize(
    ("prog", "shown"),
    [
        ("report", "python -m rerec_engine.report"),
        ("", "python -m rerec_engine"),
        ("python bench.py", "python bench.py"),
    ],
)
def test_the_help_shows_the_command_and_its_examples_first(
    prog: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    long = "A description that is far too long for a line of a terminal and has to be broken somewhere, here or there."
    parser = Parser(prog=prog, usage="RUN [options]", description=long, examples=("runs/demo", "runs/other"))
    parser.group("figures", about=long).add_argument("--k", help=long)
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["--help"])
    told = capsys.readouterr().out
    assert ended.value.code == 0
    assert told.startswith(f"usage: {shown} RUN [options]\n")
    assert f"\nexamples:\n  {shown} runs/demo\n  {shown} runs/other\n" in told
    assert told.index("examples:") < told.index("--help")
    assert re.search(r"^figures:\n  A description", told, re.MULTILINE)
    assert max(map(len, told.splitlines())) <= 80


def test_long_commands_are_broken_before_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    words = '--model runs/one --data runs/a_longer_name/data --output F "a film"'
    parser = Parser(prog="recommend", usage=f"{words} [options]", examples=(words,))
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    told = capsys.readouterr().out
    first, rest = (
        "python -m rerec_engine.recommend --model runs/one",
        '--data runs/a_longer_name/data --output F "a film"',
    )
    assert told.startswith(f"usage: {first}\n           {rest} [options]\n")
    assert f"\n  {first} \\\n      {rest}\n" in told


def test_shared_flags_are_the_same_in_all_commands(parser: Parser) -> None:
    parser.share("split", "seed")
    group = parser.group("more")
    parser.share("threads", to=group, default=4)
    parsed = parser.parse_args(["--split", "val", "--seed", "-3"])
    assert (parsed.split, parsed.seed, parsed.threads) == ("val", -3, 4)
    assert SHARED["threads"]["default"] == 0
    assert "--threads" in [flag for action in group._group_actions for flag in action.option_strings]
    with pytest.raises(UserError, match="--threads: expected 0 or more, got -1"):
        parser.parse_args(["--threads", "-1"])


@pytest.mark.parametrize(
    ("read", "word", "value"),
    [
        (boolean, "true", True),
        (boolean, "False", False),
        (positive, "1", 1),
        (natural, "0", 0),
        (not_negative, "0", 0.0),
        (not_negative, "1e-3", 0.001),
    ],
)
def test_words_become_values(read: Any, word: str, value: object) -> None:
    assert read(word) == value
    assert type(read(word)) is type(value)


@pytest.mark.parametrize(
    ("read", "word", "message"),
    [
        (boolean, "yes", "expected true or false, got 'yes'"),
        (positive, "0", "expected 1 or more, got 0"),
        (positive, "1.5", "expected an integer, got '1.5'"),
        (natural, "-1", "expected 0 or more, got -1"),
        (not_negative, "-0.1", "expected 0 or more, got -0.1"),
        (not_negative, "inf", "expected 0 or more, got inf"),
        (not_negative, "nan", "expected 0 or more, got nan"),
        (not_negative, "x", "expected a number, got 'x'"),
    ],
)
def test_a_word_that_is_no_such_value_is_refused(read: Any, word: str, message: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        read(word)
    assert str(caught.value) == message


def test_versions_are_those_of_what_is_installed(
    parser: Parser, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "PACKAGES", ("numpy", "no-such-package"))
    expected = {
        "rerec_engine": rerec_engine.__version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "numpy": metadata.version("numpy"),
    }
    assert versions() == expected
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["--version"])
    assert not ended.value.code
    assert dict(line.split() for line in capsys.readouterr().out.splitlines()) == expected


@pytest.mark.parametrize(
    ("word", "told"), [("sampla", r"did you mean sampler\?"), ("qqq", "expected auto, sampler, vllm")]
)
def test_a_wrong_choice_is_told_what_was_meant(parser: Parser, word: str, told: str) -> None:
    parser.add_argument("--engine", choices=("auto", "sampler", "vllm"))
    with pytest.raises(UserError, match=rf"^--engine: invalid choice: '{word}' \({told}\)"):
        parser.parse_args(["--engine", word])
