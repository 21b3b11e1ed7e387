"""What the tests of figures and their tables share."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console
from rich.table import Table


@pytest.fixture(scope="session")
def printed() -> Callable[[Table], list[str]]:
    """The lines of a table as a terminal of 120 columns shows them."""

    def lines(table: Table) -> list[str]:
        console = Console(width=120, file=io.StringIO())
        console.print(table)
        assert isinstance(console.file, io.StringIO)
        return [line.strip() for line in console.file.getvalue().splitlines()]

    return lines


@pytest.fixture(scope="session")
def cells() -> Callable[[list[str]], list[list[str]]]:
    """The cells of a table's rows, its head among them."""

    def rows(lines: list[str]) -> list[list[str]]:
        framed = [line for line in lines if line[:1] in ("┃", "│")]
        return [[cell.strip() for cell in line.strip("┃│").split(line[0])] for line in framed]

    return rows
