"""What is skipped says what is missing and what to do about it: "no peft: pip install .[test]"."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PLACES = {"skip": 0, "skipif": 1, "importorskip": 2}
"""Where a call takes its reason, if not by name."""


def words(node: ast.AST | None) -> str:
    """The constant text of an expression."""
    return "" if node is None else "".join(str(c.value) for c in ast.walk(node) if isinstance(c, ast.Constant))


def reasons(source: str) -> Iterator[tuple[int, str]]:
    """Line and reason of each skip."""
    for call in ast.walk(ast.parse(source)):
        name = call.func.attr if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) else ""
        if isinstance(call, ast.Call) and name in PLACES and "pytest" in ast.unparse(call.func):
            named = [keyword.value for keyword in call.keywords if keyword.arg == "reason"]
            place = call.args[PLACES[name]] if len(call.args) > PLACES[name] else None
            yield call.lineno, words(named[0] if named else place)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('pytest.skip("no x: y")', ["no x: y"]),
        ('pytest.skip(f"no {x}: y")', ["no : y"]),
        ('pytest.mark.skipif(a, reason="no x")', ["no x"]),
        ('pytest.importorskip("x")', [""]),
        ('self.skip("x")', []),
    ],
)
def test_reasons_are_found(source, found):
    assert [reason for _, reason in reasons(source)] == found


def test_skips_say_what_to_do():
    silent = [
        f"{path.relative_to(TESTS)}:{line}: {reason!r}"
        for path in sorted(TESTS.rglob("*.py"))
        for line, reason in reasons(path.read_text())
        if not all(part.strip() for part in reason.partition(":"))
    ]
    assert silent == []
