"""Every kernel compiled for the processors it is meant for: registers, spills, shared memory, matrix instructions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("triton", reason="no Triton: pip install .[triton]")

SHARED = {"sm_90": 227 * 1024, "sm_80": 163 * 1024, "gfx942": 64 * 1024}
REGISTERS = {"sm_90": 255, "sm_80": 255, "gfx942": 512}
PRODUCTS = ("forward", "anchored", "gradient")


def figures() -> list[dict[str, Any]]:
    """Those of every kernel, from a process in which Triton compiles."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    script = Path(__file__).with_name("aot.py")
    done = subprocess.run([sys.executable, "-W", "ignore", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def table(found: list[dict[str, Any]]) -> list[str]:
    columns = ("target", "name", "registers", "spill_stores", "shared", "matrix", "wgmma", "instructions", "spills")
    rows: list[Any] = [dict(zip(columns, columns, strict=True)), *found]
    return ["  ".join(f"{x.get(c, ''):>{27 if c == 'name' else 12}}" for c in columns).rstrip() for x in rows]


@pytest.mark.slow
def test_every_kernel_fits_its_processors(record_property: Callable[[str, object], None]) -> None:
    """One test, since compiling takes most of a minute; tests/conftest.py prints the table at the end of the run."""
    found = figures()
    record_property("figures", table(found))
    for x in found:
        assert x["shared"] <= SHARED[x["target"]], x
        assert x["registers"] <= REGISTERS[x["target"]], x
    assert {x["target"] for x in found} == set(SHARED)
    products = [x for x in found if x["name"].startswith(PRODUCTS) and "rows" not in x["name"]]
    assert len(products) == 15
    for x in products:
        assert x["spill_stores"] == 0, f"a product spills: {x}"
        assert x["matrix"] > 0, f"no matrix instructions: {x}"
        assert x["target"] != "sm_90" or x["wgmma"] > 0, f"no wgmma: {x}"
