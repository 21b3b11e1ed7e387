"""The house: what may import what, and what lies where. The rules are told in docs/development.md."""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from rerec_engine.cli import run_command

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "rerec_engine"
# From the ground up: a room may import rooms of lower floors alone, and files of one room those of lower floors there.
# The first floor is one layer: its files may know each other.
FLOORS = (
    {"errors", "types", "config", "files", "machine", "cli", "_core", "kernels", "__init__"},
    {"ops", "graph"},
    {"data", "model"},
    {"reward", "worlds", "rollout", "runs"},
    {"metrics"},
    {"training", "assistant", "integrations"},
    {"evaluate", "recommend", "prepare"},
    {"report", "experiment", "serve", "share"},
    {"train"},
)
COMMANDS = {"train", "evaluate", "recommend", "prepare", "report", "experiment", "serve", "share"}
# What stands alone knows less than its floor would allow.
MAY_IMPORT = {
    "_core": set(),
    "kernels": set(),
    "ops": {"kernels", "_core", "config", "types", "errors"},
    "integrations": {"reward", "ops", "config", "types", "errors"},
    "assistant": {"data", "graph", "metrics", "model", "_core", "config", "types", "errors", "files", "cli"},
}


def imported(source: str, package: str) -> set[str]:
    """Absolute names of the package's modules that `source`, a file of `package`, imports, at any depth of the code."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = (
                ".".join([*parents[: len(parents) - node.level + 1], node.module or ""]) if node.level else node.module
            )
            names.update(f"{(base or '').rstrip('.')}.{alias.name}" for alias in node.names)
    return {name for name in names if name.split(".")[0] == "rerec_engine"}


def part(name: str) -> str:
    """`rerec_engine.graph.titles` -> `graph`; a name that the package's own `__init__` holds -> `__init__`."""
    first = [*name.split("."), "__init__"][1]
    is_part = any(PACKAGE.glob(f"{first}.py*")) or (PACKAGE / first).is_dir() or first == "_core"
    return first if is_part else "__init__"


def part_graph() -> dict[str, set[str]]:
    """Each part of the package with the other parts it imports."""
    graph: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        relative = path.relative_to(PACKAGE).with_suffix("")
        package = ".".join(["rerec_engine", *relative.parts[:-1]])
        own = relative.parts[0]
        graph.setdefault(own, set()).update({part(name) for name in imported(path.read_text(), package)} - {own})
    for path in (ROOT / "kernels").rglob("*.py"):
        package = ".".join(["rerec_engine", "kernels", *path.relative_to(ROOT / "kernels").parts[:-1]])
        parts = {part(name) for name in imported(path.read_text(), package)} - {"kernels"}
        graph.setdefault("kernels", set()).update(parts)
    return graph


def violations(graph: dict[str, set[str]]) -> list[str]:
    """Imports against the rules, each as `importer -> imported`, and rooms that stand on no floor."""
    floor = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
    rooms = set(graph).union(*graph.values())
    found = [f"{room} stands on no floor" for room in sorted(rooms - set(floor))]
    for importer, targets in sorted(graph.items()):
        level = floor.get(importer, len(FLOORS))
        allowed = {room for room, own in floor.items() if own < level or own == level == 0}
        found += [f"{importer} -> {t}" for t in sorted(targets - MAY_IMPORT.get(importer, allowed)) if t in floor]
    return found


def test_imports_run_one_way() -> None:
    assert violations(part_graph()) == []


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({"train": {"graph", "evaluate"}, "graph": {"config"}, "evaluate": {"graph"}}, []),
        ({"training": {"train"}}, ["training -> train"]),
        ({"data": {"prepare"}}, ["data -> prepare"]),
        ({"ops": {"reward"}}, ["ops -> reward"]),
        ({"integrations": {"rollout"}}, ["integrations -> rollout"]),
        ({"assistant": {"worlds"}}, ["assistant -> worlds"]),
        ({"model": {"integrations"}}, ["model -> integrations"]),
        ({"types": {"config"}, "config": {"graph"}}, ["config -> graph"]),
        ({"kernels": {"config"}}, ["kernels -> config"]),
        ({"evaluate": {"train"}}, ["evaluate -> train"]),
        ({"data": {"graph"}, "graph": {"data"}}, ["graph -> data"]),
        ({"attic": {"graph"}}, ["attic stands on no floor"]),
    ],
    ids=range(12),
)
def test_rules_tell_a_wrong_import(graph: dict[str, set[str]], expected: list[str]) -> None:
    assert violations(graph) == expected


@pytest.mark.parametrize(
    ("source", "package", "expected"),
    [
        ("import rerec_engine.graph.titles as t", "rerec_engine", {"rerec_engine.graph.titles"}),
        ("from rerec_engine import graph, config", "rerec_engine", {"rerec_engine.graph", "rerec_engine.config"}),
        ("from ..config import Config", "rerec_engine.graph", {"rerec_engine.config.Config"}),
        ("from . import naive", "rerec_engine.ops", {"rerec_engine.ops.naive"}),
        ("def f():\n    from rerec_engine.train import main", "rerec_engine", {"rerec_engine.train.main"}),
        ("import numpy, rerec_engineering", "rerec_engine", set()),
    ],
)
def test_imports_are_read(source: str, package: str, expected: set[str]) -> None:
    assert imported(source, package) == expected


def test_parts_are_named_by_their_first_folder_or_file() -> None:
    assert part("rerec_engine.graph.titles.Catalogue") == "graph"
    assert part("rerec_engine.config.Config") == "config"
    assert part("rerec_engine._core.parse") == "_core"
    assert part("rerec_engine.__version__") == part("rerec_engine") == "__init__"


def test_kernels_is_a_folder_of_files_and_no_package() -> None:
    link = PACKAGE / "kernels"
    assert not any((ROOT / "kernels").rglob("__init__.py")), "it would be imported as the published package `kernels`"
    assert (ROOT / "kernels").is_dir()
    assert link.is_symlink()
    assert link.readlink() == Path("../kernels")


def test_native_code_knows_neither_the_package_nor_torch() -> None:
    sources = [path for pattern in ("*.cpp", "*.hpp", "*.h") for path in (ROOT / "csrc").rglob(pattern)]
    wrong = re.compile(r'#\s*include\s*[<"](torch|ATen|c10)/|import\("rerec_engine')
    assert sources
    assert [path.name for path in sources if wrong.search(path.read_text())] == []


# Of csrc, likewise; `reward` and `ops` do not know each other.
NATIVE_FLOORS = ({"common"}, {"text"}, {"reward", "ops"}, {"python"})


def native_violations(folder: str, source: str) -> list[str]:
    """Headers that a file of `csrc/folder` must not include: of its floor's other folders, of higher ones, Python's."""
    level = next(level for level, folders in enumerate(NATIVE_FLOORS) if folder in folders)
    allowed = {folder}.union(*NATIVE_FLOORS[:level])
    headers = re.findall(r'^#include ["<](\S+)[">]', source, re.MULTILINE)
    own = [name for name in headers if (ROOT / "csrc" / name).is_file() and name.split("/")[0] not in allowed]
    return own + [name for name in headers if folder != "python" and re.match(r"pybind11/|Python\.h", name)]


def test_native_includes_run_one_way() -> None:
    sources = [path for path in (ROOT / "csrc").rglob("*") if path.suffix in {".cpp", ".hpp", ".inc"}]
    assert {path.parent.name for path in sources} == set().union(*NATIVE_FLOORS)
    assert {str(path): native_violations(path.parent.name, path.read_text()) for path in sources} == {
        str(path): [] for path in sources
    }


@pytest.mark.parametrize(
    ("folder", "header"),
    [
        ("common", "text/words.hpp"),
        ("text", "reward/score.hpp"),
        ("reward", "ops/logits.hpp"),
        ("ops", "python/arrays.hpp"),
        ("text", "pybind11/pybind11.h"),
        ("reward", "Python.h"),
    ],
)
def test_rules_tell_a_wrong_include(folder: str, header: str) -> None:
    assert native_violations(folder, f'#include <cstdint>\n#include "{header}"\n') == [header]
    assert native_violations("python", f'#include "{header}"\n') == []


def test_top_level_is_as_drawn() -> None:
    folders = {"rerec_engine", "kernels", "csrc", "bench", "tests", "docs", ".ci"}
    files = {"setup.py", "CMakeLists.txt", "pyproject.toml", "Makefile", "LICENSE", "CHANGELOG.md", ".ci/run"}
    assert {name for name in folders if not (ROOT / name).is_dir()} == set()
    assert {name for name in files if not (ROOT / name).is_file()} == set()


def test_tests_hold_no_package() -> None:
    assert [str(path) for top in ("tests", "bench") for path in (ROOT / top).rglob("__init__.py")] == []


def tracked_files() -> Iterable[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


MACHINE_PATH = re.compile(r"(?<![\w.)}>*])/(?:work|root|farm|tmp/agent\w*)/")


def test_no_tracked_file_names_a_machine_path() -> None:
    found = []
    for path in tracked_files():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in MACHINE_PATH.finditer(text)]
    assert found == []


def test_machine_path_pattern() -> None:
    assert MACHINE_PATH.search("open('/" + "work/main/x')")
    assert MACHINE_PATH.search("/" + "root/.cache")
    assert not MACHINE_PATH.search("runs/work/x, a.b/root/c")


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_command_helps_and_refuses_a_typo(command, monkeypatch, capsys):
    """What `python -m` runs, in this process: loading torch anew takes seconds."""
    suffix = "" if (PACKAGE / f"{command}.py").is_file() else ".__main__"
    module = importlib.import_module(f"rerec_engine.{command}{suffix}")
    for word, code in (("--help", 0), ("--no-such-setting=1", 2)):
        monkeypatch.setattr(sys, "argv", [command, word])
        with pytest.raises(SystemExit) as ended:
            run_command(module.main)
        told = capsys.readouterr()
        assert (ended.value.code or 0) == code, told
        assert ("usage" in told.out.lower()) == (code == 0)
        assert len(told.err.splitlines()) == (code != 0)
