"""The documents: links that lead somewhere, code that is where they say, settings that are the code's."""

from __future__ import annotations

import functools
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
TOP = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")
DOCUMENTS = sorted([*(ROOT / name for name in TOP), *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"(?<!\\)!?\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(([^()\s]+(?:\([^()]*\))?[^()\s]*)\)")
PICTURE = re.compile(r"<img[^>]*src=\"([^\"]+)\"")


def prose(text: str) -> str:
    """Without fenced code and code spans, in which a bracket is no link."""
    return re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives a file's headings."""
    found: set[str] = set()
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", text, re.MULTILINE):
        bare = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        name = re.sub(r"[^\w\- ]", "", bare).replace(" ", "-")
        number, unique = 0, name
        while unique in found:
            number += 1
            unique = f"{name}-{number}"
        found.add(unique)
    return found


def links(path: Path) -> list[str]:
    text = prose(path.read_text())
    return [*LINK.findall(text), *PICTURE.findall(text)]


def broken(path: Path) -> list[str]:
    """Links of a document that lead to no file, or to no heading of it."""
    found = []
    for link in links(path):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or ROOT not in [target, *target.parents]:
            found.append(f"{link}: no such file")
        elif anchor and (target.suffix != ".md" or anchor not in anchors(target)):
            found.append(f"{link}: no such heading")
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    assert not broken(path)


def test_documents_have_links():
    assert sum(len(links(path)) for path in DOCUMENTS) > 50


def test_a_broken_link_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "b.md").write_text("# One `thing`, (two)\n```\n# none\n```\n## One\n## One\n")
    (tmp_path / "a.md").write_text(
        "[1](b.md) [2](b.md#one-thing-two) [3](b.md#one-1) ![4](no.png) [5](b.md#none) [6](#x) `[7](no)`"
        " [8](https://example.org/no) [9](../b.md)\n```\n[10](no)\n```\n"
    )
    assert broken(tmp_path / "a.md") == [
        "no.png: no such file",
        "b.md#none: no such heading",
        "#x: no such heading",
        "../b.md: no such file",
    ]


def test_every_document_is_in_the_readme():
    told = {ROOT / link.partition("#")[0] for link in links(ROOT / "README.md")}
    assert {path for path in DOCUMENTS if path.parent == ROOT / "docs"} <= told


def test_settings_are_the_codes():
    path = ROOT / "docs" / "make_settings.py"
    spec = importlib.util.spec_from_file_location("make_settings", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = module.reference()
    assert (ROOT / "docs" / "settings.md").read_text() == text, "out of date: python docs/make_settings.py"
    assert "| `advantage.w_penalty` | number | `0.3` |  | Lower the reward" in text
    assert "| `warm_start.epochs` | integer | `0` | `1` |" in text


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_are_named_exist(path):
    """A path in code marks, as `rerec_engine/training/loss.py`; a function or class after a colon is in the file."""
    named = re.findall(r"`((?:rerec_engine|kernels|csrc|bench|tests|docs)/[\w./]+\.\w+)(?::(\w+))?`", path.read_text())
    for name, function in named:
        if name.endswith("NAME.py"):
            continue
        assert (ROOT / name).is_file(), name
        if function:
            text = (ROOT / name).read_text()
            assert re.search(rf"^\s*(?:def|class|async def) {function}\b", text, re.MULTILINE), f"{name}:{function}"


def test_modules_that_are_named_can_be_run():
    """`python -m rerec_engine.X` and `python -m bench.X` in the documents and in what the scripts say of themselves."""
    texts = [path.read_text() for path in [*DOCUMENTS, *(ROOT / "bench").rglob("*.py")]]
    named = {name for text in texts for name in re.findall(r"python -m ((?:rerec_engine|bench)(?:\.\w+)+)", text)}
    assert len(named) >= 20
    for name in named:
        place = ROOT / Path(*name.split("."))
        assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), name


def typed(text: str) -> list[tuple[str, str, str]]:
    """Every command of a text with flags: the module's name, its subcommand or "", and the flag as typed."""
    text = re.sub(r"\\\n\s*", " ", text)
    text = re.sub(r"make train ARGS=\"([^\"]*)\"", r"-m rerec_engine.train \1\n", text)
    found = []
    for name, rest in re.findall(r"-m rerec_engine\.(\w+)([^\n`#|]*)", text):
        subcommand = re.match(r" ([a-z][\w-]*)", rest) if name == "prepare" else None
        flags = re.findall(r"(?<![\w-])--[a-zA-Z][\w.-]*", rest)
        found += [(name, subcommand.group(1) if subcommand else "", flag) for flag in flags]
    return found


def test_commands_are_read_from_a_text():
    text = "a `python -m rerec_engine.share D [--private]`\n-m rerec_engine.prepare demo \\\n  --dim 3  # --no\n"
    assert typed(text + 'make train ARGS="--seed 1"\n') == [
        ("share", "", "--private"),
        ("prepare", "demo", "--dim"),
        ("train", "", "--seed"),
    ]


@pytest.fixture
def flags(follow, monkeypatch, capsys):
    """A function from module and subcommand to the flags in its `--help`."""
    monkeypatch.setenv("COLUMNS", "200")

    @functools.cache
    def read(name: str, subcommand: str) -> set[str]:
        module = name if (ROOT / "rerec_engine" / f"{name}.py").is_file() else f"{name}.__main__"
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            follow(module, [*subcommand.split(), "--help"])
        assert end.value.code in (0, None)
        help_text = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
        return {flag.replace("_", "-") for flag in re.findall(r"--[a-zA-Z][\w.-]*", help_text)}

    return read


def test_flags_that_are_typed_exist(flags):
    """A flag that a document gives to `python -m rerec_engine.X` or to `make train` is in the command's `--help`."""
    commands = {(path.name, *command) for path in DOCUMENTS for command in typed(path.read_text())}
    assert len(commands) >= 60
    unknown = [
        f"{document}: {name} {subcommand} {flag}"
        for document, name, subcommand, flag in sorted(commands)
        if flag != "--section.key"  # stands for any setting
        and flag.replace("_", "-") not in flags(name, subcommand)
    ]
    assert unknown == []


def test_citation_is_complete():
    """What https://github.com/citation-file-format/citation-file-format requires of version 1.2.0."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys()
    references = citation.get("references", [])
    assert all({"type", "title", "authors"} <= reference.keys() for reference in references)
    for authors in [citation["authors"], *(reference["authors"] for reference in references)]:
        assert authors
        assert all(author.keys() & {"name", "family-names"} for author in authors)


WIDTH = 120


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_lines_are_no_wider_than_a_screen(path):
    """Tables alone may be wider: a row cannot be broken."""
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    assert [number for number, line in lines if len(line) > WIDTH and not line.startswith("|")] == []


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no git checkout: clone the repository")
def test_tracked_documents_are_all_checked():
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    top = {name for name in listed.split() if name.count("/") == 0 or re.fullmatch(r"docs/[^/]+", name)}
    assert top <= {str(path.relative_to(ROOT)) for path in DOCUMENTS}
