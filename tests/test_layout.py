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
COMMANDS = {"train", "evaluate", "recommend", "prepare", "real", "report", "experiment", "serve", "share"}


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
NATIVE_FLOORS = ({"common"}, {"text"}, {"reward", "ops"}, {"constrain"}, {"python"})


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
        pytest.skip("no git checkout: clone the repository")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_every_room_is_a_package_that_git_keeps() -> None:
    """Without its `__init__.py` a folder is left out of a wheel, though a checkout imports it."""
    kept = {path.relative_to(ROOT) for path in tracked_files()}
    folders = {path.parent for path in PACKAGE.rglob("*.py") if "kernels" not in path.relative_to(PACKAGE).parts}
    assert sorted(str(f) for f in folders if f.relative_to(ROOT) / "__init__.py" not in kept) == []


def test_git_ignores_no_source_or_test() -> None:
    kept = {path.relative_to(ROOT) for path in tracked_files()}
    tops = ("rerec_engine", "tests", "kernels", "bench")
    there = {p.relative_to(ROOT) for top in tops for p in (ROOT / top).rglob("*.py")}
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--", *tops],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    assert sorted(name for name in listed.split("\0") if Path(name) in there - kept) == []


# Modules of records and options alone: what little they compute is tested with those that use it.
RECORDS = {"ops/types", "worlds/options"}
# Tests of no single module, by what they test; `parts` are those of a large module.
OF_NO_SINGLE_MODULE = {
    "repository": "docs floors full_disk layout makefile pins public_names readme recipes skips tutorial wheel",
    "documents": "integrations/docs reward/docs",
    "commands": "rollout/vllm_process serve/client serve/load serve/page serve/vllm_serve",
    "csrc": "ops/native reward/answer reward/matching",
    "several modules": "reward/options reward/pairs reward/token_boundaries reward/token_rewards reward/workload",
    "parts": "model/architectures model/policy_loading ops/reference/linear_loss",
}
# Folders of tests that mirror other folders than rerec_engine/.
OTHER_FOLDERS = {"bench", "fuzz", "kernels"}


def has_logic(source: str) -> bool:
    """Whether a file defines a function, a method among them."""
    return any(isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) for node in ast.walk(ast.parse(source)))


def modules() -> dict[str, Path]:
    """The package's files by what their test file is named after: `graph/titles`, and `serve/main` for a `__main__`."""
    files = [path for path in PACKAGE.rglob("*.py") if "kernels" not in path.relative_to(PACKAGE).parts]
    return {path.relative_to(PACKAGE).with_name(path.stem.strip("_")).as_posix(): path for path in files}


def names_of_tests() -> set[str]:
    """What the test files are named after: `graph/titles` for tests/graph/test_titles.py."""
    files = [path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")]
    return {p.with_name(p.stem.removeprefix("test_")).as_posix() for p in files if p.parts[0] not in OTHER_FOLDERS}


def test_every_module_with_logic_has_a_test_file_of_its_name() -> None:
    with_logic = {name for name, path in modules().items() if has_logic(path.read_text())}
    missing = with_logic - names_of_tests() - RECORDS
    assert sorted(missing) == []
    assert set(modules()) >= RECORDS


def test_every_test_file_is_named_after_a_module() -> None:
    others = {name for names in OF_NO_SINGLE_MODULE.values() for name in names.split()}
    assert sorted(names_of_tests() - set(modules()) - others) == []
    assert sorted(others - names_of_tests()) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from .page import write\n__all__ = ['write']", False),
        ("class Options:\n    seed: int = 0", False),
        ("class Record:\n    @property\n    def kept(self): ...", True),
        ("async def serve(): ...", True),
    ],
)
def test_logic_is_a_function(source: str, expected: bool) -> None:
    assert has_logic(source) == expected


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
