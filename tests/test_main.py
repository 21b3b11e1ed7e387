"""The list of commands, the flags that they share, and a Python that has nothing of what they need."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rerec_engine.__main__ import COMMANDS, main
from rerec_engine.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
TABLE = re.findall(r"^\| `(--[a-z-]+) .*\| ([^|]*) \|$", (ROOT / "docs" / "commands.md").read_text(), re.MULTILINE)


def test_commands_are_listed_and_there(capsys):
    main([])
    told = capsys.readouterr().out
    for name in COMMANDS:
        assert re.search(rf"^  {name} +\w", told, re.MULTILINE)
        assert (ROOT / "rerec_engine" / f"{name}.py").is_file() or (ROOT / "rerec_engine" / name).is_dir()
    assert max(map(len, told.splitlines())) <= 80


@pytest.mark.parametrize(("word", "meant"), [("train", "train"), ("trian", "train"), ("qqq", "COMMAND")])
def test_a_command_after_a_space_is_told_how_it_is_typed(word, meant):
    with pytest.raises(UserError, match=rf"^{word}: type python -m rerec_engine\.{meant}, with a dot"):
        main([word, "--help"])


def test_versions(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    told = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert told["python"] == sys.version.split()[0]
    assert {"rerec_engine", "torch", "transformers", "numpy"} <= told.keys()


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_has_examples_and_the_shared_flags(command, monkeypatch, capsys):
    place = "" if (ROOT / "rerec_engine" / f"{command}.py").is_file() else ".__main__"
    module = importlib.import_module(f"rerec_engine.{command}{place}")
    monkeypatch.setattr(sys, "argv", [command, "--help"])
    with pytest.raises(SystemExit):
        module.main()
    told = capsys.readouterr().out
    assert told.index("examples:") < told.index("-h, --help")
    assert f"python -m rerec_engine.{command} " in told
    assert max(map(len, told.splitlines())) <= 80
    assert "options options" not in told
    assert not re.search(r"^ {26}(Of |G\.$)", told, re.MULTILINE)
    assert len(TABLE) == 14
    for flag, commands in TABLE:
        if command != "prepare" and command in commands.replace("and all of prepare", "").split(", "):
            assert re.search(rf"{flag}\b", told), flag


@pytest.mark.parametrize("command", ["train", "recommend --model m --data d x", "evaluate --model m --data d"])
def test_a_python_without_the_dependencies_says_where_they_are(command):
    words = [sys.executable, "-S", "-m", *f"rerec_engine.{command}".split()]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env={"PATH": ""})
    assert done.returncode == 2, done.stderr
    assert re.fullmatch(
        r"error: \S+ has no \w+: (type \S+/python -m rerec_engine|make an environment).*\n", done.stderr
    )
