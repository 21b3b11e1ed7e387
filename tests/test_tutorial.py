"""docs/tutorial.md as a reader follows it: the stand-in for one's own data, and the commands after it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from rerec_engine.data.dataset import load_dataset

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "tutorial.md").read_text()
TEXT = re.sub(r"\\\n\s*", "", TEXT)  # a command over several lines is one
SMALL = """--train-queries 60 --val-queries 10 --test-queries 20 --traces 20 --epochs 2"""
OWN = TEXT[TEXT.index("## 3.") :]


def commands(module: str) -> list[list[str]]:
    """The arguments of a module's commands from the third section on."""
    return [shlex.split(line)[3:] for line in re.findall(rf"^python -m rerec_engine\.{module} .*$", OWN, re.MULTILINE)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, follow: Callable[[str, list[str]], None]) -> Path:
    """A folder with what the tutorial's code and `prepare` commands leave there."""
    path = tmp_path_factory.mktemp("tutorial")
    (code,) = re.findall(r"```python\n(.*?)```", OWN, re.DOTALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        exec(compile(code, "tutorial.md", "exec"), {})
        for words in commands("prepare"):
            follow("prepare", [*words, *SMALL.split()])
    return path


def test_datasets(place):
    records, chat = load_dataset(place / "data" / "records"), load_dataset(place / "data" / "chat")
    assert (records.description.form, chat.description.form) == ("sentences", "chat")
    assert len(records.queries("train")) == 60
    assert records.item_count == 80
    assert set(records.attributes.relations) == {"style", "recorded_in"}
    assert set(records.numbers) == {"price"}
    query = records.queries("test")[0]
    assert set(query.ground_truth) <= set(query.candidates)


def test_dry_run_and_its_answer(place, follow, monkeypatch, capsys):
    monkeypatch.chdir(place)
    dry, small, real = commands("train")
    assert small == ["--data", "data/records", "--output", "runs/records"]  # minutes
    assert "--model" in real  # wants a GPU and a download
    follow("train", [*dry, "--threads", "1"])
    (asked,) = commands("recommend")
    capsys.readouterr()
    follow("recommend", asked)
    out = capsys.readouterr().out
    assert "style: jazz; recorded in: Oslo" in out
    assert "the response holds no answer in a box" in out
    assert (place / "runs" / "dry" / "final" / "README.md").is_file()
