"""Requirements with an upper bound that newer releases have left behind: told as warnings, since a bound is moved by
running the tests with what is new."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
LATE = 2
"""Minor releases beyond a bound that are told."""


def bounded(text: str) -> dict[str, list[Requirement]]:
    """By name, the requirements of a pyproject.toml, where all of that name allow nothing beyond some version."""
    listed = text[text.index("\ndependencies = [") : text.index("\n[tool.")]
    found: dict[str, list[Requirement]] = {}
    for line in re.findall(r'"([^"]+)"', re.sub(r"#.*", "", listed)):
        requirement = Requirement(line)
        found.setdefault(requirement.name, []).append(requirement)
    upper = {"<", "<=", "==", "~="}
    return {
        name: requirements
        for name, requirements in found.items()
        if all(upper & {part.operator for part in one.specifier} for one in requirements)
    }


def beyond(requirement: Requirement, released: Sequence[str]) -> list[str]:
    """Newer minor releases than the newest that is allowed, oldest first: `["5.20", "5.21"]`."""
    versions = [version for version in map(Version, released) if not version.is_prerelease]
    newest = max(requirement.specifier.filter(versions), default=Version("0"))
    return [
        f"{major}.{minor}"
        for major, minor in sorted({(v.major, v.minor) for v in versions})
        if (major, minor) > (newest.major, newest.minor)
    ]


@pytest.mark.parametrize(
    ("requirement", "released", "expected"),
    [
        ("a>=1.2,<1.4", ["1.2.0", "1.3.9"], []),
        ("a>=1.2,<1.4", ["1.3.9", "1.4.0", "1.4.1"], ["1.4"]),
        ("a>=1.2,<1.4", ["1.10.0", "1.4.0", "2.0", "1.3.9"], ["1.4", "1.10", "2.0"]),
        ("a==1.2.3", ["1.2.3", "1.2.4", "1.4.0rc1", "1.5.0"], ["1.5"]),
        ("a<3", ["2.9", "3.0"], ["3.0"]),
        ("a[x]<3; platform_system == 'Linux'", ["2.9"], []),
    ],
)
def test_what_lies_beyond_a_bound(requirement: str, released: list[str], expected: list[str]) -> None:
    assert beyond(Requirement(requirement), released) == expected


def test_bounds_are_read() -> None:
    lines = [
        "",
        "dependencies = [",
        '    "b>=1,<2",  # not "c<1"',
        '    "d>=2",',
        '    "b<3",',
        '    "d<9",',
        "]",
        "",
        "[tool.x]",
    ]
    assert {name: sorted(map(str, found)) for name, found in bounded("\n".join(lines)).items()} == {
        "b": ["b<2,>=1", "b<3"]
    }
    assert {"torch", "transformers", "vllm"} <= set(bounded(PYPROJECT.read_text()))


def released(name: str) -> list[str]:
    """As pip's index tells, for this Python; [] where it tells nothing."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "index", "versions", name]
    done = subprocess.run([*command, "--retries", "0", "--timeout", "10"], capture_output=True, text=True, check=False)
    listed = re.search(r"^Available versions: (.+)$", done.stdout, re.MULTILINE)
    return [] if listed is None else listed[1].split(", ")


@pytest.mark.slow
def test_bounds_that_are_late_are_told() -> None:
    if not released("torch"):
        pytest.skip("the package index tells no versions: see what `pip index versions torch` says (PIP_INDEX_URL)")
    for name, requirements in bounded(PYPROJECT.read_text()).items():
        versions = released(name)
        requirement = min(requirements, key=lambda one: len(beyond(one, versions)))  # the others are for older peers
        newer = beyond(requirement, versions)
        if len(newer) >= LATE:
            told = f"{requirement}: {len(newer)} minor releases lie beyond it ({', '.join(newer)})"
            warnings.warn(f"{told}; run the tests with the newest, then move the bound", stacklevel=1)
