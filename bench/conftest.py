"""What the benchmarks share: their own modules on the path, and lines that are printed at the end of the run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

_LINES = pytest.StashKey[list[str]]()


@pytest.fixture
def say(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Keeps a line for the end of the run."""
    return pytestconfig.stash.setdefault(_LINES, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = config.stash.get(_LINES, [])
    if lines:
        terminalreporter.section("results")
    for line in lines:
        terminalreporter.write_line(line)
